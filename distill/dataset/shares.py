"""Shares: which of the examples that could be learnt are taken, so that no group has too much of them and no category
is forgotten. Owns the limits; knows nothing of how a group came about.
"""

from __future__ import annotations

import msgspec
import numpy as np

from distill.dataset.fates import Fates
from distill.dataset.groups import highest, ranks
from distill.dataset.mixture import Mixture

_KINDS = ("category", "conversation", "repository", "client")


class Room(msgspec.Struct, frozen=True):
    """How many examples there may be, and how many bytes of lines."""

    examples: int
    bytes: int

    def part(self, share: float) -> Room:
        return Room(int(self.examples * share), int(self.bytes * share))

    def without(self, sizes: np.ndarray) -> Room:
        """What is left beside lines of these sizes."""
        return Room(self.examples - len(sizes), self.bytes - int(sizes.sum(dtype=np.int64)))


def balanced(records: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The places in turns: the first of every category, then the second of every one that has a second, and so on."""
    taken: np.ndarray = places[np.argsort(ranks(records["category"][places]), kind="stable")]
    return taken


def within(records: np.ndarray, places: np.ndarray, room: Room, fates: Fates) -> np.ndarray:
    """The first of the places that there is room for."""
    sizes = np.cumsum(records["size"][places].astype(np.int64))
    over = (np.arange(len(places)) >= room.examples) | (sizes > room.bytes)
    return fates.drop(places, over, "over_size")


def limited(records: np.ndarray, places: np.ndarray, mixture: Mixture, fates: Fates) -> np.ndarray:
    """The places, earlier ones first, without those by which a category, conversation, repository or client, or what is
    replayed, would have more than its share. Every limit holds of what is returned."""
    before = -1
    while len(places) != before:
        before = len(places)
        for kind in _KINDS:
            share = mixture.category if kind == "category" else mixture.group
            places = fates.drop(places, _over(records[kind][places], share, mixture.least), f"over_{kind}")
        places = fates.drop(places, _over_replay(records["replayed"][places], mixture.replay), "over_replay")
    return places


def _over(groups: np.ndarray, share: float, least: int) -> np.ndarray:
    """True for each member of a group that comes behind as many others of it as may stay. 0 is no group."""
    known = groups != 0
    counts = np.unique(groups[known], return_counts=True)[1]
    level = highest(counts, share, least, others=int(np.count_nonzero(~known)))
    if level is None:
        return np.zeros(len(groups), bool)
    over: np.ndarray = known & (ranks(groups) >= level)
    return over


def _over_replay(replayed: np.ndarray, share: float) -> np.ndarray:
    """True for the last of the replayed ones, as many as exceed their share of all that stay."""
    fresh = np.count_nonzero(~replayed)
    return replayed & (np.cumsum(replayed) > int(fresh * share / (1 - share)))
