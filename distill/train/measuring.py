"""Measuring: what a run would take, found by running a few of its batches. Trains nothing and writes nothing.

Time goes with the tokens that are run, so some batches of the plan, small ones and large ones, stand for all; the
largest says how much memory is needed. Knows nothing of money or of what the machine has.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from distill.train.loop import peak_memory
from distill.train.losses import Loss, Prepared, SharedLoss
from distill.train.order import Order
from distill.train.recipe import Recipe
from distill.train.record import Estimate
from distill.train.room import disk_needed
from distill.train.run import Ready, adapter_bytes, loss_of, made_ready
from distill.train.tokens import Tokens

_SAMPLES = 5  # batches that stand for all
_LOOKED = 2  # batches of those kept apart


def measure(order: Order, alive: Callable[[], object]) -> Estimate:
    """An estimate for a whole run of this order; `alive` is called between batches and may raise.

    Raises what training would raise before its first step.
    """
    began = time.monotonic()
    ready = made_ready(order)
    started = time.monotonic() - began
    kit, recipe = ready.kit, order.recipe
    tokens = [kit.loss.run_tokens(batch) for batch in ready.batches]
    steps = _Steps(kit.model, kit.examples, recipe)
    sizes = sorted(range(len(tokens)), key=tokens.__getitem__)
    chosen = sorted({sizes[(2 * place + 1) * len(sizes) // (2 * _SAMPLES)] for place in range(_SAMPLES)})
    steps.seconds(ready.batches[sizes[0]])  # what is compiled or fetched once
    frozen, trained = 0.0, 0.0
    for number in chosen:
        alive()
        below, above = steps.seconds(ready.batches[number])
        frozen, trained = frozen + below, trained + above
    if sizes[-1] not in chosen:
        alive()
        steps.seconds(ready.batches[sizes[-1]])
    share = sum(tokens) / sum(tokens[number] for number in chosen)
    looks = _looks(ready, recipe) if kit.apart else 0
    looked = looks * _look_seconds(kit.model, kit.apart, recipe, alive) if looks else 0.0
    computed = _once(kit.loss) + frozen * share * _left_out(kit.loss, len(kit.examples))
    return Estimate(
        taught=ready.taught,
        steps=len(tokens),
        looks=looks,
        measured=len(chosen),
        run_tokens=sum(tokens),
        start_seconds=started,
        step_seconds=computed + trained * share,
        look_seconds=looked + (_once(kit.apart_loss) if looks else 0.0),
        memory_bytes=_memory(ready),
        disk_bytes=disk_needed(adapter_bytes(kit.model), len(tokens)),
    )


class _Steps:
    """A run's batches forward and back, with nothing kept between them."""

    def __init__(self, model: nn.Module, examples: Sequence[Tokens], recipe: Recipe) -> None:
        self._loss = loss_of(model, examples, recipe, 0)
        self._model = model
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


def _looks(ready: Ready, recipe: Recipe) -> int:
    """How many looks there are when none ends the run."""
    return len(ready.batches) // ready.look_every + bool(len(ready.batches) % ready.look_every)


def _look_seconds(model: nn.Module, apart: Sequence[Tokens], recipe: Recipe, alive: Callable[[], object]) -> float:
    """Of one look."""
    loss = loss_of(model, apart, recipe, 0)
    model.eval()
    batches = [range(start, min(start + recipe.batch, len(apart))) for start in range(0, len(apart), recipe.batch)]
    seconds = 0.0
    for batch in batches[:_LOOKED]:
        alive()
        prepared = _entered(loss, batch)
        began = time.monotonic()
        told = loss.tokens(prepared)
        mx.eval(told.losses, told.hits)
        seconds += time.monotonic() - began
    model.train()
    run = sum(loss.run_tokens(batch) for batch in batches[:_LOOKED])
    return seconds * sum(map(loss.run_tokens, batches)) / run


def _memory(ready: Ready) -> int:
    """The most bytes: those that measuring took, what was not yet kept of the frozen layers, and the optimiser's."""
    kit = ready.kit
    kept = sum(
        loss.frozen.bytes - loss.frozen.held() for loss in (kit.loss, kit.apart_loss) if isinstance(loss, SharedLoss)
    )
    return max(peak_memory(), int(mx.get_peak_memory())) + kept + 2 * adapter_bytes(kit.model)
