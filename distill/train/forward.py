"""Running a tree through a model's layers: every shared beginning once, its keys and values kept in the graph.

Owns the stand-in for mlx-lm's key-value cache that lets a row attend to what comes before it in the tree; works for
any model with plain caches. Knows nothing of losses, batches or training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten, tree_unflatten

from distill.mlx import cpu
from distill.train.passes import Pass

Pair = tuple[mx.array, mx.array]  # keys and values, (batch, kv_heads, n, d)


class Again(NamedTuple):
    """What is computed a second time on the way back instead of being kept: the lowest `layers`, whose turn on the way
    back comes last, when the others have given up theirs; and the `attention` of all others."""

    layers: int = 0
    attention: bool = False


NOTHING = Again()


def run(
    layers: Sequence[nn.Module],
    passes: Sequence[Pass],
    entering: Sequence[mx.array],
    streams: Sequence[mx.Stream],
    *,
    again: Again = NOTHING,
) -> list[mx.array]:
    """What leaves the last of `layers`, (b, s, width) for each pass, of what is `entering` the first."""
    leaving = []
    before: dict[tuple[int, int], list[Pair]] = {}  # by pass and row: the keys up to its end, by layer
    for at, (step, hidden) in enumerate(zip(passes, entering, strict=True)):
        with mx.stream(streams[step.stream]):
            known = before[step.after] if step.after else [None] * len(layers)
            caches = [Keys(pair, again=again.attention) for pair in known]
            for number, (layer, cache) in enumerate(zip(layers, caches, strict=True)):
                hidden = (_through_again if number < again.layers else _through)(layer, hidden, cache)
            for row, node in enumerate(step.nodes):
                if node.children:
                    before[at, row] = [cache.until(row, len(node)) for cache in caches]
        leaving.append(hidden)
    return leaving


def _through(layer: nn.Module, hidden: mx.array, cache: Keys) -> mx.array:
    left: mx.array = layer(hidden, cache.mask, cache)
    return left


def _through_again(layer: nn.Module, hidden: mx.array, cache: Keys) -> mx.array:
    """The same, keeping nothing but what enters and the keys and values that leave."""

    names, parameters = zip(*tree_flatten(layer.trainable_parameters()), strict=True)

    def inner(hidden: mx.array, *others: mx.array) -> tuple[mx.array, ...]:
        layer.update(tree_unflatten(list(zip(names, others, strict=False))))
        before = others[len(names) :]
        own = Keys(cast(Pair, before) if before else None, again=False)
        return _through(layer, hidden, own), *own.own

    left, *pair = _twice(inner)(hidden, *parameters, *(cache.before or ()))
    cache.own = cast(Pair, tuple(pair))
    return left


def _twice(function: Callable[..., tuple[mx.array, ...]]) -> Callable[..., tuple[mx.array, ...]]:
    """A function that keeps nothing for its way back but what enters. It is computed again when its gradient is there,
    and what comes before it goes on when all its gradients are made. MLX, which goes through a graph in breadth, would
    else have all that is computed again in memory at once: `mx.checkpoint` begins as soon as the way out ends, and the
    gradients of adapters, which nothing waits for, are made at last."""
    twice = mx.custom_function(function)

    @twice.vjp
    def twice_vjp(primals: Sequence[mx.array], cotangents: Sequence[mx.array], _: Any) -> list[mx.array]:
        _, (first, *others) = mx.vjp(function, mx.depends(list(primals), list(cotangents)), list(cotangents))
        return [mx.depends(first, others), *others]

    return cast(Callable[..., tuple[mx.array, ...]], twice)


class Keys:
    """Stands for a layer's cache during a pass: every row attends to what is `before`, which is the same for all of
    them, and to itself."""

    mask = "causal"  # of a row to itself; `attend` knows that all before is seen

    def __init__(self, before: Pair | None, *, again: bool) -> None:
        self.before, self._again = before, again
        self.offset = before[0].shape[2] if before else 0
        self.own: Pair

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> Pair:
        self.own = (keys, values)
        return self.own

    def until(self, row: int, length: int) -> Pair:
        """The keys and values up to a place of a row, (1, kv_heads, offset + length, d)."""
        keys, values = (array[row : row + 1, :, :length] for array in self.own)
        if self.before is None:
            return keys, values
        return mx.concatenate([self.before[0], keys], axis=2), mx.concatenate([self.before[1], values], axis=2)

    def attend(self, queries: mx.array, keys: mx.array, values: mx.array, scale: float, mask: str) -> mx.array:
        kind = _in_two_parts if cpu.suits(queries) else _in_one

        def attention(queries: mx.array, keys: mx.array, values: mx.array, *before: mx.array) -> tuple[mx.array, ...]:
            return (kind(queries, keys, values, before, scale),)

        (attended,) = (_twice(attention) if self._again else attention)(queries, keys, values, *(self.before or ()))
        return attended


def _in_one(queries: mx.array, keys: mx.array, values: mx.array, before: Sequence[mx.array], scale: float) -> mx.array:
    """mlx's own attention, over copies of what comes before."""
    if not before:
        return mx.fast.scaled_dot_product_attention(queries, keys, values, scale=scale, mask="causal")
    repeated = (keys.shape[0], *before[0].shape[1:])
    keys = mx.concatenate([mx.broadcast_to(before[0], repeated), keys], axis=2)
    values = mx.concatenate([mx.broadcast_to(before[1], repeated), values], axis=2)
    return mx.fast.scaled_dot_product_attention(queries, keys, values, scale=scale, mask="causal")


def _in_two_parts(
    queries: mx.array, keys: mx.array, values: mx.array, before: Sequence[mx.array], scale: float
) -> mx.array:
    """Attention in two parts, to what comes before and to the row itself, under one softmax.

    The products against what comes before are joined over all rows into one per key head, and neither keys nor
    scores of the two parts are ever copied together.
    """
    if not before:
        return cpu.attention(queries, keys, values, scale, "causal")
    batch, heads, n, width = queries.shape
    kv_heads = keys.shape[1]
    grouped = (queries * scale).reshape(batch, kv_heads, -1, width)
    own = (grouped @ keys.swapaxes(-1, -2)).reshape(batch, kv_heads, -1, n, n)
    own = (own + cpu.additive("causal", n, n, own.dtype)).reshape(batch, kv_heads, -1, n)
    seen = _joined(grouped) @ before[0][0].swapaxes(-1, -2)
    seen_weights, own_weights = cast(Any, _softmax_of_both)(seen, own)  # MLX's stubs know one output only
    attended: mx.array = _apart(seen_weights @ before[1][0], batch) + own_weights @ values
    return attended.reshape(batch, heads, n, width)


@mx.custom_function
def _softmax_of_both(seen: mx.array, own: mx.array) -> Pair:
    """One softmax over the last axes of both: (kv_heads, batch · n, p) and (batch, kv_heads, n, m)."""
    top = mx.maximum(seen.max(axis=-1, keepdims=True), _joined(own.max(axis=-1, keepdims=True)))
    seen, own = cpu.exp(seen - top), cpu.exp(own - _apart(top, len(own)))
    total = seen.sum(axis=-1, keepdims=True) + _joined(own.sum(axis=-1, keepdims=True))
    return seen / total, own / _apart(total, len(own))


@_softmax_of_both.vjp
def _softmax_of_both_vjp(_: Pair, cotangents: Pair, outputs: Pair) -> Pair:
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
