"""Which of the things kept goes first when room is needed: the oldest, and those that several share last.

Owns an order and a count of bytes: a segmented LRU (Karedla, Love and Wherry, "Caching strategies to improve disk
system performance", IEEE Computer 27(3), 1994), every operation O(1). Knows nothing of what the things are. Not safe
for threads by itself.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class Segments(Generic[Item]):
    """Items with their bytes. Protected ones go last; they fill at most `protected_limit` bytes.

    When they come to more, the protected item longest unused becomes a common one again, so that prefixes nobody
    asks for any more cannot keep everything else out.
    """

    def __init__(self, protected_limit: int) -> None:
        self._protected_limit = protected_limit
        self._common: OrderedDict[Item, int] = OrderedDict()
        self._protected: OrderedDict[Item, int] = OrderedDict()
        self._protected_bytes = 0
        self.nbytes = 0

    def __len__(self) -> int:
        return len(self._common) + len(self._protected)

    def add(self, item: Item, nbytes: int, like: Item | None = None) -> None:
        """Take in a new item as the one used last; it is protected if `like` is."""
        self._common[item] = nbytes
        self.nbytes += nbytes
        if like is not None and like in self._protected:
            self.protect(item)

    def touch(self, item: Item) -> None:
        """The item has been used."""
        (self._protected if item in self._protected else self._common).move_to_end(item)

    def protect(self, item: Item) -> None:
        """The item has been used, and others than this user do so too."""
        if item in self._common:
            self._protected[item] = self._common.pop(item)
            self._protected_bytes += self._protected[item]
        self._protected.move_to_end(item)
        while self._protected_bytes > self._protected_limit:
            oldest, nbytes = self._protected.popitem(last=False)
            self._protected_bytes -= nbytes
            self._common[oldest] = nbytes

    def resize(self, item: Item, nbytes: int) -> None:
        """The item has become smaller or larger; its place in the order stays."""
        protected = item in self._protected
        segment = self._protected if protected else self._common
        change = nbytes - segment[item]
        segment[item] = nbytes
        self.nbytes += change
        self._protected_bytes += change if protected else 0

    def remove(self, item: Item) -> None:
        """The item is gone."""
        if item in self._protected:
            nbytes = self._protected.pop(item)
            self._protected_bytes -= nbytes
        else:
            nbytes = self._common.pop(item)
        self.nbytes -= nbytes

    def first(self) -> Item:
        """The item to give up first. There must be one."""
        return next(iter(self._common or self._protected))
