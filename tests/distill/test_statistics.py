"""Paired differences, Holm and one-sided bounds against published values, and what must hold for all values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.statistics import holm, lower_bound, paired, upper_bound, wilson


def pairs(both: int, first: int, second: int, neither: int) -> tuple[list[bool], list[bool]]:
    one = [True] * both + [True] * first + [False] * second + [False] * neither
    two = [True] * both + [False] * first + [True] * second + [False] * neither
    return one, two


@pytest.mark.parametrize(
    ("table", "difference", "low", "high"),
    [
        # airway hyper-responsiveness and complete response in Fagerland, Lydersen and Laake 2014, as R's package
        # contingencytables gives them; first minus second there, second minus first here
        ((59, 6, 16, 80), 0.0621, 0.0046, 0.1186),
        ((1, 1, 7, 12), 0.2857, 0.0256, 0.5069),
    ],
)
def test_the_paired_difference(table: tuple[int, int, int, int], difference: float, low: float, high: float) -> None:
    found = paired(*pairs(*table))
    assert found.difference == pytest.approx(difference, abs=6e-5)
    assert (found.low, found.high) == (pytest.approx(low, abs=6e-5), pytest.approx(high, abs=6e-5))


def test_no_items_have_no_difference() -> None:
    with pytest.raises(ValueError, match="no items"):
        paired([], [])
    with pytest.raises(ValueError, match="argument"):
        paired([True], [])


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=200))
def test_the_paired_interval_holds_the_difference_and_turns_with_the_order(items: list[tuple[bool, bool]]) -> None:
    one, two = [a for a, _ in items], [b for _, b in items]
    found, back = paired(one, two), paired(two, one)
    assert -1 - 1e-9 <= found.low <= found.difference + 1e-12
    assert found.difference - 1e-12 <= found.high <= 1 + 1e-9
    turned = (pytest.approx(-found.high, abs=1e-9), pytest.approx(-found.low, abs=1e-9))
    assert (back.low, back.high) == turned


def test_holm() -> None:
    # the textbook's four: 0.01, 0.04, 0.03, 0.005
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02}
    )
    assert holm({}) == {}


@given(st.dictionaries(st.text(max_size=4), st.floats(0, 1), max_size=12))
def test_holm_lies_between_the_value_and_bonferronis(p_values: dict[str, float]) -> None:
    adjusted = holm(p_values)
    for name, value in p_values.items():
        assert value <= adjusted[name] <= min(1.0, len(p_values) * value) + 1e-12
    ranked = sorted(p_values, key=lambda name: p_values[name])
    assert [adjusted[name] for name in ranked] == sorted(adjusted.values())


@pytest.mark.parametrize(("of", "hits", "bar"), [(100, 87, 0.8), (200, 170, 0.8), (400, 334, 0.8), (1000, 916, 0.9)])
def test_the_rate_that_is_needed_to_show_a_bar(of: int, hits: int, bar: float) -> None:
    """The plan's table: with 100 questions 87 %, with 200 85 %, with 400 83.5 % show more than 80 %."""
    assert lower_bound(hits, of) > bar
    assert lower_bound(hits - 1, of) <= bar + 0.002


@given(st.integers(1, 500), st.data())
def test_one_sided_bounds_are_those_of_a_narrower_interval(of: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, of))
    low, high = wilson(hits, of)
    assert low <= lower_bound(hits, of) + 1e-12
    assert lower_bound(hits, of) <= hits / of + 1e-12
    assert hits / of - 1e-12 <= upper_bound(hits, of) <= high + 1e-12
