"""Answers kept for requests that are repeated: so many bytes, for so long, in memory alone.

Owns what is kept and what has to go. Knows nothing of requests: whoever asks brings a key that tells them apart.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection

import msgspec

from router.decision import Arm

_ENTRY_BYTES = 500  # what an entry takes beside its answer


class Kept(msgspec.Struct, frozen=True):
    """An answer as JSON, and the arm and the trace it came from."""

    body: bytes
    arm: Arm
    trace: str

    @property
    def size(self) -> int:
        return len(self.body) + _ENTRY_BYTES


class CacheStatus(msgspec.Struct, frozen=True):
    """`hits` and `misses` of the requests that might have been repeated ones, since the start."""

    entries: int
    bytes: int
    hits: int
    misses: int


class ResponseCache:
    """Until `bound` says otherwise nothing is kept. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._limit, self._seconds = 0, 0.0
        self._entries: OrderedDict[bytes, tuple[Kept, float]] = OrderedDict()  # least used first; since when
        self._bytes = 0
        self._hits = 0
        self._misses = 0

    def bound(self, size: int, seconds: float) -> None:
        """Keep at most `size` bytes (0: nothing), and each answer for so long."""
        self._limit, self._seconds = size, seconds
        self._make_room()

    @property
    def on(self) -> bool:
        return self._limit > 0

    @property
    def status(self) -> CacheStatus:
        return CacheStatus(len(self._entries), self._bytes, self._hits, self._misses)

    def find(self, key: bytes) -> Kept | None:
        kept, since = self._entries.get(key, (None, 0.0))
        if kept is not None and self._clock() - since >= self._seconds:
            self._drop(key)
            kept = None
        if kept is None:
            self._misses += 1
            return None
        self._entries.move_to_end(key)
        self._hits += 1
        return kept

    def put(self, key: bytes, kept: Kept) -> None:
        """Keep an answer; those that were not used for longest make room for it. One that is too large is not kept."""
        if kept.size > self._limit:
            return
        if key in self._entries:
            self._drop(key)
        self._entries[key] = kept, self._clock()
        self._bytes += kept.size
        self._make_room()

    def forget(self, traces: Collection[str]) -> None:
        """Drop the answers that came of these traces."""
        for key in [key for key, (kept, _) in self._entries.items() if kept.trace in traces]:
            self._drop(key)

    def _make_room(self) -> None:
        while self._bytes > self._limit:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: bytes) -> None:
        kept, _ = self._entries.pop(key)
        self._bytes -= kept.size
