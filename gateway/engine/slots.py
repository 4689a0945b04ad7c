"""Decoding several conversations in one forward pass with as few operations as possible: on a CPU each has its price.

Owns cache objects that keep the rows of a batch in the slots of one array, each row with a length of its own, so that
attention is one operation for all of them. Joining and leaving copy one row. The array is as long as its longest row,
and stays when all rows have left, as fresh memory is dear. Plain KV caches only. Knows nothing of tokens, jobs or
sampling.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import KVCache

_ROUND = 256  # tokens: what an array's length is a multiple of; it is half as long again as was needed when it was made


class SlotCaches:
    """One attention layer's keys and values (slots, heads, tokens, width); rows are in the first slots."""

    def __init__(self) -> None:
        self._keys: mx.array | None = None
        self._values: mx.array | None = None
        self._lengths: list[int] = []

    @property
    def offset(self) -> mx.array:
        """The position of each row's next token, for the rotary embedding."""
        return mx.array(self._lengths)

    @property
    def state(self) -> list[mx.array | None]:
        return [self._keys, self._values]

    def make_mask(self, n: int, return_array: bool = False, window_size: int | None = None, **_: Any) -> mx.array:
        """(rows, 1, 1, tokens) of booleans: a row sees its own tokens and the new one. `n` is 1."""
        position, length = mx.arange(max(self._lengths) + n), self.offset[:, None]
        mask = position <= length
        if window_size is not None:
            mask = mask & (position > length - window_size)
        return mask[:, None, None]

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        """Put each row's new token (rows, heads, 1, width) at its end; all rows up to the longest one's."""
        rows, end = len(self._lengths), max(self._lengths) + 1
        old_keys, old_values = self._room(rows, end, keys, values)
        unused = old_keys.shape[0] - rows
        places = mx.array([*self._lengths, *[0] * unused])[:, None, None, None]
        self._keys = _put(old_keys, places, keys, unused)
        self._values = _put(old_values, places, values, unused)
        self._lengths = [length + 1 for length in self._lengths]
        return self._keys[:rows, :, :end], self._values[:rows, :, :end]

    def add(self, cache: KVCache) -> None:
        """Take in a row with a cache of its own."""
        row, length = len(self._lengths), cache.offset
        self._lengths.append(length)
        if length == 0:  # nothing computed yet: it has no arrays
            return
        keys, values = self._room(row + 1, length + 1, cache.keys, cache.values)
        keys[row : row + 1, :, :length] = cache.keys[..., :length, :]
        values[row : row + 1, :, :length] = cache.values[..., :length, :]
        self._keys, self._values = keys, values

    def filter(self, keep: Sequence[int]) -> None:
        """Keep these rows in this order; a row that stays in its place is not touched."""
        assert self._keys is not None
        assert self._values is not None
        for place, row in enumerate(keep):
            if place != row:
                length = self._lengths[row]
                moved = [mx.contiguous(a[row : row + 1, :, :length]) for a in (self._keys, self._values)]
                mx.eval(moved)  # a part that is still to be read would have the whole array copied before it is written
                self._keys[place : place + 1, :, :length], self._values[place : place + 1, :, :length] = moved
        self._lengths = [self._lengths[row] for row in keep]

    def extract(self, row: int) -> KVCache:
        """A row with a cache of its own. It looks into the slot: it must be gone before the next step."""
        assert self._keys is not None
        assert self._values is not None
        cache, length = KVCache(), self._lengths[row]
        cache.keys = self._keys[row : row + 1, :, :length]
        cache.values = self._values[row : row + 1, :, :length]
        cache.offset = length
        return cache

    def _room(self, slots: int, tokens: int, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        """The arrays with at least so many slots and tokens; `keys` and `values` show heads, width and type."""
        return _grown(self._keys, slots, tokens, keys), _grown(self._values, slots, tokens, values)


def _grown(old: mx.array | None, slots: int, tokens: int, like: mx.array) -> mx.array:
    had_slots, had_tokens = (old.shape[0], old.shape[2]) if old is not None else (0, 0)
    if slots <= had_slots and tokens <= had_tokens and old is not None:
        return old
    wanted_slots = max(had_slots, 1 << (slots - 1).bit_length())
    wanted_tokens = had_tokens if tokens <= had_tokens else -(-tokens * 3 // 2 // _ROUND) * _ROUND
    heads, width = like.shape[1], like.shape[3]
    if old is None:
        return mx.zeros((wanted_slots, heads, wanted_tokens, width), like.dtype)
    if wanted_tokens > had_tokens:
        old = mx.concatenate([old, mx.zeros((had_slots, heads, wanted_tokens - had_tokens, width), like.dtype)], axis=2)
    if wanted_slots > had_slots:
        old = mx.concatenate([old, mx.zeros((wanted_slots - had_slots, heads, wanted_tokens, width), like.dtype)])
    return old


def _put(old: mx.array, places: mx.array, new: mx.array, unused: int) -> mx.array:
    """`old` with one token of each row replaced."""
    if unused:
        new = mx.pad(new, [(0, unused), (0, 0), (0, 0), (0, 0)])
    return mx.put_along_axis(old, mx.broadcast_to(places, new.shape), new, axis=2)
