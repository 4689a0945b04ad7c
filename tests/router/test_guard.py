"""Guards by simulation: false alarms over thousands of looks, and how soon a worse arm is found."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import numpy as np
import pytest

from router.guard import Control, Limit, Paired

_PATHS = 400


def _first_alarm(guard: Limit, bad: np.ndarray, alpha: float) -> int | None:
    for number, one in enumerate(bad, 1):
        guard = guard.after(bool(one))
        if guard.against(alpha):
            return number
    return None


def _found(limit: float, share: float, alpha: float, looks: int, seed: int) -> list[int | None]:
    chance = np.random.default_rng(seed)
    return [_first_alarm(Limit(limit), chance.random(looks) < share, alpha) for _ in range(_PATHS)]


@pytest.mark.parametrize(("limit", "alpha"), [(0.02, 0.01), (0.05, 0.05), (0.2, 0.05)])
def test_a_limit_that_is_kept_alarms_no_oftener_than_promised(limit: float, alpha: float) -> None:
    alarms = sum(one is not None for one in _found(limit, limit, alpha, 2000, 3)) / _PATHS
    assert alarms <= alpha + 2 * math.sqrt(alpha * (1 - alpha) / _PATHS)


@pytest.mark.parametrize(
    ("limit", "share", "median"), [(0.02, 0.10, 65), (0.02, 0.05, 417), (0.05, 0.10, 319), (0.05, 0.20, 41)]
)
def test_a_limit_that_is_exceeded_is_found_in_time(limit: float, share: float, median: int) -> None:
    found = [one if one is not None else 10**9 for one in _found(limit, share, 0.01, 6 * median, 4)]
    assert np.median(found) <= 1.25 * median


def _blocks(
    chance: np.random.Generator, ratio: int, shares: tuple[float, float], count: int
) -> Iterator[tuple[bool, bool]]:
    for _ in range(count):
        yield from ((False, bool(one)) for one in chance.random(ratio) < shares[0])
        yield True, bool(chance.random() < shares[1])


def _alarm(ratio: int, shares: tuple[float, float], count: int, alpha: float, seed: int) -> list[int | None]:
    """The number of the canary's outcome at which each path alarmed."""
    chance = np.random.default_rng(seed)
    found: list[int | None] = []
    for _ in range(_PATHS // 2):
        guard = Control(ratio)
        at = None
        for is_canary, bad in _blocks(chance, ratio, shares, count):
            guard = guard.after(is_canary, bad)
            if guard.against(alpha):
                at = guard.canary
                break
        found.append(at)
    return found


@pytest.mark.parametrize(("ratio", "looks"), [(1, 1000), (9, 200)])
def test_arms_that_are_alike_alarm_no_oftener_than_promised(ratio: int, looks: int) -> None:
    alarms = sum(one is not None for one in _alarm(ratio, (0.1, 0.1), looks, 0.05, 5)) / (_PATHS // 2)
    assert alarms <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / (_PATHS // 2))


@pytest.mark.parametrize(
    ("ratio", "shares", "median"), [(1, (0.02, 0.10), 171), (9, (0.02, 0.10), 77), (9, (0.05, 0.10), 313)]
)
def test_a_worse_canary_is_found_in_time(ratio: int, shares: tuple[float, float], median: int) -> None:
    """With 9 controls to a canary, 77 of its outcomes; at half and half, as many of either."""
    found = [one if one is not None else 10**9 for one in _alarm(ratio, shares, 5 * median, 0.01, 6)]
    assert np.median(found) <= 1.25 * median


def test_a_block_waits_until_it_is_whole_and_the_order_inside_does_not_matter() -> None:
    one = Control(2).after(True, True).after(False, False)
    assert (one.canary, one.control, one.log) == (0, 0, 0.0)
    whole = one.after(False, False)
    other = Control(2).after(False, False).after(False, False).after(True, True)
    assert whole == other
    assert (whole.canary, whole.control, whole.canary_bad) == (1, 2, 1)


def test_controls_do_not_pile_up() -> None:
    guard = Control(2)
    for _ in range(1000):
        guard = guard.after(False, True)
    assert len(guard.waiting_control) == 2
    waiting = Control(2)
    for _ in range(1000):
        waiting = waiting.after(True, True)
    assert len(waiting.waiting_canary) == 20


def test_shares_of_the_traffic_may_change_between_blocks() -> None:
    guard = Control(3).after(True, False).with_ratio(1).after(False, False)
    assert (guard.canary, guard.control) == (1, 1)


def _paired(margin: float, worse: float, better: float, items: int, alpha: float, seed: int) -> list[int | None]:
    chance = np.random.default_rng(seed)
    found: list[int | None] = []
    for _ in range(_PATHS):
        drawn = chance.random(items)
        guard, at = Paired(margin), None
        for number, one in enumerate(drawn, 1):
            guard = guard.after(1.0 if one < worse else -1.0 if one < worse + better else 0.0)
            if guard.against(alpha):
                at = number
                break
        found.append(at)
    return found


def test_an_arm_that_is_worse_by_the_margin_is_accepted_no_oftener_than_promised() -> None:
    accepted = sum(one is not None for one in _paired(0.03, 0.09, 0.06, 2000, 0.05, 7)) / _PATHS
    assert accepted <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / _PATHS)


def test_an_arm_that_is_as_good_is_accepted_in_time() -> None:
    """Where 15 % of the items differ and 5 points are allowed: 887 pairs have a chance of 80 %."""
    found = [one if one is not None else 10**9 for one in _paired(0.05, 0.075, 0.075, 3000, 0.05, 8)]
    assert np.quantile(found, 0.8) <= 1.25 * 887


def test_an_arm_that_is_better_is_found_superior() -> None:
    found = [one if one is not None else 10**9 for one in _paired(0.0, 0.03, 0.12, 2000, 0.05, 9)]
    assert np.median(found) < 300


@pytest.mark.parametrize("difference", [1.5, -1.01, float("nan")])
def test_a_difference_that_is_none_is_refused(difference: float) -> None:
    with pytest.raises(ValueError, match="between"):
        Paired(0.02).after(difference)


def test_an_outage_that_hits_both_arms_is_nobody_s_fault() -> None:
    """Controls come by the dozen before it; those of its own time are what the candidate is held against."""
    ends = 0
    for seed in range(100):
        chance, guard = random.Random(seed), Control(20)
        for number in range(20_000):
            canary = chance.random() < 0.01
            bad = 10_000 <= number < 10_320 or chance.random() < 0.005
            guard = guard.after(canary, bad)
        ends += guard.against(0.01)
    assert ends <= 3
