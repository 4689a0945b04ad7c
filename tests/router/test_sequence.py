"""Confidence sequences by simulation, the sizes of experiments, and whether conversations went where they should."""

from __future__ import annotations

import math

import numpy as np
import pytest

from router.sequence import Shares, Sums, interval, multiplier, pairs, shares_of, units_each


def _sums(values: np.ndarray) -> Sums:
    return Sums(len(values), float(values.sum()), float((values**2).sum()))


def test_an_interval_holds_the_truth_at_all_looks() -> None:
    chance = np.random.default_rng(1)
    missed = 0
    for _ in range(300):
        one, two = (chance.random(2000) < 0.85).astype(float), (chance.random(2000) < 0.85).astype(float)
        looks = (interval(_sums(one[:at]), _sums(two[:at]), 500) for at in range(50, 2000, 10))
        missed += any(not look.low <= 0 <= look.high for look in looks)
    assert missed / 300 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 300)


def test_few_units_say_nothing() -> None:
    found = interval(Sums(49, 40.0, 40.0), Sums(500, 400.0, 400.0), 500)
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_units_that_are_all_alike_are_not_taken_for_certainty() -> None:
    found = interval(Sums(60, 60.0, 60.0), Sums(60, 60.0, 60.0), 500)
    assert found.low < -0.03 < 0.03 < found.high


@pytest.mark.parametrize(("units", "reach"), [(500, 3.04), (2000, 3.13), (125, 3.26)])
def test_how_far_an_interval_reaches(units: int, reach: float) -> None:
    assert multiplier(units, 500) == pytest.approx(reach, abs=0.02)


@pytest.mark.parametrize(
    ("change", "fixed", "any_time"),
    [(0.02, 5271, 10092), (0.03, 2399, 4594), (0.05, 903, 1728), (0.10, 247, 473)],
)
def test_conversations_that_a_change_of_success_wants(change: float, fixed: int, any_time: int) -> None:
    found = units_each(0.85, -change)
    assert found[0] == pytest.approx(fixed, rel=0.03)
    assert found[1] == pytest.approx(any_time, rel=0.03)


@pytest.mark.parametrize(("margin", "fixed", "any_time"), [(0.03, 1300, 2490), (0.05, 463, 887)])
def test_pairs_that_a_margin_wants(margin: float, fixed: int, any_time: int) -> None:
    found = pairs(0.15, margin)
    assert found[0] == pytest.approx(fixed, rel=0.03)
    assert found[1] == pytest.approx(any_time, rel=0.03)


@pytest.mark.parametrize(("share", "change"), [(0.85, 0.2), (0.0, 0.1), (0.5, 0.0)])
def test_a_change_that_cannot_be_is_refused(share: float, change: float) -> None:
    with pytest.raises(ValueError, match="no share"):
        units_each(share, change)


def test_conversations_that_went_where_they_should_raise_no_alarm() -> None:
    chance = np.random.default_rng(2)
    alarms = 0
    for _ in range(300):
        found = Shares()
        for one in chance.random(2000):
            found = found.after("b" if one < 0.1 else "a", {"a": 0.9, "b": 0.1})
            if found.against(0.05):
                alarms += 1
                break
    assert alarms / 300 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 300)


def test_conversations_that_went_elsewhere_do() -> None:
    arms = ["b" if number % 3 == 0 else "a" for number in range(600)]
    assert shares_of(arms, {"a": 0.5, "b": 0.5}).against()


def test_an_arm_that_had_no_chance_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing"):
        Shares().after("c", {"a": 0.5, "b": 0.5})
