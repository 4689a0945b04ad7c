"""Run: one training of one recipe on one dataset. Owns the loop, its measurements and the adapter it leaves.

A run is a folder: run.json says all that is needed to repeat it, metrics.jsonl what happened, adapter/ what came out.
Knows nothing of traces, examinations or serving.
"""

from __future__ import annotations

import json
import math
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optimizers
import msgspec

from distill.dataset import Example, read_examples
from distill.errors import DatasetError
from distill.mlx import allocator, lora
from distill.mlx.cpu import on_cpu
from distill.mlx.load import load
from distill.render import Renderer
from distill.train.batching import epoch
from distill.train.frozen import Frozen
from distill.train.losses import Loss, PlainLoss, SharedLoss, shares
from distill.train.recipe import Recipe
from distill.train.tokens import Tokens, tokens_of

_FROZEN_BYTES = 2 * 2**30  # for what leaves the layers that are never trained


class TrainingError(DatasetError):
    """Training stopped: the loss is no number any more. Lower the learning rate or the scale."""


class Order(msgspec.Struct, frozen=True):
    """What to train: run.json. Paths are folders; `steps` is fixed before the start, so that a run can be repeated."""

    base: str
    dataset: str
    recipe: Recipe
    steps: int | None = None


class Step(msgspec.Struct, frozen=True):
    """A line of metrics.jsonl. `loss` is in nats per learnt token; `seconds` since the start."""

    step: int
    steps: int
    loss: float
    norm: float
    rate: float
    examples: int
    seconds: float


def train(order: Order, folder: Path, report: Callable[[Step], None]) -> dict[str, Any]:
    """Train and leave `folder/adapter`. Returns what the run measured: losses, seconds, examples/s, peak memory.

    Raises DatasetError when there is nothing to learn, TrainingError when the loss stops being a number.
    """
    allocator.keep_memory()
    recipe, base = order.recipe, Path(order.base)
    mx.random.seed(recipe.seed)
    loaded = load(base)
    examples = _tokenise(read_examples(Path(order.dataset, "train.jsonl")), Renderer(base), recipe)
    config = lora.config_of(rank=recipe.rank, scale=recipe.scale, layers=recipe.layers)
    model = loaded.model
    model.freeze()
    lora.wrap(model, config)
    model.train()
    in_an_epoch = sum(1 for _ in epoch(examples, recipe.batch, seed=0))  # small groups make small batches
    steps = order.steps or max(1, round(in_an_epoch * recipe.epochs))
    started, done = time.monotonic(), []
    with (folder / "metrics.jsonl").open("w", buffering=1) as metrics:
        for step in _steps(model, examples, recipe, steps, started):
            metrics.write(msgspec.json.encode(step).decode() + "\n")
            report(step)
            done.append(step)
    _check_alive(model)
    (folder / "adapter").mkdir(exist_ok=True)
    digest = lora.write(folder / "adapter", lora.adapter_tensors(model), config)
    seconds = time.monotonic() - started
    return {
        "adapter_digest": digest,
        "examples": len(examples),
        "steps": steps,
        "first_loss": done[0].loss,
        "last_loss": sum(s.loss for s in done[-5:]) / len(done[-5:]),
        "seconds": round(seconds, 1),
        "examples_per_second": round(sum(s.examples for s in done) / seconds, 2),
        "shared_prefix": shares(model),
        "peak_memory_bytes": _peak_memory(),
    }


def _steps(model: nn.Module, examples: list[Tokens], recipe: Recipe, steps: int, started: float) -> Iterator[Step]:
    """The loop: one optimiser step a batch."""
    rate = _schedule(recipe, steps)
    optimizer = optimizers.AdamW(learning_rate=rate, betas=[0.9, 0.99], weight_decay=recipe.weight_decay)
    loss_of = _loss(model, examples, recipe)
    for number, batch in enumerate(_batches(examples, recipe, steps), start=1):
        loss, gradients = loss_of(batch)
        gradients, norm = optimizers.clip_grad_norm(gradients, recipe.clip)
        optimizer.update(model, gradients)
        mx.eval(loss, norm, model.trainable_parameters(), optimizer.state)
        if not (math.isfinite(_number(loss)) and math.isfinite(_number(norm))):
            raise TrainingError
        learning_rate = float(optimizer.learning_rate.item())
        seconds = round(time.monotonic() - started, 3)
        yield Step(number, steps, _number(loss), _number(norm), learning_rate, len(batch), seconds)


def _loss(model: nn.Module, examples: list[Tokens], recipe: Recipe) -> Callable[[list[int]], tuple[mx.array, Any]]:
    """Loss per learnt token and its gradients, of a batch."""
    loss: Loss = PlainLoss(model, examples)
    if shares(model):
        streams = [mx.new_stream(mx.cpu) for _ in range(2)] if on_cpu() else [mx.default_stream(mx.default_device())]
        below = max(0, len(model.layers) - recipe.layers)
        loss = SharedLoss(model, examples, Frozen(model, below, examples, streams, budget=_FROZEN_BYTES), streams)

    def mean(prepared: Any, learnt: int) -> mx.array:
        return loss(prepared) / learnt

    valued = nn.value_and_grad(model, mean)

    def of(batch: list[int]) -> tuple[mx.array, Any]:
        found: tuple[mx.array, Any] = valued(loss.prepare(batch), sum(int(examples[at].learnt.sum()) for at in batch))
        return found

    return of


def _batches(examples: list[Tokens], recipe: Recipe, steps: int) -> Iterator[list[int]]:
    """As many batches as there are steps: epoch after epoch, each in its own order."""
    left = steps
    for number in range(steps):
        for batch in epoch(examples, recipe.batch, seed=recipe.seed * 1000 + number):
            if left == 0:
                return
            left -= 1
            yield batch


def _schedule(recipe: Recipe, steps: int) -> Callable[[mx.array], mx.array]:
    """Linear warm-up, then a cosine down to a tenth."""
    warmup = max(1, round(steps * recipe.warmup))
    rising = optimizers.linear_schedule(recipe.learning_rate / warmup, recipe.learning_rate, warmup)
    falling = optimizers.cosine_decay(recipe.learning_rate, max(1, steps - warmup), recipe.learning_rate / 10)
    joined: Callable[[mx.array], mx.array] = optimizers.join_schedules([rising, falling], [warmup])
    return joined


def _tokenise(examples: list[Example], renderer: Renderer, recipe: Recipe) -> list[Tokens]:
    rendered = [
        tokens_of(renderer.segments(example.messages, example.tools or None, learnt=example.learnt))
        for example in examples
    ]
    fitting = [tokens for tokens in rendered if tokens.learnt.any() and len(tokens.ids) <= recipe.max_tokens]
    if not fitting:
        raise DatasetError(
            f"none of the {len(examples)} examples has anything to learn within {recipe.max_tokens} tokens"
        )
    return fitting


def _check_alive(model: nn.Module) -> None:
    """An adapter whose second matrices are still zero changes nothing."""
    moved = [mx.abs(array).max() for name, array in lora.adapter_tensors(model).items() if name.endswith("lora_b")]
    if not all(_number(value) > 0 for value in moved):
        raise TrainingError("the trained adapter changes nothing: some of its tensors never moved")


def _number(scalar: mx.array) -> float:
    return cast(float, scalar.item())  # MLX's stubs allow for complex numbers


def _peak_memory() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def read_order(folder: Path) -> Order:
    return msgspec.convert(json.loads((folder / "run.json").read_text()), Order)
