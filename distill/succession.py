"""Succession: may an adapter replace the one that serves? Owns the rule; knows nothing of models, files or HTTP.

Both answered the same questions. The new one follows when it makes significantly more exact calls, or when it makes no
fewer and is surely not much worse; and when no kind of question, nor keeping from tools where none is needed, has
become significantly worse. Nights ask the same questions again and again, so each verdict gets its share of one level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

from distill.examination.marking import Mark, changed, paired_marks
from distill.statistics import holm, mcnemar, paired

ALPHA = 0.05
RUIN = 0.25  # of the questions: training further loses a tenth by chance, once three tenths (docs/log.md, 2026-11-28)
LOOKS = 7  # verdicts on one drawn set of questions; after them another one is drawn
_NO_TOOL = "no tool needed"


class Succession(msgspec.Struct, frozen=True):
    """An adapter beside the one that serves. `difference` of the shares of exact calls, the new one's less the old
    one's, is `low` at least, with confidence 1 - `level`; `margin` is how far below 0 it may lie. `worse` are the kinds
    of questions that became worse."""

    served: str
    gained: int
    lost: int
    p_value: float
    difference: float
    low: float
    level: float
    margin: float
    worse: list[str]
    standing: Literal["superior", "not inferior", "not shown"]

    @property
    def may_follow(self) -> bool:
        return self.standing != "not shown" and not self.worse

    @property
    def harmed(self) -> bool:
        """Whether it is surely worse than what serves, altogether or at a kind of question."""
        return bool(self.worse) or mcnemar(self.lost, self.gained) <= self.level

    @property
    def ruined(self) -> bool:
        """Whether it lost more than training loses by chance as a rule."""
        return self.harmed and self.difference <= -RUIN

    @property
    def told(self) -> str:
        """In words, for whoever reads why."""
        bound = f"{self.difference:+.1%} exact calls beside {self.served}, at least {self.low:+.1%}"
        if self.worse:
            return f"worse than {self.served} at {', '.join(self.worse)} ({bound})"
        if self.standing == "not shown" and self.difference < 0:
            return f"fewer exact calls than {self.served} makes ({bound})"
        if self.standing == "not shown":
            return f"neither better than {self.served} nor surely within {self.margin:.0%} of it ({bound})"
        return f"{self.standing}: {bound}"


def level_of(verdicts: int, alpha: float = ALPHA) -> float:
    """What the next verdict may be wrong with on questions that had so many verdicts before: together at most `alpha`.

    The first seven get equal shares of half of it, so that a week's nights are alike; whatever comes after shares the
    other half in proportion to 1/k², k being how many there were before, so that no later one gets more than an earlier
    one: Bonferroni's bound with unequal shares.
    """
    if verdicts < LOOKS:
        return alpha / 2 / LOOKS
    rest = math.pi**2 / 6 - sum(1 / k**2 for k in range(1, LOOKS))
    return alpha / 2 / rest / verdicts**2


def succession(served: str, old: Sequence[Mark], new: Sequence[Mark], level: float, margin: float) -> Succession:
    """Raises ValueError where they did not answer the same questions, each once."""
    pairs = paired_marks(old, new)
    gained, lost = changed(pairs)
    p_value = mcnemar(gained, lost)
    found = paired([one.exact for one, _ in pairs], [two.exact for _, two in pairs], 1 - 2 * level)
    standing: Literal["superior", "not inferior", "not shown"] = "not shown"
    if p_value <= level:
        standing = "superior"
    elif found.difference >= 0 and found.low >= -margin:
        standing = "not inferior"
    return Succession(
        served, gained, lost, p_value, found.difference, found.low, level, margin, _worse(pairs), standing
    )


def _worse(pairs: Sequence[tuple[Mark, Mark]]) -> list[str]:
    """The kinds of questions at which significantly more was lost than gained, by Holm over all of them."""
    kinds: dict[str, list[tuple[Mark, Mark]]] = {}
    for pair in pairs:
        kinds.setdefault(pair[1].category if pair[1].needed else _NO_TOOL, []).append(pair)
    p_values = {}
    for name, mine in kinds.items():
        gained, lost = changed(mine, kept_from_tools) if name == _NO_TOOL else changed(mine)
        p_values[name] = mcnemar(lost, gained)
    return sorted(name for name, p_value in holm(p_values).items() if p_value <= ALPHA)


def kept_from_tools(mark: Mark) -> bool:
    return not mark.called
