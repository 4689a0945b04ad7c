"""Verdict: may an adapter serve? Owns the statistics and the rule; knows nothing of models, files or HTTP.

Shares come with Wilson bounds, and the adapter is compared with its base question by question (exact McNemar), since
both answered the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, median

import msgspec


class Mark(msgspec.Struct, frozen=True):
    """How one question went: `called` any known tool, `needed` one, made `exact` calls, ended `right`."""

    question: str
    category: str
    needed: bool
    called: bool
    exact: bool
    right: bool
    seconds: float


class Share(msgspec.Struct, frozen=True):
    """`hits` of `of`, with a 95 % interval."""

    hits: int
    of: int
    share: float
    low: float
    high: float


class Score(msgspec.Struct, frozen=True):
    """What one arm did in an examination. Autonomous tool use is counted where a tool was needed."""

    items: int
    autonomous_tool_use: Share
    exact_calls: Share
    right_answers: Share
    needless_calls: Share
    median_seconds: float


class Verdict(msgspec.Struct, frozen=True):
    """What the examination said of an adapter. `p_value`: that it is no better than its base at exact calls."""

    passed: bool
    reasons: list[str]
    base: Score
    adapter: Score
    gained: int
    lost: int
    p_value: float


def wilson(hits: int, of: int, confidence: float = 0.95) -> tuple[float, float]:
    """The two-sided score interval of a share (Wilson 1927)."""
    if of == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share, spread = hits / of, z * z / of
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / of + spread / (4 * of))
    return max(0.0, centre - half), min(1.0, centre + half)


def mcnemar(gained: int, lost: int) -> float:
    """One-sided exact p-value that gains and losses are equally likely: P(X ≥ gained), X ~ Binomial(gained+lost, ½)."""
    changed = gained + lost
    return sum(math.comb(changed, k) for k in range(gained, changed + 1)) / (1 << changed)


def share(flags: Sequence[bool]) -> Share:
    low, high = wilson(sum(flags), len(flags))
    return Share(sum(flags), len(flags), sum(flags) / len(flags) if flags else 0.0, low, high)


def score(marks: Sequence[Mark]) -> Score:
    """Raises ValueError for no marks."""
    if not marks:
        raise ValueError("an examination without questions has no score")
    return Score(
        items=len(marks),
        autonomous_tool_use=share([mark.called for mark in marks if mark.needed]),
        exact_calls=share([mark.exact for mark in marks]),
        right_answers=share([mark.right for mark in marks]),
        needless_calls=share([mark.called for mark in marks if not mark.needed]),
        median_seconds=median(mark.seconds for mark in marks),
    )


def judge(base: Sequence[Mark], adapter: Sequence[Mark], alpha: float = 0.05) -> Verdict:
    """An adapter passes when it makes significantly more exact calls than its base and answers no fewer questions.

    Both must have answered the same questions, each once. The base counts its answers with the same tolerant parser.
    """
    before = {mark.question: mark for mark in base}
    if sorted(before) != sorted(mark.question for mark in adapter) or len(before) < len(base):
        raise ValueError("base and adapter were not examined on the same questions")
    gained = sum(mark.exact and not before[mark.question].exact for mark in adapter)
    lost = sum(before[mark.question].exact and not mark.exact for mark in adapter)
    p_value = mcnemar(gained, lost)
    old, new = score(base), score(adapter)
    reasons = []
    if p_value > alpha:
        reasons.append(f"not significantly more exact calls than the base (p = {p_value:.3g})")
    if new.right_answers.hits < old.right_answers.hits:
        reasons.append(f"fewer right answers than the base ({new.right_answers.hits} < {old.right_answers.hits})")
    return Verdict(not reasons, reasons, old, new, gained, lost, p_value)
