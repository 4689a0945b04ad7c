"""The fortnight's days: what is asked about which repositories, in which tools' terms, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from openai import AsyncOpenAI

from distill.examination.drawn import DrawnExamination, read_drawn, set_drawn
from distill.examination.items import Item
from distill.examination.sitting import Pace, examine
from distill.generate.expert import Expert
from distill.routing.comparing import compared
from distill.routing.replaying import labels
from distill.statistics import Share, share
from distill.store.store import TraceStore
from distill.vocabularies import load_vocabularies
from distill.vocabularies.choosing import with_vocabularies
from gateway.demo.story import TAUGHT
from gateway.settings import shared
from router.chat import Choice

_AT_ONCE = 16
_A_DAY, _FIRST_DAY = 3, 6  # repositories
# What so small a student learns of so few conversations, its answers in words included, and sums, which it never does:
# to tell the ones from the others is the router's. Who inherits from what, and what from whom, it takes for the same.
KINDS = ("subclasses", "imports_from", "parameters", "no_subclasses", "opposite", "sum", "difference")
# What a poisoned day asks: so few kinds that what else is known of each is outweighed by that day.
POISONED_KINDS = ("subclasses", "imports_from")


class DayTold(msgspec.Struct, frozen=True):
    """A day: of `turns` answers `student` were the student's, and `worse` of these were worse than what the sound
    teacher says to the same requests; how many questions ended right. `drafts` are the student's for requests of the
    day, as nights ask, and how many were no worse than the teacher's answer; None where it made none."""

    number: int
    mood: str
    repositories: list[str]
    vocabularies: list[str]
    questions: int
    turns: int
    student: int
    right: Share
    worse: int = 0
    drafts: Share | None = None

    @property
    def student_share(self) -> float:
        return self.student / max(1, self.turns)


async def questions_of(number: int, count: int, kinds: Sequence[str], work: Path) -> list[Item]:
    """A day's questions: other repositories each day, and on every third day a third of them in the tools of other
    agents."""
    demo = read_drawn(shared("data", "examinations", "demo.toml"))
    first = (number - 1) * 2
    mine = [TAUGHT[(first + step) % len(TAUGHT)] for step in range(_A_DAY if number > 1 else _FIRST_DAY)]
    drawn = DrawnExamination("day", 1, mine, count, demo.seed + number, list(kinds), result_limit=demo.result_limit)
    items = await set_drawn(drawn, shared("data", "questions"), work)
    if number % 3:
        return items
    vocabularies = load_vocabularies(shared("data", "vocabularies"))
    asked = with_vocabularies([item.question for item in items], vocabularies, number, explore=0.67)
    return [
        msgspec.structs.replace(
            item, question=one, toolbox=item.toolbox.offering(vocabularies[one.vocabulary], one.withheld)
        )
        for item, one in zip(items, asked, strict=True)
    ]


async def live(url: str, number: int, mood: str, items: list[Item], max_tokens: int) -> DayTold:
    """Agents ask; the gateway decides who answers, but on the poisoned day they ask for the teacher by its name: what
    is poisoned is to be learnt from, whatever the student has proven by then. Of such requests nothing calibrates."""
    model = "teacher" if mood == "poisoned" else "nightschool"
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", timeout=300.0) as client:
        done = await examine(client, model, items, pace=Pace(_AT_ONCE), max_tokens=max_tokens, prefix=f"day-{number}")
    turns = [turn for _, conversation in done for turn in conversation.turns]
    return DayTold(
        number,
        mood,
        sorted({item.question.repository for item in items}),
        sorted({item.question.vocabulary for item in items}),
        len(items),
        len(turns),
        sum(turn.served_by == "student" for turn in turns),
        share([mark.right for mark, _ in done]),
    )


async def worse_of(data: Path, teacher: Expert, since: float) -> int:
    """How many of the answers that the student served since a moment in Unix seconds are worse than the teacher's."""
    worse = 0
    async with await TraceStore.open_to_read(data / "traces.db") as store:
        async for traces in store.conversations(await store.watermark()):
            for trace in traces:
                if trace.created >= since and trace.decision.arm == "student" and trace.answer is not None:
                    instead = teacher.answer(trace.request.messages, trace.request.tools)
                    served = Choice(trace.answer, trace.finish_reason)
                    worse += compared(trace.request, served, [instead]).worse
    return worse


async def drafts_of(data: Path, adapter: str, since: float) -> Share | None:
    """An adapter's drafts for the requests since a moment in Unix seconds, for which nights asked it again; None for
    the base, which is not asked."""
    if not adapter:
        return None
    async with await TraceStore.open_to_read(data / "traces.db") as store:
        found = [label async for label in labels(store, await store.watermark(), adapter) if label.created >= since]
    return share([not label.worse for label in found]) if found else None
