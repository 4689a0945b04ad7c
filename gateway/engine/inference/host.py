"""Attention by numpy, for models that compute on the CPU.

Owns caches whose keys and values numpy reads and writes in place, and softmax attention over them, on all cores. On
x86-64, MLX evaluates exponentials one number at a time; numpy's are vectorised, and here scores are taken in pieces
that stay in a core's cache (as in Dao et al. 2022, without its rescaling: a piece holds all keys). The tokens of one
forward pass may belong to any number of conversations, each with a length of its own, and nothing is padded. Inference
only: no gradient passes through. Knows nothing of jobs, tokens or sampling.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_lm.models.cache import KVCache
from numpy.typing import NDArray

from distill.mlx import cpu

_MORE = 256  # tokens that arrays are made longer than needed when they have become too short
_PIECE = 64  # queries of one head and conversation that are taken together
_PIECE_OF_GATES = 1 << 16
_FEW = 1 << 15  # numbers: fewer are not worth a stop of the evaluation
_TOGETHER = 16  # queries of a conversation up to which all of its heads are one piece

Array = NDArray[np.float32]


class HostCache(KVCache):  # type: ignore[misc]  # mlx-lm is untyped
    """One attention layer's keys and values of one conversation: a KV cache as MLX has it, which numpy writes to.

    Nobody else may hold its arrays: what is written is seen by whoever looks, as MLX does not know of it.
    """

    def __init__(self, room: int = 0) -> None:
        """`room`: tokens that there should be space for as soon as there is anything."""
        super().__init__()
        self._room = room
        self.offset = 0
        self.keys: mx.array | None = None
        self.values: mx.array | None = None
        self._views: list[Array] = []

    @classmethod
    def of(cls, cache: KVCache) -> HostCache:
        """A cache on the arrays of another one, which is not to be used any more."""
        own = cls()
        if cache.offset:
            own.offset, own.keys, own.values = cache.offset, cache.keys, cache.values
            own._views = [np.asarray(cache.keys), np.asarray(cache.values)]
        return own

    def append(self, keys: Array, values: Array) -> None:
        """Take new tokens' keys and values, each (heads, n, width)."""
        self._make_room(self.offset + keys.shape[1], (1, *keys.shape), (1, *values.shape))
        self._write(keys, values)

    def seen(self, end: int) -> tuple[Array, Array]:
        """Keys and values (heads, end, width) of the first tokens."""
        return self._views[0][0, :, :end], self._views[1][0, :, :end]

    def _write(self, keys: Array, values: Array) -> None:
        start, self.offset = self.offset, self.offset + keys.shape[1]
        self._views[0][0, :, start : self.offset] = keys
        self._views[1][0, :, start : self.offset] = values

    def _make_room(self, tokens: int, *shapes: tuple[int, ...]) -> None:
        if self.keys is not None and tokens <= self.keys.shape[2]:
            return
        wanted = self._room if tokens <= self._room else tokens + _MORE
        arrays = [mx.zeros((*shape[:2], wanted, shape[3]), mx.float32) for shape in shapes]
        mx.eval(arrays)
        views: list[Array] = [np.asarray(array) for array in arrays]
        if self.keys is not None:
            for view, old in zip(views, self._views, strict=True):
                view[:, :, : self.offset] = old[:, :, : self.offset]
        (self.keys, self.values), self._views = arrays, views


class HostLayer:
    """One attention layer in one forward pass over tokens (n, 1) of several conversations, in the order of `counts`.

    To the model it is the cache of a batch with one token in each row, which is what makes the rotary embedding take
    every token at its own place.
    """

    def __init__(self, caches: Sequence[HostCache], counts: Sequence[int], cores: Cores) -> None:
        self._caches = caches
        self._counts = counts
        self._cores = cores
        self.offset = mx.array(
            np.concatenate([cache.offset + np.arange(count) for cache, count in zip(caches, counts, strict=True)])
        )

    def make_mask(self, n: int, return_array: bool = False, window_size: int | None = None, **_: Any) -> None:
        """None: `attend` knows what each token may see. Raises ValueError where that is not all before it."""
        if window_size is not None:
            raise ValueError("attention by numpy sees everything before a token")

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        """Take the new tokens' keys and values (n, heads, 1, width); they go into the caches with `attend`."""
        self._new = keys, values
        return keys, values

    def attend(
        self, queries: mx.array, _keys: mx.array, _values: mx.array, scale: float, mask: Any, sinks: Any = None
    ) -> mx.array:
        """Attention of queries (n, heads, 1, width), each over its own conversation up to itself."""
        if mask is not None or sinks is not None:
            raise ValueError("attention by numpy knows neither masks nor sinks")
        mx.eval(queries, *self._new)
        asked, keys, values = (np.asarray(array)[:, :, 0] for array in (queries, *self._new))
        out = np.empty((*asked.shape[:2], values.shape[2]), np.float32)
        pieces = []
        start = 0
        for cache, count in zip(self._caches, self._counts, strict=True):
            part = slice(start, start + count)
            cache.append(keys[part].swapaxes(0, 1), values[part].swapaxes(0, 1))
            pieces += _pieces(asked[part], cache, out[part], scale)
            start += count
        self._cores.run(pieces)
        return mx.array(out)[:, :, None]


class Cores:
    """Threads that share pieces of work, the caller's among them."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool = ThreadPoolExecutor(max(1, count - 1), thread_name_prefix="attention")

    def run(self, pieces: list[Callable[[], None]]) -> None:
        """Do them all, whichever thread is free taking the next one."""
        left = iter(pieces)
        others = [self._pool.submit(_drain, left) for _ in range(min(self._count, len(pieces)) - 1)]
        try:
            _drain(left)
        finally:
            wait(others)  # nothing may still be written when this is over
        for other in others:
            other.result()

    def swiglu(self, gate: mx.array, x: mx.array) -> mx.array:
        """silu(gate) · x, in any shape."""
        if gate.size < _FEW:
            return cpu.swiglu(gate, x)
        mx.eval(gate, x)
        gates, others = np.asarray(gate).reshape(-1), np.asarray(x).reshape(-1)
        out = np.empty_like(gates)
        cuts = range(0, len(out), _PIECE_OF_GATES)
        self.run([partial(_swiglu, *(a[cut : cut + _PIECE_OF_GATES] for a in (gates, others, out))) for cut in cuts])
        return mx.array(out.reshape(gate.shape))

    def close(self) -> None:
        self._pool.shutdown()


def _swiglu(gate: Array, x: Array, out: Array) -> None:
    """out = silu(gate) · x; an overflow to infinity is a gate that is shut."""
    with np.errstate(over="ignore"):
        np.exp(-gate, out=out)
    out += 1
    np.divide(gate, out, out=out)
    out *= x


def _drain(pieces: Iterable[Callable[[], None]]) -> None:
    for piece in pieces:
        piece()


def _pieces(queries: Array, cache: HostCache, out: Array, scale: float) -> list[Callable[[], None]]:
    """The attention of one conversation's new tokens, queries and out (n, heads, width), cut up."""
    count, heads, width = queries.shape
    kv_heads = cache.keys.shape[1]  # type: ignore[union-attr]
    grouped = queries.reshape(count, kv_heads, heads // kv_heads, width)
    result = out.reshape(count, kv_heads, heads // kv_heads, -1)
    before = cache.offset - count

    def piece(start: int, end: int, some: slice) -> Callable[[], None]:
        keys, values = cache.seen(before + end)
        return lambda: _attend(grouped[start:end, some], keys[some], values[some], result[start:end, some], scale)

    if count <= _TOGETHER:
        return [piece(0, count, slice(None))]
    starts = range(0, count, _PIECE)
    return [piece(s, min(s + _PIECE, count), slice(h, h + 1)) for s in starts for h in range(kv_heads)]


def _attend(queries: Array, keys: Array, values: Array, out: Array, scale: float) -> None:
    """queries and out (n, kv_heads, group, width) are the last n of the tokens of keys and values (kv_heads, m, width):
    each sees those before it and itself."""
    n, kv_heads, group, width = queries.shape
    m = keys.shape[1]
    rows = (queries.transpose(1, 2, 0, 3) * np.float32(scale)).reshape(kv_heads, group * n, width)
    scores = np.matmul(rows, keys.swapaxes(1, 2))
    if n > 1:
        own = scores.reshape(kv_heads, group, n, m)[..., m - n :]
        own[..., np.triu(np.ones((n, n), bool), 1)] = -np.inf
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    total = scores.sum(axis=-1, keepdims=True)
    attended = np.matmul(scores, values) / total
    out[...] = attended.reshape(kv_heads, group, n, -1).transpose(2, 0, 1, 3)
