"""Statistics of shares: Wilson bounds, the exact McNemar test. Knows nothing of what is counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import msgspec


class Share(msgspec.Struct, frozen=True):
    """`hits` of `of`, with a 95 % interval."""

    hits: int
    of: int
    share: float
    low: float
    high: float


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
