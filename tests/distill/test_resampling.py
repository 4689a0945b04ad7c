"""Order statistics against the binomial itself and Wilks' numbers; the cluster bootstrap against what it must show."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.resampling import Quantile, clustered, quantile

COUNTING = [float(number) for number in range(1, 2001)]


@pytest.mark.parametrize(("of", "known"), [(58, False), (59, True)])
def test_the_bound_of_the_95th_percentile_needs_59_values(of: int, known: bool) -> None:
    """Wilks 1941: with 59 values the largest one is above the 95th percentile with a confidence of 95 %."""
    assert quantile(COUNTING[:of], 0.95).high == (59.0 if known else None)


@pytest.mark.parametrize(("of", "low", "high"), [(5, 1.0, 5.0), (10, 2.0, 9.0), (20, 6.0, 15.0), (4, None, None)])
def test_the_bounds_of_the_median(of: int, low: float | None, high: float | None) -> None:
    """The ranks of the sign test's tables at a one-sided 5 %."""
    found = quantile(COUNTING[:of], 0.5)
    assert (found.low, found.high) == (low, high)


def _tail(of: int, share: Fraction, most: int) -> Fraction:
    return sum((math.comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(most + 1)), start=Fraction(0))


@settings(deadline=None)
@given(st.integers(1, 120), st.sampled_from([Fraction(1, 2), Fraction(19, 20), Fraction(1, 10)]))
def test_the_ranks_are_the_nearest_that_the_binomial_allows(of: int, share: Fraction) -> None:
    found = quantile(COUNTING[:of], float(share))
    confident = Fraction(95, 100)
    upper = [rank for rank in range(1, of + 1) if _tail(of, share, rank - 1) >= confident]
    lower = [rank for rank in range(1, of + 1) if _tail(of, share, rank - 1) <= 1 - confident]
    assert found.high == (float(upper[0]) if upper else None)
    assert found.low == (float(lower[-1]) if lower else None)
    assert found.value == math.ceil(share * of)


def test_what_lies_beyond_all_measure_has_no_value() -> None:
    values = [1.0] * 90 + [math.inf] * 10
    assert quantile(values, 0.5) == Quantile(1.0, 1.0, 1.0)
    assert quantile(values, 0.95).value is None
    assert quantile([], 0.5) == Quantile(None, None, None)


def test_clusters_that_are_alike_add_nothing_and_those_that_differ_do() -> None:
    alike = {f"r{number}": [(8.0, 10.0)] for number in range(10)}
    assert clustered(alike) == (pytest.approx(0.8), pytest.approx(0.8))
    apart = {f"r{number}": [(10.0 if number % 2 else 0.0, 10.0)] for number in range(10)}
    found = clustered(apart)
    assert found is not None
    assert found[1] - found[0] > 0.5  # 100 independent questions would give 0.2
    assert clustered(apart) == found


def test_one_cluster_says_nothing_and_an_empty_ratio_neither() -> None:
    assert clustered({"a": [(3.0, 4.0)]}) is None
    assert clustered({}) is None
    assert clustered({"a": [(0.0, 0.0)], "b": [(0.0, 0.0)]}) is None


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.tuples(st.integers(0, 9), st.integers(9, 20)), min_size=2))
def test_the_interval_lies_within_what_the_clusters_had(counts: dict[str, tuple[int, int]]) -> None:
    found = clustered({name: [(float(hits), float(of))] for name, (hits, of) in counts.items()})
    shares = [hits / of for hits, of in counts.values()]
    assert found is not None
    assert min(shares) - 1e-9 <= found[0] <= found[1] <= max(shares) + 1e-9
