"""Whole caches of prompts seen before, for models whose caches cannot be cut at any token.

State-space layers keep one state and rotating windows forget: what such a cache held ten tokens ago is gone. So a
snapshot is kept for exactly the tokens it was told, and a prompt continues from the longest snapshot that it begins
with. Works for any of mlx-lm's caches that copy.copy can copy; plain KV caches are better off in the tree. Knows
nothing of requests or models.

Safe for threads that each have an MLX stream of their own: arrays are copied and computed outside the lock, and none
is kept or handed out that is not computed.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import Any

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten

from gateway.engine.prefixes.segments import Segments
from gateway.engine.prefixes.tree import Stats

_Name = tuple[str | None, int, bytes]  # key, number of tokens, digest of the tokens


@dataclass(frozen=True)
class _Snapshot:
    caches: list[Any]
    nbytes: int


class Snapshots:
    """Caches by key and tokens, at most `limit` bytes of them: the least recently used end first.

    Those that `protect` is told of go last; see Segments.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: dict[_Name, _Snapshot] = {}
        self._lengths: dict[str | None, dict[int, int]] = {}  # per key: how many snapshots of so many tokens there are
        self._order: Segments[_Name] = Segments(limit // 2)
        self._lock = threading.Lock()
        self._hits = self._misses = self._hit_tokens = self._evictions = 0

    @property
    def nbytes(self) -> int:
        """Bytes of all kept caches."""
        return self._order.nbytes

    def match(self, key: str | None, tokens: list[int]) -> int:
        """How many of the first tokens the longest fitting snapshot covers."""
        with self._lock:
            name = self._longest(key, tokens)
        return name[1] if name else 0

    def fetch(self, key: str | None, tokens: list[int]) -> tuple[list[Any] | None, int]:
        """Caches of the longest snapshot that `tokens` begin with, and how many tokens it covers."""
        with self._lock:
            name = self._longest(key, tokens)
            self._count(name[1] if name else 0)
            if name is None:
                return None, 0
            self._order.touch(name)
            snapshot = self._kept[name]
        return _handed_out(snapshot), name[1]

    def whole(self, key: str | None, tokens: list[int]) -> list[Any] | None:
        """Caches of exactly these tokens, or None. Does not count as a use."""
        with self._lock:
            snapshot = self._kept.get(_name(key, tokens))
        return _handed_out(snapshot) if snapshot else None

    def keep(self, key: str | None, tokens: list[int], caches: list[Any]) -> None:
        """Remember a copy of the caches, which must hold `tokens` and nothing else."""
        name = _name(key, tokens)
        with self._lock:
            if name in self._kept:
                self._order.touch(name)
                return
        if not tokens or sum(cache.nbytes for cache in map(trimmed, caches)) > self._limit:
            return
        own = [_mapped(trimmed(cache), mx.contiguous) for cache in caches]
        arrays = _arrays(own)
        mx.eval(arrays)
        with self._lock:
            if name not in self._kept:  # else another thread was faster
                self._add(name, _Snapshot(own, sum(array.nbytes for array in arrays)))
            self._evict(self._limit)

    def protect(self, key: str | None, tokens: list[int]) -> None:
        """Let the snapshot of exactly these tokens go last."""
        name = _name(key, tokens)
        with self._lock:
            if name in self._kept:
                self._order.protect(name)

    def forget(self, key: str | None) -> None:
        """Drop everything kept under a key."""
        with self._lock:
            for name in [name for name in self._kept if name[0] == key]:
                self._drop(name)

    def trim_to(self, nbytes: int) -> int:
        """Give up snapshots until at most `nbytes` are kept; how many bytes that freed."""
        with self._lock:
            before = self._order.nbytes
            self._evict(nbytes)
            return before - self._order.nbytes

    def stats(self) -> Stats:
        with self._lock:
            counts = (self._hits, self._misses, self._hit_tokens, self._evictions)
            return Stats(*counts, len(self._order), self._order.nbytes)

    # From here on the caller holds the lock.

    def _longest(self, key: str | None, tokens: list[int]) -> _Name | None:
        lengths = sorted(length for length in self._lengths.get(key, ()) if length <= len(tokens))
        names = [(key, length, digest) for length, digest in zip(lengths, _digests(tokens, lengths), strict=True)]
        return next((name for name in reversed(names) if name in self._kept), None)

    def _add(self, name: _Name, snapshot: _Snapshot) -> None:
        self._kept[name] = snapshot
        self._order.add(name, snapshot.nbytes)
        lengths = self._lengths.setdefault(name[0], {})
        lengths[name[1]] = lengths.get(name[1], 0) + 1

    def _drop(self, name: _Name) -> None:
        del self._kept[name]
        self._order.remove(name)
        lengths = self._lengths[name[0]]
        lengths[name[1]] -= 1
        if not lengths[name[1]]:
            del lengths[name[1]]
        if not lengths:
            del self._lengths[name[0]]

    def _count(self, known: int) -> None:
        self._hits += known > 0
        self._misses += known == 0
        self._hit_tokens += known

    def _evict(self, limit: int) -> None:
        while self._order.nbytes > max(limit, 0):
            self._drop(self._order.first())
            self._evictions += 1


def _name(key: str | None, tokens: list[int]) -> _Name:
    [digest] = _digests(tokens, [len(tokens)])
    return key, len(tokens), digest


def _digests(tokens: list[int], lengths: Sequence[int]) -> Iterator[bytes]:
    """The digests of the first so many tokens, for ascending lengths, in one pass over the tokens."""
    content = np.array(tokens, np.int64).tobytes()
    running = blake2b(digest_size=32)
    for start, end in pairwise((0, *lengths)):
        running.update(content[8 * start : 8 * end])
        yield running.copy().digest()


def _handed_out(snapshot: _Snapshot) -> list[Any]:
    """Cache objects of the caller's own over the same data: what he writes, MLX writes into a copy.

    The arrays need objects of their own too, as an assignment to a slice replaces what the object stands for.
    """
    return [_mapped(cache, copy.deepcopy) for cache in snapshot.caches]


def trimmed(cache: Any) -> Any:
    """The cache without the room it has left for growth."""
    cache = copy.copy(cache)
    if hasattr(cache, "caches"):
        cache.caches = tuple(trimmed(part) for part in cache.caches)
    elif hasattr(cache, "keys_and_values") and not cache.empty():
        cache.keys, cache.values = cache.keys_and_values()
    return cache


def _mapped(value: Any, function: Callable[[mx.array], mx.array]) -> Any:
    """A copy of a cache, or of what is in one, with `function` applied to each array."""
    if isinstance(value, mx.array):
        return function(value)
    if isinstance(value, list | tuple):
        return type(value)(_mapped(part, function) for part in value)
    if hasattr(value, "state"):
        value = copy.copy(value)
        vars(value).update({name: _mapped(part, function) for name, part in vars(value).items()})
    return value


def _arrays(caches: list[Any]) -> list[mx.array]:
    return [leaf for _, leaf in tree_flatten([cache.state for cache in caches]) if isinstance(leaf, mx.array)]
