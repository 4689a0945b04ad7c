"""Measuring: what a run would take, found by running a few of its batches. Trains nothing and writes nothing.

Time goes with the tokens that are run, so some batches of the plan, small ones and large ones, stand for all; the
largest says how much memory is needed. A teacher is not asked. Knows nothing of money or of what the machine has.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from distill.machine import peak_memory
from distill.train.looking import look
from distill.train.losses import Loss, Prepared, SharedLoss, hard
from distill.train.making import loss_of
from distill.train.order import Order, memory_of
from distill.train.record import Estimate
from distill.train.room import disk_needed
from distill.train.run import Ready, adapter_bytes, frozen_layers, made_ready

_SAMPLES = 5  # batches that stand for all
_LOOKED = 2  # batches of those kept apart


def measure(order: Order) -> Estimate:
    """An estimate for a whole run of this order.

    Raises what training would raise before its first step.
    """
    began = time.monotonic()
    ready = made_ready(order, lambda _, examples: hard)
    started = time.monotonic() - began
    kit = ready.kit
    looks = -(-len(ready.batches) // ready.look_every) if kit.apart else 0
    step_seconds = _step_seconds(ready, order)
    look_seconds = looks * _look_seconds(ready, order) + _once(kit.apart_loss) if looks else 0.0
    return Estimate(
        taught=ready.taught,
        steps=len(ready.batches),
        looks=looks,
        measured=min(_SAMPLES, len(ready.batches)),
        run_tokens=sum(map(kit.loss.run_tokens, ready.batches)),
        start_seconds=started,
        step_seconds=step_seconds,
        look_seconds=look_seconds,
        memory_bytes=_memory(ready),
        disk_bytes=disk_needed(adapter_bytes(kit.model), len(ready.batches)),
    )


def _step_seconds(ready: Ready, order: Order) -> float:
    """Of all steps together: what a few take, by the tokens that are run, and once what is kept of frozen layers."""
    kit = ready.kit
    tokens = list(map(kit.loss.run_tokens, ready.batches))
    sizes = sorted(range(len(tokens)), key=tokens.__getitem__)
    samples = min(_SAMPLES, len(sizes))
    chosen = [sizes[(2 * place + 1) * len(sizes) // (2 * samples)] for place in range(samples)]
    steps = _Steps(ready, order)
    steps.seconds(ready.batches[sizes[0]])  # what is compiled or fetched once
    frozen, trained = 0.0, 0.0
    for number in chosen:
        below, above = steps.seconds(ready.batches[number])
        frozen, trained = frozen + below, trained + above
    if sizes[-1] not in chosen:
        steps.seconds(ready.batches[sizes[-1]])  # for its memory
    share = sum(tokens) / sum(tokens[number] for number in chosen)
    return (trained + frozen * _left_out(kit.loss, len(kit.examples))) * share + _once(kit.loss)


class _Steps:
    """A run's batches forward and back, with nothing kept between them."""

    def __init__(self, ready: Ready, order: Order) -> None:
        model = ready.kit.model
        below, memory = frozen_layers(model, order.recipe), memory_of(order)
        self._loss = loss_of(model, ready.kit.examples, below, memory, frozen_share=0.0)
        self._valued: Any = nn.value_and_grad(model, lambda prepared: self._loss(prepared))

    def seconds(self, batch: Sequence[int]) -> tuple[float, float]:
        """Of what leaves the frozen layers, and of loss and gradient."""
        began = time.monotonic()
        prepared = _entered(self._loss, batch)
        entered = time.monotonic()
        mx.eval(self._valued(prepared))
        return entered - began, time.monotonic() - entered


def _entered(loss: Loss, batch: Sequence[int]) -> Any:
    prepared = loss.prepare(batch)
    if isinstance(prepared, Prepared):
        mx.eval(prepared.entering)
    return prepared


def _once(loss: Loss) -> float:
    """Seconds to compute all that is kept of the frozen layers: those of one group of examples stand for all."""
    if not isinstance(loss, SharedLoss) or not loss.frozen.keeps:
        return 0.0
    began = time.monotonic()
    _entered(loss, loss.frozen.keeps[-1:])
    return (time.monotonic() - began) * loss.frozen.bytes / loss.frozen.held()


def _left_out(loss: Loss, examples: int) -> float:
    """The share of the examples whose frozen layers are computed at every step."""
    return 1 - len(loss.frozen.keeps) / examples if isinstance(loss, SharedLoss) and loss.frozen.layers else 0.0


def _look_seconds(ready: Ready, order: Order) -> float:
    """Of one look, but the first: a few batches stand for all."""
    model, size = ready.kit.model, order.recipe.batch
    some = ready.kit.apart[: _LOOKED * size]
    loss = loss_of(model, some, frozen_layers(model, order.recipe), memory_of(order))
    look(model, loss, some, size)
    began = time.monotonic()
    look(model, loss, some, size)
    return (time.monotonic() - began) * len(ready.kit.apart) / len(some)


def _memory(ready: Ready) -> int:
    """The most bytes: those that measuring took, what was not yet kept of the frozen layers, and the optimiser's."""
    kit = ready.kit
    kept = sum(
        loss.frozen.bytes - loss.frozen.held() for loss in (kit.loss, kit.apart_loss) if isinstance(loss, SharedLoss)
    )
    return max(peak_memory(), int(mx.get_peak_memory())) + kept + 2 * adapter_bytes(kit.model)
