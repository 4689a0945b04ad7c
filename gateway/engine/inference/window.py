"""Keys and values in a fixed number of places: a beginning that is always kept, and a window that moves on.

For machines where a long conversation's cache would not fit beside the model (`max_kv_size`). What falls out of the
window is not seen any more; the system prompt and the tools, at the beginning, always are. mlx-lm's RotatingKVCache
keeps a beginning too, but its mask hides it from all but a chunk's first tokens while a prompt is computed. Knows
nothing of requests.
"""

from __future__ import annotations

from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import KVCache


class WindowCache(KVCache):  # type: ignore[misc]  # mlx-lm is untyped; models ask for caches of its kinds
    """A cache of one row, one layer: the first `keep` tokens and the last `size - keep` before each new one."""

    def __init__(self, size: int, keep: int) -> None:
        super().__init__()
        self.keys: mx.array | None = None
        self.values: mx.array | None = None
        if not 0 <= keep < size:
            raise ValueError(f"a window of {size} tokens has no room behind the {keep} that are kept")
        self.window, self.kept = size, keep

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        """Append; hand out all that any of the new tokens may see, in the order of their positions."""
        self.offset += keys.shape[2]
        if self.keys is not None and self.values is not None:
            keys = mx.concatenate([self.keys, keys], axis=2)
            values = mx.concatenate([self.values, values], axis=2)
        self.keys, self.values = self._within(keys), self._within(values)
        return keys, values

    def make_mask(self, n: int, window_size: int | None = None, return_array: bool = False, **_: Any) -> Any:
        """Who sees what: (n, held + n) of booleans; None for a single token, which sees all that is held."""
        if n == 1 and window_size is None and not return_array:
            return None
        held = self.size()
        tail = held - min(held, self.kept)  # the held tokens behind the kept beginning
        seen = mx.concatenate([mx.arange(held - tail), mx.arange(self.offset - tail, self.offset + n)])
        asking = mx.arange(self.offset, self.offset + n)[:, None]
        near = seen > asking - (self.window - self.kept)
        mask = (seen <= asking) & (near | (seen < self.kept))
        return mask if window_size is None else mask & (seen > asking - window_size)

    def size(self) -> int:
        """How many tokens are held."""
        return 0 if self.keys is None else self.keys.shape[2]

    def is_trimmable(self) -> bool:
        return False

    def _within(self, array: mx.array) -> mx.array:
        """The part that the next token may see: it is one of the window itself."""
        over = array.shape[2] - (self.window - 1)
        if over <= 0:
            return array
        return mx.concatenate([array[..., : self.kept, :], array[..., self.kept + over :, :]], axis=2)
