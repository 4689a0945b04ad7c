"""Statistics of shares: Wilson bounds, the exact McNemar test, paired differences, Holm. Knows not what is counted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

import msgspec


class Share(msgspec.Struct, frozen=True):
    """`hits` of `of`, with a 95 % interval."""

    hits: int
    of: int
    share: float
    low: float
    high: float


def wilson(hits: float, of: int, confidence: float = 0.95) -> tuple[float, float]:
    """The two-sided score interval of a share (Wilson 1927)."""
    if of == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share, spread = hits / of, z * z / of
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / of + spread / (4 * of))
    return max(0.0, centre - half), min(1.0, centre + half)


class Difference(msgspec.Struct, frozen=True):
    """By how much the second share of a pair is above the first, with an interval."""

    difference: float
    low: float
    high: float


def lower_bound(hits: float, of: int, confidence: float = 0.95) -> float:
    """The one-sided bound above which the share lies: the lower end of Wilson's interval of twice the risk."""
    return wilson(hits, of, 2 * confidence - 1)[0]


def upper_bound(hits: float, of: int, confidence: float = 0.95) -> float:
    """The one-sided bound below which the share lies."""
    return wilson(hits, of, 2 * confidence - 1)[1]


def mcnemar(gained: int, lost: int) -> float:
    """One-sided exact p-value that gains and losses are equally likely: P(X ≥ gained), X ~ Binomial(gained+lost, ½)."""
    changed = gained + lost
    return sum(math.comb(changed, k) for k in range(gained, changed + 1)) / (1 << changed)


def share(flags: Sequence[bool]) -> Share:
    low, high = wilson(sum(flags), len(flags))
    return Share(sum(flags), len(flags), sum(flags) / len(flags) if flags else 0.0, low, high)


def paired(before: Sequence[bool], after: Sequence[bool], confidence: float = 0.95) -> Difference:
    """The difference of two shares of the same items, with a two-sided interval: Newcombe's square-and-add interval
    (Newcombe 1998, Statistics in Medicine 17, 2635-2650, method 10), which joins Wilson's intervals of both by their
    correlation.

    Raises ValueError for no items, or another number of them.
    """
    both = sum(a and b for a, b in zip(before, after, strict=True))
    of, first, second = len(before), sum(before), sum(after)
    if not of:
        raise ValueError("no items have no difference")
    one, two = first / of, second / of
    (low1, high1), (low2, high2) = wilson(first, of, confidence), wilson(second, of, confidence)
    neither = of - first - second + both
    product = both * neither - (first - both) * (second - both)
    correlated = max(product - of / 2, 0.0) if product > 0 else product  # his correction for continuity
    margins = first * (of - first) * second * (of - second)
    phi = correlated / math.sqrt(margins) if margins else 0.0
    below = _joined(two - low2, high1 - one, phi)
    above = _joined(high2 - two, one - low1, phi)
    return Difference(two - one, two - one - below, two - one + above)


def _joined(one: float, two: float, phi: float) -> float:
    return math.sqrt(max(0.0, one * one - 2 * phi * one * two + two * two))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p-values of several tests made comparable with one level (Holm 1979, Scandinavian Journal of Statistics 6)."""
    adjusted: dict[str, float] = {}
    worst = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = worst
    return {name: adjusted[name] for name in p_values}
