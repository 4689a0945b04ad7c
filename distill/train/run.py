"""Run: one training of one recipe on one dataset, in a folder that can be taken up again at any time.

run.json says all that is needed to repeat it, metrics.jsonl what happened, checkpoints/ where it stands, adapter/ and
result.json what came out. Knows nothing of traces, examinations or serving.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import mlx.core as mx
import mlx.nn as nn
import msgspec
from mlx.utils import tree_flatten

from distill.atomic import write_atomically
from distill.errors import AdapterError, DatasetError, ModelError
from distill.machine import peak_memory
from distill.mlx import allocator, lora
from distill.mlx.load import load
from distill.render import Renderer
from distill.train.batching import epoch
from distill.train.checkpoints import Checkpoints
from distill.train.group import Group
from distill.train.leaving import leave
from distill.train.lessons import lessons
from distill.train.loop import Kit, Loop, best_of
from distill.train.losses import Score, SharedLoss
from distill.train.making import loss_of, taught
from distill.train.order import Order, base_digest, dataset_digest, memory_of, most_memory
from distill.train.recipe import Recipe
from distill.train.record import ADAPTER, CHECKPOINTS, METRICS, RESULT, SOFT, TAUGHT, Step, Taught
from distill.train.room import check_disk, disk_needed
from distill.train.tokens import Tokens

_APART_SHARE = 0.05  # of the memory, at most: for what leaves the frozen layers of the conversations kept apart


class Ready(NamedTuple):
    """What a run works with: the kit, its batches from beginning to end, how many steps lie between two looks, what
    the adapter's configuration says, and what is taught."""

    kit: Kit
    batches: list[list[int]]
    look_every: int
    config: dict[str, Any]
    taught: Taught


def train(order: Order, folder: Path, report: Callable[[Step], None]) -> dict[str, Any]:
    """Train and leave `folder/adapter` and `folder/result.json`; a run that was killed goes on where it stood.

    Returns what the run measured, in the process that leads: losses, seconds, examples/s, peak memory. Raises
    DatasetError when there is nothing to learn, no room on the disk, or base or dataset are not those that were
    ordered, ModelError when the base does not fit into memory, TrainingError when the loss stops being a number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ready = made_ready(order, partial(taught, order, path=folder / SOFT))
    kit, group = ready.kit, Group()
    if group.leads:
        check_disk(folder, disk_needed(adapter_bytes(kit.model), len(ready.batches)))
        write_atomically(folder / TAUGHT, msgspec.json.encode(ready.taught))
    checkpoints = Checkpoints(folder / CHECKPOINTS)
    loop = Loop(kit, order.recipe, ready.batches, checkpoints, ready.look_every, group)
    if not group.leads:
        for _ in loop.run():
            pass
        return {}
    result = _result(ready.taught, loop, follow(loop, folder / METRICS, report))
    result["adapter_digest"] = leave(kit.model, loop.best(), ready.config, folder / ADAPTER, kit.examples[0])
    write_atomically(folder / RESULT, msgspec.json.format(msgspec.json.encode(result), indent=2))
    checkpoints.clear()
    (folder / SOFT).unlink(missing_ok=True)
    return result


def follow(loop: Loop, metrics: Path, report: Callable[[Step], None]) -> list[Step]:
    """Run a loop to its end, each step reported and written down as it comes. Returns all steps of the run."""
    done = _told(metrics, loop.state.step)
    for step in loop.run():
        if step.step <= len(done):  # a loss that was no number took the run back
            done = _told(metrics, step.step - 1)
        done.append(step)
        _append(metrics, step)
        report(step)
    return done


def made_ready(order: Order, scored: Callable[[Renderer, Sequence[Tokens]], Score]) -> Ready:
    """Everything that a run of this order needs, with a fresh adapter on the model; `scored` says how the loss of a
    token is counted. Raises as `train` does."""
    allocator.keep_memory()
    recipe = order.recipe
    _check_inputs(order)
    renderer = Renderer(Path(order.base))
    learnt = lessons(Path(order.dataset), renderer, recipe)
    score = scored(renderer, learnt.train)
    model = load(Path(order.base), most_memory(order)).model
    config = lora.config_of(
        rank=recipe.rank,
        scale=recipe.scale,
        layers=recipe.layers or len(model.layers),
        dropout=recipe.dropout,
        kind=recipe.kind,
    )
    _adapt(model, config, order)
    batches = plan(learnt.train, recipe, order.steps)
    below = frozen_layers(model, recipe)
    memory = memory_of(order)
    loss = loss_of(model, learnt.train, below, memory, score)
    apart_loss = loss_of(model, learnt.apart, below, memory, frozen_share=_APART_SHARE)
    kit = Kit(model, learnt.train, loss, learnt.apart, apart_loss)
    in_an_epoch = len(batches) / recipe.epochs if order.steps is None else len(batches)
    counts = Taught(
        len(learnt.train),
        len(learnt.apart),
        learnt.too_long,
        learnt.silent,
        isinstance(loss, SharedLoss),
        learnt.unsaid,
    )
    return Ready(kit, batches, max(1, round(in_an_epoch * recipe.look)), config, counts)


def frozen_layers(model: nn.Module, recipe: Recipe) -> int:
    """How many of the lowest layers are never trained."""
    return max(0, len(model.layers) - (recipe.layers or len(model.layers)))


def adapter_bytes(model: nn.Module) -> int:
    """Of all that is trained of a model."""
    return int(sum(array.nbytes for _, array in tree_flatten(model.trainable_parameters())))


def plan(examples: Sequence[Tokens], recipe: Recipe, steps: int | None) -> list[list[int]]:
    """The run's batches from beginning to end: epoch after epoch, each in its own order; `steps` in place of epochs."""
    batches: list[list[int]] = []
    for number in range(steps or math.ceil(recipe.epochs)):
        batches += epoch(examples, recipe.batch, seed=recipe.seed * 1000 + number)
        if number == 0 and steps is None:
            steps = max(1, round(len(batches) * recipe.epochs))
        if steps is not None and len(batches) >= steps:
            break
    return batches[:steps]


def _check_inputs(order: Order) -> None:
    if not Path(order.base, "config.json").exists():
        raise ModelError(f"there is no model in {order.base}: it holds no config.json")
    for what, folder, digest_of, digest in (
        ("base", order.base, base_digest, order.base_digest),
        ("dataset", order.dataset, dataset_digest, order.dataset_digest),
    ):
        if digest and digest_of(Path(folder)) != digest:
            raise DatasetError(
                f"the {what} in {folder} is not the one that this run was ordered for: its content has changed. "
                "Order a new run, or put back what was there"
            )


def _adapt(model: nn.Module, config: dict[str, Any], order: Order) -> None:
    """Put the adapter on, fresh or as `warm` has it; nothing else is trained."""
    model.freeze()
    mx.random.seed(order.recipe.seed)
    lora.wrap(model, config)
    model.train()
    if order.warm:
        warm = lora.read(Path(order.warm))
        shapes = {name: array.shape for name, array in lora.adapter_tensors(model).items()}
        if {name: array.shape for name, array in warm.tensors.items()} != shapes:
            raise AdapterError(
                f"the adapter in {order.warm} has other layers or another rank than the recipe, or another base: "
                "start from the base"
            )
        model.load_weights(list(warm.tensors.items()), strict=False)


def _told(path: Path, until: int) -> list[Step]:
    """The steps that metrics.jsonl tells of, up to the one where the run stands; the file is cut there."""
    if not path.exists():
        return []
    done = [msgspec.json.decode(line, type=Step) for line in path.read_bytes().splitlines(keepends=True)[:until]]
    write_atomically(path, b"".join(msgspec.json.encode(step) + b"\n" for step in done))
    return done


def _append(path: Path, step: Step) -> None:
    with path.open("ab") as file:
        file.write(msgspec.json.encode(step) + b"\n")


def _result(taught: Taught, loop: Loop, done: Sequence[Step]) -> dict[str, Any]:
    seconds = loop.state.seconds
    best = best_of(loop.state.looks)
    return {
        "examples": taught.examples,
        "too_long": taught.too_long,
        "silent": taught.silent,
        "steps": loop.state.step,
        "first_loss": done[0].loss,
        "last_loss": sum(step.loss for step in done[-5:]) / len(done[-5:]),
        "best": msgspec.to_builtins(best) if best else None,
        "slowed": loop.state.slowed,
        "seconds": round(seconds, 1),
        "examples_per_second": round(sum(step.examples for step in done) / seconds, 2),
        "tokens_per_second": round(sum(step.tokens for step in done) / seconds, 1),
        "shared_prefix": taught.shared_prefix,
        "peak_memory_bytes": peak_memory(),
    }
