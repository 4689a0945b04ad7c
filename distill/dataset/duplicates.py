"""Duplicates: examples that say what another one says, exactly or nearly. Owns the search; which of two stays follows
from their order.

Near duplicates are found by MinHash: those whose signatures agree in one of the bands are compared as wholes, and only
with those that stay, so that a search among what is left finds nothing more.
"""

from __future__ import annotations

import math

import numpy as np

from distill.dataset.groups import starts
from distill.dataset.ledger import BANDS, PERMUTATIONS

ALIKE = 0.8  # Jaccard similarity from which two examples say the same
_AGREEING = math.ceil(PERMUTATIONS * (ALIKE + (1 - ALIKE) / 256))  # bytes of two signatures; some agree by chance
_COMPARED = 64  # members of a bucket that one is compared with: bounds the time where thousands are a little alike
_SPREAD = np.array([0x9E3779B97F4A7C15], np.uint64)  # odd: spreads a band's number over all bits


def exact_duplicates(said: np.ndarray) -> np.ndarray:
    """True for each that an earlier one equals."""
    again = np.ones(len(said), bool)
    again[np.unique(said, return_index=True)[1]] = False
    return again


def near_duplicates(records: np.ndarray, places: np.ndarray) -> np.ndarray:
    """For each of the places, in their order, whether an earlier one of its class that stays is nearly the same."""
    found = np.zeros(len(places), bool)
    buckets = _Buckets(records, places)
    for one in buckets.shared():
        if buckets.like(one):
            found[one] = True
        else:
            buckets.keep(one)
    return found


class _Buckets:
    """For each band, the examples that agree in it and in their class, as far as they stay.

    A bucket's members that stay are written one behind the other into an array, from where the bucket begins in an
    order of all: a few bytes an example, whatever the buckets' sizes.
    """

    def __init__(self, records: np.ndarray, places: np.ndarray) -> None:
        self._signatures = records["signature"]
        self._places = places
        classes = records["class"][places] * _SPREAD
        self._begins = np.stack([_begins(classes + records["bands"][places, band]) for band in range(BANDS)])
        self._kept = np.zeros(self._begins.shape, np.int32)
        self._counts = np.zeros(self._begins.shape, np.int32)

    def shared(self) -> list[int]:
        """Those that agree with another one in some band."""
        found: list[int] = np.flatnonzero((self._begins >= 0).any(axis=0)).tolist()
        return found

    def like(self, one: int) -> bool:
        """Is one that stays nearly the same?"""
        bands = [
            self._kept[band, begin : begin + self._counts[band, begin]]
            for band, begin in enumerate(self._begins[:, one].tolist())
            if begin >= 0
        ]
        others = self._signatures[self._places[np.concatenate(bands)]]
        agreeing = np.count_nonzero(others == self._signatures[self._places[one]], axis=1)
        return bool((agreeing >= _AGREEING).any())

    def keep(self, one: int) -> None:
        for band, begin in enumerate(self._begins[:, one].tolist()):
            if begin >= 0 and (count := self._counts[band, begin]) < _COMPARED:
                self._kept[band, begin + count] = one
                self._counts[band, begin] = count + 1


def _begins(buckets: np.ndarray) -> np.ndarray:
    """For each where its bucket begins, -1 where it is alone in it."""
    order, begins = starts(buckets)
    sizes = np.bincount(begins, minlength=len(buckets))
    found = np.empty(len(buckets), np.int32)
    found[order] = np.where(sizes[begins] > 1, begins, -1)
    return found
