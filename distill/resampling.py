"""Bounds that assume no distribution: order statistics for quantiles, the bootstrap of whole clusters.

Knows nothing of what is measured. Seeded: the same values give the same bounds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

_DRAWS = 2000
_SEED = 20261126
_ROUNDING = 1e-12  # what sums of probabilities are off by at most, and more


class Quantile(msgspec.Struct, frozen=True):
    """A quantile with one-sided 95 % bounds; None where it, or the bound, lies beyond what was measured."""

    value: float | None
    low: float | None
    high: float | None


def quantile(values: Sequence[float], share: float, confidence: float = 0.95) -> Quantile:
    """The quantile as the order statistic of rank ⌈share · n⌉, and as its bounds those whose rank a binomial gives
    (Conover, Practical Nonparametric Statistics, 1999, section 3.2). `values` may hold inf: beyond all measure.

    Each bound is one-sided: both together are an interval of 2 · confidence - 1.
    """
    ordered = sorted(values)
    count = len(ordered)
    if not count:
        return Quantile(None, None, None)
    below, low, high = 0.0, None, None
    for rank in range(count):  # `below`: that at most so many values lie under the quantile
        below += _binomial(count, rank, share)
        if below <= 1 - confidence + _ROUNDING:
            low = rank
        if high is None and below >= confidence - _ROUNDING:
            high = rank
    at = max(0, math.ceil(share * count) - 1)
    found = (at, low, high)
    return Quantile(*(ordered[rank] if rank is not None and ordered[rank] < math.inf else None for rank in found))


def clustered(counts: Mapping[str, Sequence[tuple[float, float]]]) -> tuple[float, float] | None:
    """A two-sided 95 % interval where items of one cluster are alike: the percentiles of the statistic over draws of
    whole clusters, with replacement (Davison and Hinkley, Bootstrap Methods, 1997, section 3.8).

    `counts` has for each cluster the (hits, of) of one ratio, or of several whose mean is the statistic. None for fewer
    than two clusters, or where most draws leave a ratio with nothing. A handful of clusters makes it too narrow.
    """
    if len(counts) < 2:
        return None
    table = np.asarray([counts[name] for name in sorted(counts)], dtype=float)  # cluster, ratio, (hits, of)
    chance = np.random.default_rng(_SEED)
    drawn = chance.multinomial(len(table), np.full(len(table), 1 / len(table)), size=_DRAWS)  # how often each cluster
    sums = np.einsum("dc,crk->drk", drawn, table)
    whole = sums[(sums[:, :, 1] > 0).all(axis=1)]
    if len(whole) < _DRAWS // 2:
        return None
    low, high = np.quantile((whole[:, :, 0] / whole[:, :, 1]).mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def _binomial(count: int, hits: int, share: float) -> float:
    """P(X = hits), through logarithms, so that thousands of items neither overflow nor vanish."""
    if share <= 0 or share >= 1:
        return float(hits == (count if share >= 1 else 0))
    ways = math.lgamma(count + 1) - math.lgamma(hits + 1) - math.lgamma(count - hits + 1)
    return math.exp(ways + hits * math.log(share) + (count - hits) * math.log1p(-share))
