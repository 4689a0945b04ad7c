"""Blaming: what came is suspected or doubted, where what serves became worse by being trained further on it.

Owns when a night suspects, and when it doubts at once: where more was lost than training as a rule loses by chance, and
nothing else can be at fault, neither another recipe, nor an engine that answers otherwise than before, nor what
somebody trusts or what an earlier night trained on without such harm. Knows nothing of how adapters are trained or
examined.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from distill.gate import Verdict
from distill.night.candidates import made_by, served
from distill.night.diary import Diary, Record, read_learnt
from distill.night.doubting import doubt, suspect, trusted
from distill.night.settings import NightSettings
from distill.succession import RUIN, Succession
from distill.train.recipe import Recipe


def blame(settings: NightSettings, recipe: Recipe, record: Record) -> str:
    """Suspect or doubt what came since what serves was made, if this night, which has refused its candidates, shows
    that it did harm. In words what later nights leave out, "" where that is nothing. Raises DoubtError."""
    nights = settings.data / "nights"
    old = served(settings.models, record.served, settings.base)
    if old is None or not harmed(record) or not (known := old.learnt(nights)):
        return ""
    came = read_learnt(nights, record.name) - known
    if came and ruined(record) and made_by(old, recipe) and _alone_at_fault(nights, record.name, came):
        doubt(nights, record.name, came)
        left_out = len(came)
    else:
        left_out = suspect(nights, record.name, came)
    if not left_out:
        return ""
    return f"{left_out} traces that did it are left out from now on; `nightschool trust {record.name}` takes them back"


def harmed(record: Record) -> bool:
    """Whether what serves became worse by being trained further in this night, surely."""
    return any(one.harmed for one in _trained_further(record))


def ruined(record: Record) -> bool:
    """Whether it became worse than training makes anything by chance, and the engine still answers as it did."""
    noise = record.noise
    as_before = noise is None or noise.changed <= RUIN * noise.asked
    return as_before and any(one.ruined for one in _trained_further(record))


def _alone_at_fault(nights: Path, night: str, came: frozenset[str]) -> bool:
    """Whether nothing of it is trusted, or was trained on in another night that ruined nothing."""
    others = (one for one in Diary(nights).newest_first() if one.name != night)
    sound = (read_learnt(nights, one.name) for one in others if _trained_further(one) and not ruined(one))
    return came.isdisjoint(trusted(nights)) and all(came.isdisjoint(learnt) for learnt in sound)


def _trained_further(record: Record) -> list[Succession]:
    """What was trained further in a night beside what it began from."""
    verdicts = [one.verdict for one in record.candidates if one.parent == record.served and one.verdict is not None]
    found = [msgspec.convert(verdict, Verdict).succession for verdict in verdicts]
    return [one for one in found if one is not None]
