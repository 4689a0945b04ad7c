"""The loop: one optimiser step a batch, from wherever the run stands. Owns the schedule, what happens when the loss is
no number any more, looks at the conversations kept apart, and when a run ends.

Everything that a step hangs on is in the checkpoint or follows from the step's number: batches, rate, dropout. So a run
that was killed goes on as if nothing had been. Knows nothing of files but the checkpoints.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optimizers
import msgspec
from mlx.utils import tree_flatten, tree_map, tree_unflatten

from distill.errors import DatasetError
from distill.machine import peak_memory
from distill.mlx import lora
from distill.train.checkpoints import Checkpoints, Kept, State
from distill.train.group import Group
from distill.train.looking import look
from distill.train.losses import Loss
from distill.train.recipe import Recipe
from distill.train.record import Look, Step
from distill.train.tokens import Tokens

_SLOWED = 3  # times that the rate is halved before a run gives up


class TrainingError(DatasetError):
    """Training stopped: the loss is no number any more. Lower the learning rate or the scale."""


class Kit(NamedTuple):
    """What a loop works with: a model with its adapter on, its loss over `examples`, and over those kept `apart`."""

    model: nn.Module
    examples: Sequence[Tokens]
    loss: Loss
    apart: Sequence[Tokens]
    apart_loss: Loss


class Loop:
    """A run under way: `batches` one after the other, an optimiser step each; a look after every `look_every` steps and
    the last. `group`: the processes that share the work."""

    def __init__(
        self,
        kit: Kit,
        recipe: Recipe,
        batches: Sequence[Sequence[int]],
        checkpoints: Checkpoints,
        look_every: int,
        group: Group,
    ) -> None:
        self._kit, self._recipe, self._batches, self._checkpoints = kit, recipe, batches, checkpoints
        self._look_every, self._group = look_every, group
        self._optimizer = optimizers.AdamW(
            learning_rate=recipe.learning_rate, betas=[0.9, 0.99], weight_decay=recipe.weight_decay
        )
        self._optimizer.init(kit.model.trainable_parameters())
        self._valued = nn.value_and_grad(kit.model, lambda prepared: kit.loss(prepared))
        self.state = State()
        if (kept := checkpoints.last()) is None:
            self._save()
        else:
            self._restore(kept)

    def run(self) -> Iterator[Step]:
        """The steps that are left, each when it is done. Raises TrainingError when the loss stays no number."""
        started, before = time.monotonic(), self.state.seconds
        while self.state.step < len(self._batches) and not self._is_enough():
            told = self._step()
            if told is None:
                self._slow_down()
                continue
            number = self.state.step + 1
            seconds = round(before + time.monotonic() - started, 3)
            self.state = msgspec.structs.replace(self.state, step=number, seconds=seconds)
            seen = self._look() if self._is_due(number) else None
            batch = self._batches[number - 1]
            tokens = sum(len(self._kit.examples[index].ids) for index in batch)
            yield Step(number, len(self._batches), *told, len(batch), tokens, seconds, peak_memory(), look=seen)
            if number % self._recipe.checkpoint == 0:
                self._save()  # once the step is told of: where a run goes on, nothing is missing

    def best(self) -> dict[str, mx.array]:
        """The adapter that the run leaves: that of its best look, or the last one."""
        found = best_of(self.state.looks)
        if found is None or found.step == self.state.step:
            return lora.adapter_tensors(self._kit.model)
        return self._checkpoints.best(found.step)

    def _step(self) -> tuple[float, float, float] | None:
        """Loss, length of the gradient and rate of one step; None, and nothing changed, when one is no number."""
        number = self.state.step
        batch = self._batches[number]
        mx.random.seed(self._recipe.seed * 1_000_003 + number)
        learnt = sum(int(self._kit.examples[index].learnt.sum()) for index in batch)
        loss, gradients = self._group.summed(self._of_share(self._group.share(batch)))
        loss, gradients = loss / learnt, tree_map(lambda gradient: gradient / learnt, gradients)
        longest = self._recipe.clip or math.inf
        norm = mx.sqrt(sum(gradient.square().sum() for _, gradient in tree_flatten(gradients)))
        mx.eval(loss, norm, gradients)
        told = (_number(loss), _number(norm), rate_at(self._recipe, number, len(self._batches)) / 2**self.state.slowed)
        if not all(map(math.isfinite, told)):
            return None
        factor = min(1.0, longest / (told[1] + 1e-6))
        gradients = tree_map(lambda gradient: gradient * factor, gradients)
        self._optimizer.learning_rate = told[2]
        self._optimizer.update(self._kit.model, gradients)
        mx.eval(self._kit.model.trainable_parameters(), self._optimizer.state)
        return told

    def _of_share(self, batch: Sequence[int]) -> tuple[mx.array, Any]:
        """Summed loss and gradients of a part of a batch; of none, zeros."""
        if not batch:
            return mx.array(0.0), tree_map(mx.zeros_like, self._kit.model.trainable_parameters())
        found: tuple[mx.array, Any] = self._valued(self._kit.loss.prepare(batch))
        return found

    def _slow_down(self) -> None:
        """Back to the last checkpoint, with half the rate."""
        slowed = self.state.slowed + 1
        kept = self._checkpoints.last()
        if slowed > _SLOWED or kept is None:
            raise TrainingError
        self._restore(kept)
        self._group.wait()  # all have read it before it is replaced
        self.state = msgspec.structs.replace(self.state, slowed=slowed)
        self._save()

    def _is_due(self, number: int) -> bool:
        return bool(self._kit.apart) and (number % self._look_every == 0 or number == len(self._batches))

    def _is_enough(self) -> bool:
        """Whether the last looks brought nothing."""
        looks, patience = self.state.looks, self._recipe.patience
        best = best_of(looks)
        return best is not None and 0 < patience <= len(looks) - 1 - looks.index(best)

    def _look(self) -> Look:
        kit = self._kit
        seen = look(kit.model, kit.apart_loss, kit.apart, self._recipe.batch)
        now = Look(self.state.step, seen.exact / seen.turns, seen.loss / seen.learnt)
        self.state = msgspec.structs.replace(self.state, looks=[*self.state.looks, now])
        if best_of(self.state.looks) is now and self._group.leads:
            self._checkpoints.keep_best(now.step, lora.adapter_tensors(kit.model))
        return now

    def _save(self) -> None:
        if self._group.leads:
            optimizer = dict(tree_flatten(self._optimizer.state))
            self._checkpoints.save(self.state, lora.adapter_tensors(self._kit.model), optimizer)

    def _restore(self, kept: Kept) -> None:
        self._kit.model.load_weights(list(kept.adapter.items()), strict=False)
        self._optimizer.state = tree_unflatten(list(kept.optimizer.items()))
        self.state = kept.state


def best_of(looks: Sequence[Look]) -> Look | None:
    """The look with the most exact turns, of these the one with the least loss."""
    return max(looks, key=lambda seen: (seen.exact, -seen.loss), default=None)


def rate_at(recipe: Recipe, step: int, steps: int) -> float:
    """The learning rate of a step, counted from 0: a linear warm-up, then a cosine down to a tenth, or a level."""
    warmup = max(1, round(steps * recipe.warmup)) if recipe.warmup else 0
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    if recipe.decay == "constant":
        return recipe.learning_rate
    way = (step - warmup) / max(1, steps - warmup)
    return recipe.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * way)))


def _number(scalar: mx.array) -> float:
    return cast(float, scalar.item())  # MLX's stubs allow for complex numbers
