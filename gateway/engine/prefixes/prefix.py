"""What of a prompt need not be computed again: prefixes in memory and, of those that several share, on disk.

Owns the choice of how a model's caches are kept, and which prefixes are shared: system prompts and tools that two
conversations or more have used. Such prefixes go last when memory is short and, unless a private job brought them, are
written to the shelf. Knows nothing of requests. Safe for threads that each have an MLX stream of their own.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Protocol

import mlx.core as mx
import numpy as np
from mlx_lm.models.cache import CacheList, KVCache

from gateway.engine.prefixes.shelf import Shelf, ShelfStats
from gateway.engine.prefixes.snapshots import Snapshots
from gateway.engine.prefixes.tree import PrefixTree, Stats

_REMEMBERED = 1024  # prefixes of which it is known who used them


class Memory(Protocol):
    """How prefixes are kept in memory: PrefixTree or Snapshots, which say what each call does."""

    @property
    def nbytes(self) -> int: ...
    def match(self, key: str | None, tokens: list[int]) -> int: ...
    def fetch(self, key: str | None, tokens: list[int]) -> tuple[list[Any] | None, int]: ...
    def whole(self, key: str | None, tokens: list[int]) -> list[Any] | None: ...
    def keep(self, key: str | None, tokens: list[int], caches: list[Any]) -> None: ...
    def protect(self, key: str | None, tokens: list[int]) -> None: ...
    def forget(self, key: str | None) -> None: ...
    def trim_to(self, nbytes: int) -> int: ...
    def stats(self) -> Stats: ...


@dataclass(frozen=True)
class PrefixStats:
    """`kept` is of memory alone; what came from the shelf counts there as a hit too."""

    kept: Stats
    shelf: ShelfStats | None


def prefix_cache(caches: list[Any], limit: int, shelf: Shelf | None = None) -> PrefixCache:
    """The prefix cache for a model that makes `caches`: at most `limit` bytes in memory.

    Caches that have run (after a warm-up) also fix the shapes and types that a file must have; empty ones the kinds.
    What a cache holds must hang on the tokens alone: of one that cuts a full attention short it does not.
    """
    plain = all(type(cache) is KVCache for cache in caches)
    return PrefixCache(PrefixTree(limit) if plain else Snapshots(limit), caches, shelf)


class PrefixCache:
    """Prefixes by key (an adapter's content digest; None: the base) and tokens."""

    def __init__(self, memory: Memory, caches: list[Any], shelf: Shelf | None) -> None:
        self._memory = memory
        self._caches = [_traits(cache) for cache in caches]
        self._shelf = shelf
        self._users = _Users()

    @property
    def nbytes(self) -> int:
        """Bytes kept in memory."""
        return self._memory.nbytes

    def match(self, key: str | None, tokens: list[int]) -> int:
        """How many of the first tokens need not be computed."""
        shelved = self._shelf.match(key, tokens) if self._shelf else 0
        return max(shelved, self._memory.match(key, tokens))

    def fetch(self, key: str | None, tokens: list[int]) -> tuple[list[Any] | None, int]:
        """Caches that hold the longest kept prefix of `tokens`, the caller's to write into, and its length."""
        if self._shelf and self._shelf.match(key, tokens) > self._memory.match(key, tokens):
            self._take_down(self._shelf, key, tokens)
        return self._memory.fetch(key, tokens)

    def keep(self, key: str | None, tokens: list[int], caches: list[Any]) -> None:
        """Remember a copy of the caches, which must hold `tokens` and nothing else.

        Plain caches can be continued from any of the tokens later, others from this very point only.
        """
        self._memory.keep(key, tokens, caches)

    def used(self, key: str | None, tokens: list[int], conversation: str, private: bool) -> None:
        """A conversation's prompt, which has been kept, begins with this system prompt and tools.

        `tokens` is the shared beginning alone. Once a second conversation has used it, it is protected and put on the
        shelf. A private job, or one of no known conversation, counts for nothing here.
        """
        if private or not conversation or not tokens or not self._users.several(key, tokens, conversation):
            return
        self._memory.protect(key, tokens)
        if self._shelf:
            self._shelf.put(key, tokens, lambda: self._memory.whole(key, tokens))

    def forget(self, key: str | None) -> None:
        """Drop everything kept under a key, on disk too."""
        self._memory.forget(key)
        if self._shelf:
            self._shelf.forget(key)

    def trim_to(self, nbytes: int) -> int:
        """Keep at most `nbytes` in memory for now; how many bytes that freed."""
        return self._memory.trim_to(nbytes)

    def close(self) -> None:
        """Finish what is being written to disk. Nothing may be asked any more."""
        if self._shelf:
            self._shelf.close()

    def stats(self) -> PrefixStats:
        return PrefixStats(self._memory.stats(), self._shelf.stats() if self._shelf else None)

    def _take_down(self, shelf: Shelf, key: str | None, tokens: list[int]) -> None:
        caches, length = shelf.load(key, tokens)
        if caches is None:
            return
        prefix = tokens[:length]
        if len(caches) != len(self._caches) or not all(map(_suits, self._caches, caches)):
            shelf.discard(key, prefix, "its caches are not this model's")
            return
        self._memory.keep(key, prefix, caches)
        self._memory.protect(key, prefix)


class _Users:
    """Which prefixes several conversations have used; of the most recent ones only."""

    def __init__(self) -> None:
        self._first: OrderedDict[tuple[str | None, bytes], str | None] = OrderedDict()  # None: there are several
        self._lock = threading.Lock()

    def several(self, key: str | None, tokens: list[int], conversation: str) -> bool:
        """Whether this is not the only conversation that ever used the prefix."""
        name = (key, blake2b(np.array(tokens, np.int64).tobytes(), digest_size=32).digest())
        with self._lock:
            first = self._first.setdefault(name, conversation)
            if first != conversation:
                self._first[name] = None
            self._first.move_to_end(name)
            if len(self._first) > _REMEMBERED:
                self._first.popitem(last=False)
            return first != conversation


_Trait = tuple[str, list[Any]]  # kind of cache, and type and shape (None: any) of each array; none if it has not run


def _traits(cache: Any) -> _Trait:
    """What two caches of one layer have in common, however many tokens they hold."""
    if isinstance(cache, CacheList):
        return "CacheList", [_traits(part) for part in cache.caches]
    arrays = cache.cache if hasattr(cache, "cache") else [getattr(cache, "keys", None), getattr(cache, "values", None)]
    by_token = hasattr(cache, "keys")
    shapes = [
        (array.dtype, [None if by_token and i == 2 else side for i, side in enumerate(array.shape)])
        for array in arrays
        if isinstance(array, mx.array)
    ]
    return type(cache).__name__, shapes


def _suits(traits: _Trait, cache: Any) -> bool:
    """Whether a cache read from a file is one the model could have made."""
    kind, wanted = traits
    found_kind, found = _traits(cache)
    if kind == "CacheList" == found_kind:
        return len(wanted) == len(found) and all(map(_suits, wanted, cache.caches))
    return kind == found_kind and (not wanted or wanted == found)
