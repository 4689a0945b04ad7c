"""Decoding several conversations in one forward pass while each keeps keys and values of its own.

Owns the cache objects that a batch hands to a model in place of one conversation's. Projections run over all rows
together; attention runs row by row over exactly what the row has seen. So nothing is padded, joining and leaving copy
nothing, and a row's cache can go into the prefix cache as it is. Caches that are no attention caches (states of SSM
layers) are merged as mlx-lm does. Knows nothing of tokens, jobs or sampling.
"""

from __future__ import annotations

from typing import Any

import mlx.core as mx
from mlx_lm.models import base
from mlx_lm.models.cache import KVCache, RotatingKVCache

from gateway.engine.inference.window import WindowCache

_ROW_BY_ROW = (KVCache, RotatingKVCache, WindowCache)


class RowCaches:
    """One attention layer's caches, one for each row; speaks the protocol of mlx-lm's own batch caches."""

    def __init__(self) -> None:
        self._caches: list[Any] = []
        self._seen: list[tuple[mx.array, mx.array]] = []

    @property
    def offset(self) -> mx.array:
        """The position of each row's next token, for the rotary embedding."""
        return mx.array([cache.offset for cache in self._caches])

    def make_mask(
        self, n: int, return_array: bool = False, window_size: int | None = None, **_: Any
    ) -> list[Any] | None:
        """What each row may see: None for everything. The model hands it on to the attention of many layers."""
        asked = {"return_array": return_array, "window_size": window_size}
        masks = [cache.make_mask(n, **asked) for cache in self._caches]
        return None if all(mask is None for mask in masks) else masks

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        """Take the new token's keys and values (rows, heads, 1, width); all of them are used by `attend`."""
        self._seen = [
            cache.update_and_fetch(keys[i : i + 1], values[i : i + 1]) for i, cache in enumerate(self._caches)
        ]
        return keys, values

    def attend(
        self, queries: mx.array, _keys: mx.array, _values: mx.array, scale: float, masks: Any, sinks: Any = None
    ) -> mx.array:
        """Attention of each row's queries (rows, heads, 1, width) over the row's own keys and values."""
        more = {} if sinks is None else {"sinks": sinks}
        attended = [
            base.scaled_dot_product_attention(
                queries[i : i + 1], keys, values, cache=cache, scale=scale, mask=masks[i] if masks else None, **more
            )
            for i, (cache, (keys, values)) in enumerate(zip(self._caches, self._seen, strict=True))
        ]
        self._seen = []
        return attended[0] if len(attended) == 1 else mx.concatenate(attended)

    def add(self, cache: Any) -> None:
        """Take in a row with a cache of its own, which is used from now on."""
        self._caches.append(cache)

    def filter(self, keep: list[int]) -> None:
        self._caches = [self._caches[i] for i in keep]

    def extract(self, row: int) -> Any:
        return self._caches[row]

    @property
    def state(self) -> list[Any]:
        return [cache.state for cache in self._caches]


def join(layers: list[Any], caches: list[Any], *, merged: bool) -> list[Any]:
    """The batch's layers with one more row, whose own cache of each layer is in `caches`.

    `merged`: join them all as mlx-lm does, for models whose attention cannot be done row by row.
    """
    if not layers:
        layers = [_layer(cache, merged=merged) for cache in caches]
    for layer, cache in zip(layers, caches, strict=True):
        if isinstance(layer, RowCaches):
            layer.add(cache)
        elif layer is not None:
            layer.extend(type(cache).merge([cache]))
    return [layer or type(cache).merge([cache]) for layer, cache in zip(layers, caches, strict=True)]


def _layer(cache: Any, *, merged: bool) -> Any:
    """An empty layer for caches like this one; None where mlx-lm's own is made of the first."""
    return None if merged or type(cache) not in _ROW_BY_ROW else RowCaches()
