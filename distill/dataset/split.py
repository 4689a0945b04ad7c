"""Split: which examples are held out of the training. Owns the rule; knows nothing of files.

By repository, where whole ones fit into the share that is held out and fill at least half of it; else the newest days,
under the same condition; else by a digest of the conversation. A conversation is never divided.
"""

from __future__ import annotations

import numpy as np

from distill.dataset.groups import starts

_WHOLE = 2.0**64


def held_out(records: np.ndarray, places: np.ndarray, share: float) -> tuple[np.ndarray, str]:
    """For each of the places whether it is held out, and by what they were told apart: "repository", "time",
    "conversation", or "none" where nothing is held out."""
    conversations = records["conversation"][places]
    room = int(share * len(places))
    ways = {
        "repository": _repositories(records["repository"][places], room),
        "time": _days(conversations, records["day"][places], room),
    }
    for way, held in ways.items():
        if held.any() and 2 * np.count_nonzero(held) >= room:
            whole = np.isin(conversations, conversations[held])
            if not whole.all():  # one conversation may be about several repositories, and be all there is
                return whole, way
    held = conversations < share * _WHOLE
    if held.any() and not held.all():
        return held, "conversation"
    return np.zeros(len(places), bool), "none"


def _repositories(names: np.ndarray, room: int) -> np.ndarray:
    """Whole repositories by their digests, as many as there is room for. Unknown ones are never held out."""
    chosen = []
    for name, size in zip(*(found.tolist() for found in np.unique(names, return_counts=True)), strict=True):
        if name and size <= room:
            chosen.append(name)
            room -= size
    return np.isin(names, np.array(chosen, np.uint64))


def _days(conversations: np.ndarray, days: np.ndarray, room: int) -> np.ndarray:
    """The newest whole days, as many as there is room for. A conversation belongs to the day on which it ended."""
    order, begins = starts(conversations)
    last = np.zeros(len(days), np.int32)
    np.maximum.at(last, begins, days[order])
    ended = np.empty(len(days), np.int32)
    ended[order] = last[begins]
    known, sizes = np.unique(ended, return_counts=True)
    fitting = np.count_nonzero(np.cumsum(sizes[::-1]) <= room)
    return ended >= known[-fitting] if fitting else np.zeros(len(days), bool)
