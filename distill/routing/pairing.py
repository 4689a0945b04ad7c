"""Two students beside each other on the same requests: whether the new one is no worse, by drafts that are kept.

Owns what is paired. Drafts come from `replaying`; what the pairs prove is `router.guard.Paired`'s.
"""

from __future__ import annotations

from collections import defaultdict
from statistics import fmean

import msgspec

from distill.routing.replaying import labels
from distill.store.store import TraceStore
from router.guard import Paired

MARGIN = 0.02  # by which the new one may be worse, and still count as no worse
ALPHA = 0.05


class Pairs(msgspec.Struct, frozen=True):
    """`requests` in `conversations` were drafted by both; the new student was worse where the old one was not in `lost`
    of them, and the other way round in `won`. `no_worse` and `better` are the evidence for that."""

    requests: int
    conversations: int
    won: int
    lost: int
    no_worse: Paired
    better: Paired

    @property
    def verdict(self) -> str:
        """In words."""
        if self.better.against(ALPHA):
            return "better"
        return f"no worse by {MARGIN:.0%}" if self.no_worse.against(ALPHA) else "not decided"


async def paired(store: TraceStore, until: int, new: str, old: str) -> Pairs:
    """The drafts of two students, by the names of their models, for requests up to the number `until`.

    Requests of one conversation go wrong together: their mean difference counts, once.
    """
    before = {label.trace: label.worse async for label in labels(store, until, old)}
    differences: dict[str, list[int]] = defaultdict(list)
    async for label in labels(store, until, new):
        if label.trace in before:
            differences[label.conversation].append(int(label.worse) - int(before[label.trace]))
    no_worse, better = Paired(MARGIN), Paired(0.0)
    for found in differences.values():
        no_worse, better = no_worse.after(fmean(found)), better.after(fmean(found))
    each = [one for found in differences.values() for one in found]
    return Pairs(len(each), len(differences), each.count(-1), each.count(1), no_worse, better)
