"""Setting a night's examination: which questions are asked, and for how many nights. Knows nothing of who answers."""

from __future__ import annotations

import msgspec

from distill.examination.drawn import DrawnExamination
from distill.examination.items import Item
from distill.examination.setting import set_questions
from distill.night.diary import Diary
from distill.night.examining import questions_digest
from distill.night.settings import NightSettings, Progress
from distill.succession import LOOKS


async def draw(settings: NightSettings, diary: Diary, progress: Progress, night: str = "") -> tuple[list[Item], str]:
    """The questions and their digest. It is done before anything is learnt: what is asked is then kept out of the
    dataset. Drawn ones are drawn anew after a number of verdicts, since each more on the same ones is worth less; those
    of the `night` itself do not count."""
    progress.stage("setting the examination", None)
    examination = settings.examination
    while True:
        items = await set_questions(examination, settings.templates, settings.data / "repositories")
        digest = questions_digest(items, examination.max_tokens)
        if not isinstance(examination, DrawnExamination) or diary.verdicts_on(digest, night) < LOOKS:
            return items, digest
        examination = msgspec.structs.replace(examination, seed=examination.seed + 1)
