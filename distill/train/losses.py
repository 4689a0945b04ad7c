"""The loss of a batch, computed in two ways that agree: over a tree, and plainly.

`SharedLoss` runs every shared beginning once and computes logits only where something is learnt; it works for models
with plain key-value caches that are built as mlx-lm builds most of them. `PlainLoss` works for all others, and is the
yardstick. Knows nothing of optimisers or of how batches are chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx_lm.models.cache import KVCache, make_prompt_cache

from distill.mlx import cpu, head
from distill.train.forward import Again, run
from distill.train.frozen import Frozen
from distill.train.memory import again_for
from distill.train.passes import Pass, passes_of
from distill.train.tokens import Tokens
from distill.train.tree import grow

LEAST_SHARED = 48  # tokens that a node must save to be worth a pass of its own; measured on two cores
_AGREED = 0.02  # relative; half-precision weights differ by less, another head by far more
_TRIAL = 2**30  # bytes for the trial of a model
_TOGETHER = 512  # tokens whose logits are in memory at a time, at most
_LOGITS = 2**24  # numbers that these are, at most: several arrays of so many are made on the way to a gradient
_ROWS = 4  # of a batch without a tree, run together
_LONGEST = 512  # tokens of a shared node; the next part of a longer one runs beside it, one layer behind


@dataclass(frozen=True)
class Prepared:
    """A batch before its gradient: what enters the first adapted layer, pass by pass."""

    batch: Sequence[int]
    examples: list[Tokens]
    passes: list[Pass]
    entering: list[mx.array]
    again: Again


@dataclass(frozen=True)
class Rows:
    """Some of a batch's examples as rows padded on the right: token `place[i]` of row `where[i]` is learnt. Row `i` is
    the one that stands at `order[i]` in the batch."""

    order: Sequence[int]
    examples: Sequence[int]
    ids: mx.array
    where: np.ndarray
    place: np.ndarray


def cross_entropy(logits: mx.array, targets: mx.array) -> mx.array:
    """(n, vocabulary), (n,) → (n,) nats, in float32."""
    logits = logits.astype(mx.float32)
    chosen = mx.take_along_axis(logits, targets[:, None], axis=-1).squeeze(-1)
    total: mx.array = cpu.logsumexp(logits) if cpu.on_cpu() else mx.logsumexp(logits, axis=-1)
    return total - chosen


def hard(logits: mx.array, targets: mx.array, _: np.ndarray) -> mx.array:
    """The loss of a token is its cross-entropy, wherever it is."""
    return cross_entropy(logits, targets)


Tell = Callable[[mx.array, mx.array], tuple[mx.array, ...]]
"""Tells of tokens one by one: of their logits (n, vocabulary) and the tokens that came (n,), arrays with n rows."""

Each = tuple[list[mx.array], list[np.ndarray]]
"""What was told, and for each example of the batch the rows that tell of its learnt tokens, in their order."""

Make = Callable[[Pass, slice, mx.array], tuple[mx.array, ...]]
"""Makes something of some predictions of a pass: of what they are predicted from, (n, width)."""

Score = Callable[[mx.array, mx.array, np.ndarray], mx.array]
"""The losses, (n,) in nats, of logits, targets, and where these are: pairs of an example and a place in it."""


class Loss(Protocol):
    """The summed loss, in nats, of all learnt tokens of a batch, in two steps: `prepare` does what needs no gradient.
    `each` tells of them one by one; `run_tokens` are those that a batch has run, padding included."""

    def prepare(self, batch: Sequence[int]) -> Any: ...
    def __call__(self, prepared: Any, /) -> mx.array: ...
    def each(self, prepared: Any, tell: Tell, /) -> Each: ...
    def run_tokens(self, batch: Sequence[int]) -> int: ...


class SharedLoss:
    """Over a tree. What would not fit into `memory` bytes is computed a second time on the way back."""

    def __init__(
        self,
        model: nn.Module,
        examples: Sequence[Tokens],
        frozen: Frozen,
        streams: Sequence[mx.Stream],
        *,
        memory: int,
        least_shared: int = LEAST_SHARED,
        score: Score = hard,
    ) -> None:
        self._model, self._examples, self.frozen, self._streams = model, examples, frozen, streams
        self._memory, self._least, self._score = memory, least_shared, score
        self._together = max(1, min(_TOGETHER, _LOGITS // head.vocabulary_of(model)))

    def prepare(self, batch: Sequence[int]) -> Prepared:
        examples, passes = self._passes(batch)
        again = again_for(self._model, passes, len(self._model.layers) - self.frozen.layers, self._memory)
        return Prepared(batch, examples, passes, self.frozen.entering(batch, passes), again)

    def run_tokens(self, batch: Sequence[int]) -> int:
        return sum(step.tokens.size for step in self._passes(batch)[1])

    def _passes(self, batch: Sequence[int]) -> tuple[list[Tokens], list[Pass]]:
        examples = [self._examples[index] for index in batch]
        return examples, passes_of(examples, grow(examples, self._least, _LONGEST), len(self._streams))

    def __call__(self, prepared: Prepared) -> mx.array:
        def summed(step: Pass, part: slice, chosen: mx.array) -> tuple[mx.array, ...]:
            sources = _of_examples(prepared.batch, *step.sources[part].T)
            return self._summed(chosen, step.targets[part], sources, step.weights[part])

        total = mx.array(0.0)
        for one, _ in self._made(prepared, summed):
            total = total + one
        return total

    def _summed(
        self, chosen: mx.array, targets: np.ndarray, sources: np.ndarray, weights: np.ndarray
    ) -> tuple[mx.array, ...]:
        """The weighted loss of what is predicted from `chosen`, and its gradient, which is made along with it: the head
        is not trained, and neither the logits nor what becomes of them has to be kept for the way back."""

        def loss(chosen: mx.array) -> mx.array:
            losses = self._score(head.logits(self._model, chosen), mx.array(targets), sources)
            return (losses * mx.array(weights)).sum()

        @mx.custom_function
        def both(chosen: mx.array) -> tuple[mx.array, mx.array]:
            return mx.value_and_grad(loss)(chosen)

        @both.vjp
        def both_vjp(_: mx.array, cotangents: Sequence[mx.array], outputs: Sequence[mx.array]) -> mx.array:
            return cotangents[0] * outputs[1]

        return cast(tuple[mx.array, ...], cast(Any, both)(chosen))  # MLX's stubs know one output only

    def each(self, prepared: Prepared, tell: Tell) -> Each:
        def told(step: Pass, part: slice, chosen: mx.array) -> tuple[mx.array, ...]:
            return tell(head.logits(self._model, chosen), mx.array(step.targets[part]))

        arrays = zip(*self._made(prepared, told), strict=True)
        return [mx.concatenate(list(parts)) for parts in arrays], _whose(prepared)

    def _made(self, prepared: Prepared, make: Make) -> Iterator[tuple[mx.array, ...]]:
        """What is made of what all that is predicted is predicted from, part by part of each pass that predicts
        something. A stream begins a part when it has made the one before: MLX, which goes through a graph in breadth,
        would else have the logits of all parts in memory at once."""
        layers = self._model.layers[self.frozen.layers :]
        leaving = run(layers, prepared.passes, prepared.entering, self._streams, again=prepared.again)
        last: dict[int, tuple[mx.array, ...]] = {}
        for step, hidden in zip(prepared.passes, leaving, strict=True):
            if len(step.targets):
                with mx.stream(self._streams[step.stream]):
                    chosen = head.normed(self._model, hidden[mx.array(step.rows), mx.array(step.columns)])
                    for at in range(0, len(step.targets), self._together):
                        part = slice(at, at + self._together)
                        mine = mx.depends(chosen[part], last[step.stream]) if step.stream in last else chosen[part]
                        last[step.stream] = made = make(step, part, mine)
                        yield made


def _of_examples(batch: Sequence[int], where: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Pairs of an example and a place in it, of examples that are told by where they stand in the batch."""
    return np.stack([np.asarray(batch)[where], place], axis=1)


def _whose(prepared: Prepared) -> list[np.ndarray]:
    found: list[list[tuple[int, int]]] = [[] for _ in prepared.examples]
    count = 0
    for step in prepared.passes:
        for row, column, target in zip(step.rows, step.columns, step.targets, strict=True):
            at = step.nodes[row].start + column + 1
            for example in step.nodes[row].examples:
                tokens = prepared.examples[example]
                if at < len(tokens.ids) and tokens.learnt[at] and tokens.ids[at] == target:
                    found[example].append((at, count))
            count += 1
    return [np.array([number for _, number in sorted(mine)], dtype=np.int64) for mine in found]


class PlainLoss:
    """Each example run whole, alone in its row, and every logit computed. Shares no code with the tree."""

    def __init__(self, model: nn.Module, examples: Sequence[Tokens], score: Score = hard) -> None:
        self._model, self._examples, self._score = model, examples, score

    def prepare(self, batch: Sequence[int]) -> list[Rows]:
        return [self._rows(order, [batch[at] for at in order]) for order in self._parts(batch)]

    def _parts(self, batch: Sequence[int]) -> list[list[int]]:
        """Where in the batch examples of like length stand, the shorter ones first: few at a time pad little."""
        order = sorted(range(len(batch)), key=lambda at: len(self._examples[batch[at]].ids))
        return [order[first : first + _ROWS] for first in range(0, len(order), _ROWS)]

    def _rows(self, order: Sequence[int], part: Sequence[int]) -> Rows:
        examples = [self._examples[index] for index in part]
        longest = len(examples[-1].ids)
        ids, learnt = np.zeros((len(part), longest), dtype=np.int32), np.zeros((len(part), longest), dtype=bool)
        for row, example in enumerate(examples):
            ids[row, : len(example.ids)], learnt[row, : len(example.ids)] = example.ids, example.learnt
        return Rows(order, part, mx.array(ids), *np.nonzero(learnt))

    def run_tokens(self, batch: Sequence[int]) -> int:
        return sum(len(order) * len(self._examples[batch[order[-1]]].ids) for order in self._parts(batch))

    def __call__(self, prepared: list[Rows]) -> mx.array:
        total = mx.array(0.0)
        for rows in prepared:
            sources = _of_examples(rows.examples, rows.where, rows.place)
            total = total + self._score(*self._logits(rows), sources).sum()
        return total

    def each(self, prepared: list[Rows], tell: Tell) -> Each:
        told = [tell(*self._logits(rows)) for rows in prepared]
        found, before = dict[int, np.ndarray](), 0
        for rows in prepared:
            found |= {at: before + np.flatnonzero(rows.where == row) for row, at in enumerate(rows.order)}
            before += len(rows.where)
        return [mx.concatenate(list(arrays)) for arrays in zip(*told, strict=True)], [found[at] for at in sorted(found)]

    def _logits(self, rows: Rows) -> tuple[mx.array, mx.array]:
        """Of what is learnt, and what came."""
        where, place = mx.array(rows.where), mx.array(rows.place)
        return self._model(rows.ids)[where, place - 1], rows.ids[where, place]


def tell_each(loss: Loss, count: int, size: int, tell: Tell) -> Iterator[list[np.ndarray]]:
    """What is told of the learnt tokens of each of `count` examples, in their order; `size` examples at a time."""
    for start in range(0, count, size):
        told, whose = loss.each(loss.prepare(range(start, min(start + size, count))), tell)
        mx.eval(told)
        arrays = [np.array(one) for one in told]
        for mine in whose:
            yield [one[mine] for one in arrays]


def shares(model: nn.Module) -> bool:
    """Whether a tree can be run through this model: plain key-value caches, a body and a head built in the known way,
    and both losses saying the same of a small tree. Some models scale what they embed, or attend in their own way."""
    plain = all(type(cache) is KVCache for cache in make_prompt_cache(model))
    return plain and head.is_known(model) and _agree(model)


def _agree(model: nn.Module) -> bool:
    ids = np.arange(1, 13, dtype=np.int32)
    learnt = np.array([False] * 4 + [True] * 8)
    examples = [Tokens(ids, learnt), Tokens(np.concatenate([ids[:6], ids[2:6]]), learnt[:10])]
    streams = [mx.default_stream(mx.default_device())]
    frozen = Frozen(model, 0, examples, streams, budget=0)
    plain = PlainLoss(model, examples)
    try:
        shared = SharedLoss(model, examples, frozen, streams, memory=_TRIAL, least_shared=1)
        ours, theirs = shared(shared.prepare([0, 1])), plain(plain.prepare([0, 1]))
        return bool(mx.allclose(ours, theirs, rtol=_AGREED, atol=0.0).item())
    except (TypeError, ValueError, AttributeError):  # what the stand-in for the cache cannot do for this model
        return False
