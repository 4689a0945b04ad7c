"""Two means compared as often as one likes: asymptotic confidence sequences, and how many units they need.

Owns the arithmetic. Pure; knows nothing of what is compared. For few units or rare events the guards are exact; this is
not: at least 50 units an arm are wanted.

Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Time-uniform central limit theory and asymptotic confidence sequences
(arXiv 2103.06476), in the form with ρ set for a number of units at which the interval is to be narrowest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

import msgspec

FEWEST = 50  # units of each arm, before which the interval says nothing


class Sums(msgspec.Struct, frozen=True):
    """What is known of one arm: its units, and the sums of their values and of the squares."""

    units: int = 0
    sum: float = 0.0
    squares: float = 0.0

    def after(self, value: float) -> Sums:
        return Sums(self.units + 1, self.sum + value, self.squares + value * value)

    @property
    def mean(self) -> float:
        return self.sum / self.units if self.units else 0.0

    @property
    def variance(self) -> float:
        """Of the values, as far as known: never below what one more unit, as far off as can be, would make it."""
        if self.units < 2:
            return 0.25
        found = (self.squares - self.units * self.mean**2) / (self.units - 1)
        return max(found, 0.25 / self.units)


class Interval(msgspec.Struct, frozen=True):
    """The difference of two means, and between what it lies with the confidence asked for, whenever one looks."""

    difference: float
    low: float
    high: float


def interval(control: Sums, treated: Sums, expected: int, alpha: float = 0.05) -> Interval:
    """Treated less control. `expected` are the units of both at which one thinks to decide; the width hardly depends on
    it. Without enough units the interval is unbounded."""
    difference = treated.mean - control.mean
    if min(control.units, treated.units) < FEWEST:
        return Interval(difference, -math.inf, math.inf)
    error = math.sqrt(control.variance / control.units + treated.variance / treated.units)
    half = error * multiplier(control.units + treated.units, expected, alpha)
    return Interval(difference, difference - half, difference + half)


def multiplier(units: int, expected: int, alpha: float = 0.05) -> float:
    """By how many standard errors the interval reaches to either side."""
    grown = units * _tuned(expected, alpha) + 1
    return math.sqrt(2 * grown / (grown - 1) * math.log(math.sqrt(grown) / alpha))


def _tuned(expected: int, alpha: float) -> float:
    """ρ² that makes the interval narrowest, nearly, at so many units."""
    return (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / expected


def units_each(share: float, change: float, alpha: float = 0.05, power: float = 0.8) -> tuple[int, int]:
    """How many units an arm needs to find that a share of `share` changed by `change`: at a time fixed beforehand, and
    with looks at any time.

    Raises ValueError where a share would leave 0..1, or for no change.
    """
    other = share + change
    if not (0 < share < 1 and 0 <= other <= 1 and change):
        raise ValueError(f"there is no share of {share:g} that changes by {change:g}")
    spread = share * (1 - share) + other * (1 - other)
    return _units(spread, change, alpha, power)


def pairs(discordant: float, margin: float, alpha: float = 0.05, power: float = 0.8) -> tuple[int, int]:
    """How many items that both arms answer show that neither is worse by `margin`, where they differ in a share of
    `discordant`: at a fixed time, and with looks at any time."""
    if not (0 < discordant <= 1 and margin):
        raise ValueError("a margin and a share of differing answers are wanted")
    return _units(discordant, margin, alpha, power)


def _units(variance: float, change: float, alpha: float, power: float) -> tuple[int, int]:
    normal = NormalDist()
    missed = normal.inv_cdf(power)
    fixed = (normal.inv_cdf(1 - alpha / 2) + missed) ** 2
    reach = multiplier(500, 500, alpha)  # at the number it is tuned for it is the same for all numbers
    return math.ceil(variance * fixed / change**2), math.ceil(variance * (reach + missed) ** 2 / change**2)


class Shares(msgspec.Struct, frozen=True):
    """Null hypothesis: units went to arms with the chances that were set. Evidence against it is the Bayes factor of
    any chances to these (Lindon and Malek, Anytime-valid inference for multinomial count data, arXiv 2011.03567)."""

    counts: Mapping[str, int] = {}
    log: float = 0.0

    def after(self, arm: str, chances: Mapping[str, float]) -> Shares:
        """With one more unit, which went to `arm` where the chances were these; they may change from unit to unit.

        Raises ValueError for an arm that had no chance.
        """
        if chances.get(arm, 0.0) <= 0:
            raise ValueError(f"nothing could have gone to {arm!r}")
        total = sum(self.counts.values())
        prior = _PRIOR * chances[arm]
        guessed = (self.counts.get(arm, 0) + prior) / (total + _PRIOR)
        return Shares({**self.counts, arm: self.counts.get(arm, 0) + 1}, self.log + math.log(guessed / chances[arm]))

    def against(self, alpha: float = 0.001) -> bool:
        return self.log >= -math.log(alpha)


_PRIOR = 100.0  # units that the chances set weigh, before any came


def shares_of(arms: Sequence[str], chances: Mapping[str, float]) -> Shares:
    """The evidence of units that came with the same chances, in their order."""
    found = Shares()
    for arm in arms:
        found = found.after(arm, chances)
    return found
