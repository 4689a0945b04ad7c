"""Arithmetic on groups: what has a number in common. Owns nothing else; knows nothing of what a number means."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def starts(groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An order in which the members of each group stand together, earlier ones first, and for each place of that order
    the place at which its group begins."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    places = np.arange(len(groups))
    begins = np.ones(len(groups), bool)
    begins[1:] = ordered[1:] != ordered[:-1]
    return order, np.maximum.accumulate(np.where(begins, places, 0))


def ranks(groups: np.ndarray) -> np.ndarray:
    """For each member how many of its group stand before it."""
    order, begins = starts(groups)
    ranked = np.empty(len(groups), np.int64)
    ranked[order] = np.arange(len(groups)) - begins
    return ranked


def highest(counts: np.ndarray, share: float, least: int, others: int = 0) -> int | None:
    """How many of each group may stay, so that no group holds more than `share` of what stays.

    Where that would leave fewer than `least` members, as few more as it takes for `least` to stay. None, no limit:
    where there are not twice as many groups as the share needs. `others` stay and are in no group.
    """
    if share >= 1 or len(counts) * share < 2:
        return None
    most = int(counts.max())
    wanted = min(least, others + int(counts.sum()))

    def staying(level: int) -> int:
        return others + int(np.minimum(counts, level).sum())

    fair = _last(most, lambda level: level <= share * staying(level))
    enough = _last(most, lambda level: staying(level) < wanted) + 1
    return min(max(fair, enough), most)


def _last(most: int, holds: Callable[[int], bool]) -> int:
    """The last number from 0 to `most` up to which something holds; once it does not, it never does again."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low
