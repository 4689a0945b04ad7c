"""The loss of a batch, computed in two ways that agree: over a tree, and plainly.

`SharedLoss` runs every shared beginning once and computes logits only where something is learnt; it works for models
with plain key-value caches that are built as mlx-lm builds most of them. `PlainLoss` works for all others, and is the
yardstick. Knows nothing of optimisers or of how batches are chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx_lm.models.cache import KVCache, make_prompt_cache

from distill.mlx import cpu, head
from distill.train.forward import run
from distill.train.frozen import Frozen
from distill.train.passes import Pass, passes_of
from distill.train.tokens import Tokens
from distill.train.tree import grow

LEAST_SHARED = 48  # tokens that a node must save to be worth a pass of its own; measured on two cores
_AGREED = 0.02  # relative; half-precision weights differ by less, another head by far more
_LONGEST = 512  # tokens of a shared node; the next part of a longer one runs beside it, one layer behind


@dataclass(frozen=True)
class Prepared:
    """A batch before its gradient: what enters the first adapted layer, pass by pass."""

    examples: list[Tokens]
    passes: list[Pass]
    entering: list[mx.array]


@dataclass(frozen=True)
class Rows:
    """A batch as rows padded on the right: token `place[i]` of row `where[i]` is learnt."""

    ids: mx.array
    where: np.ndarray
    place: np.ndarray


class Told(NamedTuple):
    """Of tokens one by one: their losses in nats, and whether each is the likeliest. `whose` has for each example of
    the batch where its learnt tokens are told of, in their order."""

    losses: mx.array
    hits: mx.array
    whose: list[np.ndarray]


class Loss(Protocol):
    """The summed cross-entropy, in nats, of all learnt tokens of a batch, in two steps: `prepare` does what needs no
    gradient. `tokens` tells of them one by one; `run_tokens` are those that a batch has run, padding included."""

    def prepare(self, batch: Sequence[int]) -> Any: ...
    def __call__(self, prepared: Any, /) -> mx.array: ...
    def tokens(self, prepared: Any, /) -> Told: ...
    def run_tokens(self, batch: Sequence[int]) -> int: ...


class SharedLoss:
    """Over a tree. `again`: attention is computed a second time on the way back, which takes less memory."""

    def __init__(
        self,
        model: nn.Module,
        examples: Sequence[Tokens],
        frozen: Frozen,
        streams: Sequence[mx.Stream],
        *,
        again: bool = False,
        least_shared: int = LEAST_SHARED,
    ) -> None:
        self._model, self._examples, self.frozen, self._streams = model, examples, frozen, streams
        self._again, self._least = again, least_shared

    def prepare(self, batch: Sequence[int]) -> Prepared:
        examples, passes = self._passes(batch)
        return Prepared(examples, passes, self.frozen.entering(batch, passes))

    def run_tokens(self, batch: Sequence[int]) -> int:
        return sum(step.tokens.size for step in self._passes(batch)[1])

    def _passes(self, batch: Sequence[int]) -> tuple[list[Tokens], list[Pass]]:
        examples = [self._examples[index] for index in batch]
        return examples, passes_of(examples, grow(examples, self._least, _LONGEST), len(self._streams))

    def __call__(self, prepared: Prepared) -> mx.array:
        total = mx.array(0.0)
        for step, logits in self._logits(prepared):
            losses = cross_entropy(logits, mx.array(step.targets))
            total = total + (losses * mx.array(step.weights)).sum()
        return total

    def tokens(self, prepared: Prepared) -> Told:
        losses, hits = [mx.zeros(0)], [mx.zeros(0, dtype=mx.bool_)]
        for step, logits in self._logits(prepared):
            losses.append(cross_entropy(logits, mx.array(step.targets)))
            hits.append(logits.argmax(axis=-1) == mx.array(step.targets))
        return Told(mx.concatenate(losses), mx.concatenate(hits), _whose(prepared))

    def _logits(self, prepared: Prepared) -> Iterator[tuple[Pass, mx.array]]:
        """The logits of all that is predicted, (predictions, vocabulary), for each pass that predicts something. What
        is done with them belongs on the pass's stream."""
        layers = self._model.layers[self.frozen.layers :]
        leaving = run(layers, prepared.passes, prepared.entering, self._streams, again=self._again)
        for step, hidden in zip(prepared.passes, leaving, strict=True):
            if len(step.targets):
                with mx.stream(self._streams[step.stream]):
                    chosen = head.normed(self._model, hidden[mx.array(step.rows), mx.array(step.columns)])
                    yield step, head.logits(self._model, chosen)


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

    def __init__(self, model: nn.Module, examples: Sequence[Tokens]) -> None:
        self._model, self._examples = model, examples

    def prepare(self, batch: Sequence[int]) -> Rows:
        examples = [self._examples[index] for index in batch]
        longest = max(len(example.ids) for example in examples)
        ids, learnt = np.zeros((len(batch), longest), dtype=np.int32), np.zeros((len(batch), longest), dtype=bool)
        for row, example in enumerate(examples):
            ids[row, : len(example.ids)], learnt[row, : len(example.ids)] = example.ids, example.learnt
        return Rows(mx.array(ids), *np.nonzero(learnt))

    def run_tokens(self, batch: Sequence[int]) -> int:
        return len(batch) * max(len(self._examples[index].ids) for index in batch)

    def __call__(self, rows: Rows) -> mx.array:
        where, place = mx.array(rows.where), mx.array(rows.place)
        logits = self._model(rows.ids)[where, place - 1]
        return cross_entropy(logits, rows.ids[where, place]).sum()

    def tokens(self, rows: Rows) -> Told:
        where, place = mx.array(rows.where), mx.array(rows.place)
        logits, targets = self._model(rows.ids)[where, place - 1], rows.ids[where, place]
        whose = [np.flatnonzero(rows.where == row) for row in range(rows.ids.shape[0])]
        return Told(cross_entropy(logits, targets), logits.argmax(axis=-1) == targets, whose)


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
    shared = SharedLoss(model, examples, Frozen(model, 0, examples, streams, budget=0), streams, least_shared=1)
    plain = PlainLoss(model, examples)
    try:
        ours, theirs = shared(shared.prepare([0, 1])), plain(plain.prepare([0, 1]))
        return bool(mx.allclose(ours, theirs, rtol=_AGREED, atol=0.0).item())
    except (TypeError, ValueError, AttributeError):  # what the stand-in for the cache cannot do for this model
        return False


def cross_entropy(logits: mx.array, targets: mx.array) -> mx.array:
    """(n, vocabulary), (n,) → (n,) nats, in float32."""
    logits = logits.astype(mx.float32)
    chosen = mx.take_along_axis(logits, targets[:, None], axis=-1).squeeze(-1)
    total: mx.array = cpu.logsumexp(logits) if cpu.on_cpu() else mx.logsumexp(logits, axis=-1)
    return total - chosen
