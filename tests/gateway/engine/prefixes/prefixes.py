"""What the tests of the prefix cache share: caches as a model might make them, and an engine's way with a prompt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten
from mlx_lm.models.cache import ArraysCache, CacheList, ChunkedKVCache, KVCache, RotatingKVCache

from gateway.engine.prefixes.prefix import PrefixCache, prefix_cache
from gateway.engine.prefixes.shelf import Shelf

SYSTEM = list(range(100, 140))
SECRET = 1_000_000  # a token that tells a secret


def plain(tokens: list[int], dtype: mx.Dtype = mx.float32, layers: int = 2) -> list[Any]:
    caches = []
    for layer in range(layers):
        cache = KVCache()
        keys = mx.array(tokens, mx.float32).reshape(1, 1, -1, 1) * mx.arange(1, 5) / 7 + layer
        cache.update_and_fetch(keys.astype(dtype), -keys.astype(dtype))
        caches.append(cache)
    return caches


def hybrid(tokens: list[int], dtype: mx.Dtype = mx.float32) -> list[Any]:
    [window], [attention] = plain(tokens, dtype, 1), plain(tokens, dtype, 1)
    rotating, chunked, states = RotatingKVCache(max_size=8), ChunkedKVCache(64), ArraysCache(3)
    for cache in (rotating, chunked):
        cache.update_and_fetch(*window.keys_and_values())
    states[0], states[2] = mx.full((1, 3, 5), sum(tokens)).astype(dtype), mx.arange(6).reshape(1, 2, 3)
    return [rotating, CacheList(states, attention), chunked]


def values(caches: list[Any]) -> list[Any]:
    leaves = [leaf for _, leaf in tree_flatten([cache.state for cache in caches])]
    return [np.array(leaf.astype(mx.float32)) if isinstance(leaf, mx.array) else leaf for leaf in leaves]


def assert_same(one: list[Any], other: list[Any]) -> None:
    assert [type(cache) for cache in one] == [type(cache) for cache in other]
    for ours, theirs in zip(values(one), values(other), strict=True):
        assert np.array_equal(ours, theirs)


def cut(caches: list[Any]) -> list[Any]:
    """The caches without room for growth."""
    for cache in caches:
        if isinstance(cache, CacheList):
            cut([cache[1]])
        else:
            cache.keys, cache.values = cache.keys_and_values()
    return caches


@contextmanager
def shelves(folder: Path) -> Iterator[Callable[..., Shelf]]:
    """A shelf in one and the same folder each time, until the end."""
    opened: list[Shelf] = []

    def make(limit: int = 1 << 20, model: str = "model") -> Shelf:
        opened.append(Shelf(folder / "prefixes", limit, model, lambda tokens: SECRET in tokens))
        return opened[-1]

    yield make
    for shelf in opened:
        shelf.close()


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "prefixes").glob("*.safetensors"))


def engine_of(shelf: Shelf, make: Callable[[list[int]], list[Any]] = plain, limit: int = 1 << 20) -> PrefixCache:
    return prefix_cache(make([1]), limit, shelf)


def turn(
    engine: PrefixCache,
    conversation: str,
    *,
    private: bool = False,
    key: str | None = None,
    make: Callable[[list[int]], list[Any]] = plain,
    system: list[int] = SYSTEM,
) -> int:
    """What the engine does with a prompt; how many of its tokens were cached."""
    prompt = [*system, *(sum(conversation.encode()) + n for n in range(5))]
    _, cached = engine.fetch(key, prompt)
    engine.keep(key, system, make(system))
    engine.keep(key, prompt, make(prompt))
    engine.used(key, system, conversation, private)
    return cached


def put(shelf: Shelf, tokens: list[int], adapter: str | None = None) -> None:
    shelf.put(adapter, tokens, lambda: plain(tokens))
    shelf.flush()
