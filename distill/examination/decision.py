"""The plan's decision about a student, by the bounds of its success. Pure; owns the two thresholds and the words."""

from __future__ import annotations

from typing import Literal

import msgspec

from distill.statistics import lower_bound, upper_bound

READY, PROMISING = 0.8, 0.5
Verdict = Literal["ready", "more", "not enough", "open"]
_MOST = 1_000_000  # items; who needs more stands on the threshold

MEANING: dict[str, str] = {
    "ready": "over 80 %: ready for work",
    "more": "50 to 80 %: more or better data",
    "not enough": "under 50 %: this student is not enough; try a larger one (14B, the plan's Plan B) or another recipe",
}


class PlanDecision(msgspec.Struct, frozen=True):
    """What follows from `hits` of `of` questions that were answered with success. `low` and `high` are Wilson's
    one-sided 95 % bounds. `verdict` is "open" where they straddle a threshold: then it is one of `between`, and with
    the share as it is `more_items` further questions would decide (None: no affordable number would)."""

    verdict: Verdict
    hits: int
    of: int
    low: float
    high: float
    between: list[str] = []
    more_items: int | None = None

    @property
    def words(self) -> str:
        if self.verdict != "open":
            return MEANING[self.verdict]
        choice = " or ".join(MEANING[name] for name in self.between)
        if self.more_items is None:
            return (
                f"not decided ({choice}): the share stands on a threshold, and no affordable number of questions helps"
            )
        return f"not decided ({choice}): about {self.more_items:,} more questions would decide if the share stays"


def decide(hits: int, of: int) -> PlanDecision:
    """Raises ValueError for no questions."""
    if of < 1:
        raise ValueError("nothing is decided by no questions")
    low, high = lower_bound(hits, of), upper_bound(hits, of)
    found = _verdicts(low, high)
    if len(found) == 1:
        return PlanDecision(found[0], hits, of, low, high)
    return PlanDecision("open", hits, of, low, high, list(found), _more(hits / of, of))


def _verdicts(low: float, high: float) -> list[Verdict]:
    """What the bounds leave possible, the worse first."""
    found: list[Verdict] = []
    if low < PROMISING:
        found.append("not enough")
    if low < READY and high > PROMISING:
        found.append("more")
    if high > READY:
        found.append("ready")
    return found


def _more(share: float, of: int) -> int | None:
    """The least number of further questions after which the same share is decided: bounds draw nearer with each."""

    def decided(count: int) -> bool:
        return len(_verdicts(lower_bound(share * count, count), upper_bound(share * count, count))) == 1

    if not decided(_MOST):
        return None
    least, enough = of, _MOST
    while enough - least > 1:
        middle = (least + enough) // 2
        least, enough = (least, middle) if decided(middle) else (middle, enough)
    return enough - of
