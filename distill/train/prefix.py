"""The loss over a batch with its shared prefix run once.

The prefix's keys and values stay in the autodiff graph and serve every suffix, and logits are computed only where a
token is learnt; the gradients are those of the plain loss. Owns the two stand-ins for mlx-lm's key-value cache that
make this work for any model with plain caches; others, and models with an unusual head, are trained the plain way.
"""

from __future__ import annotations

from typing import Any, cast

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx_lm.models.cache import KVCache, make_prompt_cache

from distill.mlx import cpu, head
from distill.train.batches import Batch

_AGREED = 0.02  # relative; half-precision weights differ by less, another head by far more


class PrefixKeys:
    """Stands for a layer's cache while the prefix runs: keeps its keys and values, (1, kv_heads, p, d)."""

    offset = 0

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        self.keys, self.values = keys, values
        return keys, values

    def make_mask(self, n: int, **_: Any) -> str | None:
        return "causal" if n > 1 else None


class SharedKeys:
    """Stands for a layer's cache while the suffixes run: every row attends to the same prefix and to itself."""

    def __init__(self, prefix: PrefixKeys) -> None:
        self._keys, self._values = prefix.keys, prefix.values
        self.offset = prefix.keys.shape[2]

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        return keys, values  # `attend` adds the prefix

    def make_mask(self, n: int, **_: Any) -> mx.array:
        return mx.arange(self.offset, self.offset + n)[:, None] >= mx.arange(self.offset + n)[None]

    def attend(self, queries: mx.array, keys: mx.array, values: mx.array, scale: float, mask: mx.array) -> mx.array:
        """Attention of every row to the prefix and to the row itself."""
        if cpu.suits(queries):
            return self._in_two_parts(queries, keys, values, scale, mask)
        repeated = (keys.shape[0], *self._keys.shape[1:])
        keys = mx.concatenate([mx.broadcast_to(self._keys, repeated), keys], axis=2)
        values = mx.concatenate([mx.broadcast_to(self._values, repeated), values], axis=2)
        return mx.fast.scaled_dot_product_attention(queries, keys, values, scale=scale, mask=mask)

    def _in_two_parts(
        self, queries: mx.array, keys: mx.array, values: mx.array, scale: float, mask: mx.array
    ) -> mx.array:
        """Attention in two parts, to the prefix and to the row itself, under one softmax.

        The products against the prefix are joined over all rows into one per key head, and neither keys nor scores
        of the two parts are ever copied together.
        """
        batch, heads, n, width = queries.shape
        kv_heads, p = keys.shape[1], self.offset
        grouped = (queries * scale).reshape(batch, kv_heads, -1, width)
        own = (grouped @ keys.swapaxes(-1, -2)).reshape(batch, kv_heads, -1, n, n)
        own = (own + cpu.additive(mask[:, p:], n, n, own.dtype)).reshape(batch, kv_heads, -1, n)
        seen = _joined(grouped) @ self._keys[0].swapaxes(-1, -2)
        seen_weights, own_weights = cast(Any, _softmax_of_both)(seen, own)  # MLX's stubs know one output only
        attended: mx.array = _apart(seen_weights @ self._values[0], batch) + own_weights @ values
        return attended.reshape(batch, heads, n, width)


@mx.custom_function
def _softmax_of_both(seen: mx.array, own: mx.array) -> tuple[mx.array, mx.array]:
    """One softmax over the last axes of both: (kv_heads, batch · n, p) and (batch, kv_heads, n, m)."""
    top = mx.maximum(seen.max(axis=-1, keepdims=True), _joined(own.max(axis=-1, keepdims=True)))
    seen, own = cpu.exp(seen - top), cpu.exp(own - _apart(top, len(own)))
    total = seen.sum(axis=-1, keepdims=True) + _joined(own.sum(axis=-1, keepdims=True))
    return seen / total, own / _apart(total, len(own))


@_softmax_of_both.vjp
def _softmax_of_both_vjp(
    _: tuple[mx.array, mx.array], cotangents: tuple[mx.array, mx.array], outputs: tuple[mx.array, mx.array]
) -> tuple[mx.array, mx.array]:
    (seen, own), batch = outputs, len(outputs[1])
    seen_weighted, own_weighted = cotangents[0] * seen, cotangents[1] * own
    total = seen_weighted.sum(axis=-1, keepdims=True) + _joined(own_weighted.sum(axis=-1, keepdims=True))
    return seen_weighted - seen * total, own_weighted - own * _apart(total, batch)


def _joined(rows: mx.array) -> mx.array:
    """(batch, kv_heads, n, d) → (kv_heads, batch · n, d): the rows of a batch as one."""
    return rows.swapaxes(0, 1).reshape(rows.shape[1], -1, rows.shape[3])


def _apart(joined: mx.array, batch: int) -> mx.array:
    """The way back."""
    return joined.reshape(joined.shape[0], batch, -1, joined.shape[2]).swapaxes(0, 1)


def shares(model: nn.Module) -> bool:
    """Whether a prefix can be shared on this model: plain key-value caches and a head we know how to apply."""
    plain = all(type(cache) is KVCache for cache in make_prompt_cache(model))
    return plain and head.is_known(model) and _agrees(model)


def _agrees(model: nn.Module) -> bool:
    """Whether both losses say the same of a small batch: some models scale their logits or attend in their own way."""
    ids = np.arange(1, 13, dtype=np.int32)
    rows, columns, targets = np.array([0, 1, 1]), np.array([2, 0, 2]), np.array([8, 10, 12])
    trial = Batch(ids[:4], ids[4:].reshape(2, 4), rows, columns, targets)
    try:
        shared = summed_loss(model, trial, [mx.default_stream(mx.default_device())])
        return bool(mx.allclose(shared, plain_loss(model, trial), rtol=_AGREED, atol=0.0).item())
    except (TypeError, ValueError, AttributeError):  # what the stand-ins for the cache cannot do for this model
        return False


def summed_loss(model: nn.Module, batch: Batch, streams: list[mx.Stream]) -> mx.array:
    """The sum of the cross-entropies of the batch's learnt tokens, in nats.

    The prefix runs once; the rows are divided over `streams`, which compute side by side.
    """
    prefix = [PrefixKeys() for _ in model.layers]
    if len(batch.prefix):
        head.hidden_states(model, mx.array(batch.prefix)[None], prefix)
    total = mx.array(0.0)
    for stream, part in zip(streams, batch.halves(len(streams)), strict=False):
        with mx.stream(stream):
            caches = [SharedKeys(layer) for layer in prefix] if len(batch.prefix) else None
            hidden = head.hidden_states(model, mx.array(part.suffixes), caches)
            logits = head.logits(model, hidden[mx.array(part.rows), mx.array(part.columns)])
            total = total + _cross_entropy(logits, mx.array(part.targets)).sum()
    return total


def plain_loss(model: nn.Module, batch: Batch) -> mx.array:
    """The same sum, each example run whole and every logit computed.

    For models that cannot share, and as the yardstick.
    """
    repeated = mx.broadcast_to(mx.array(batch.prefix)[None], (len(batch.suffixes), len(batch.prefix)))
    logits = model(mx.concatenate([repeated, mx.array(batch.suffixes)], axis=1))
    chosen = logits[mx.array(batch.rows), mx.array(batch.columns + len(batch.prefix))]
    total: mx.array = nn.losses.cross_entropy(chosen.astype(mx.float32), mx.array(batch.targets), reduction="sum")
    return total


def _cross_entropy(logits: mx.array, targets: mx.array) -> mx.array:
    if logits.dtype != mx.float32:
        logits = logits.astype(mx.float32)
    chosen = mx.take_along_axis(logits, targets[:, None], axis=-1).squeeze(-1)
    on_cpu = cpu.on_cpu()
    total: mx.array = cpu.logsumexp(logits) if on_cpu else mx.logsumexp(logits, axis=-1)
    return total - chosen
