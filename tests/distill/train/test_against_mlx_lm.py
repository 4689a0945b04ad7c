"""The same batches, the same start, the same optimiser: mlx-lm's trainer and ours draw the same curve.

mlx-lm's loss counts one token of padding behind every conversation as if it were learnt; here it is told lengths that
leave that token out, and all else is its own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optimizers
import numpy as np
import pytest
from mlx_lm.tuner.trainer import default_loss

from distill.mlx import attend, lora
from distill.train.checkpoints import Checkpoints
from distill.train.frozen import Frozen
from distill.train.group import Group
from distill.train.loop import Kit, Loop
from distill.train.losses import SharedLoss
from distill.train.recipe import recipe_of
from distill.train.tokens import Tokens

RATE, BATCH, STEPS = 2e-3, 4, 12


def conversations() -> list[Tokens]:
    """A shared beginning, a question, and one answer that is learnt."""
    rng = np.random.default_rng(3)
    first = rng.integers(1, 250, 40)
    made = []
    for _ in range(BATCH * STEPS):
        asked, said = rng.integers(1, 250, rng.integers(3, 12)), rng.integers(1, 250, rng.integers(2, 9))
        ids = np.concatenate([first, asked, said]).astype(np.int32)
        made.append(Tokens(ids, np.arange(len(ids)) >= len(ids) - len(said)))
    return made


def theirs(model: nn.Module, examples: list[Tokens]) -> list[float]:
    optimizer = optimizers.AdamW(learning_rate=RATE, betas=[0.9, 0.99], weight_decay=0.0)
    valued = nn.value_and_grad(model, default_loss)
    losses = []
    for start in range(0, len(examples), BATCH):
        batch = examples[start : start + BATCH]
        rows = np.zeros((BATCH, max(len(example.ids) for example in batch) + 1), dtype=np.int32)
        lengths = []
        for row, example in zip(rows, batch, strict=True):
            row[: len(example.ids)] = example.ids
            lengths.append((len(example.ids) - int(example.learnt.sum()), len(example.ids) - 1))
        (loss, counted), gradients = valued(model, mx.array(rows), mx.array(lengths))
        assert counted.item() == sum(example.learnt.sum() for example in batch)
        optimizer.update(model, gradients)
        mx.eval(model.parameters(), optimizer.state)
        losses.append(float(loss.item()))
    return losses


def ours(model: nn.Module, examples: list[Tokens], folder: Path) -> list[float]:
    recipe = recipe_of({"learning_rate": RATE, "decay": "constant", "warmup": 0, "clip": 0.0, "batch": BATCH})
    streams = [mx.new_stream(mx.cpu) for _ in range(2)]
    frozen = Frozen(model, 1, examples, streams, budget=10**9)
    loss = SharedLoss(model, examples, frozen, streams, memory=10**9)
    batches = [list(range(start, start + BATCH)) for start in range(0, len(examples), BATCH)]
    loop = Loop(Kit(model, examples, loss, [], loss), recipe, batches, Checkpoints(folder), STEPS, Group())
    return [step.loss for step in loop.run()]


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
def test_the_curves_are_the_same(make_model: Callable[..., nn.Module], kind: str, tmp_path: Path) -> None:
    attend.install()
    curves: list[Any] = []
    for train in (theirs, lambda model, examples: ours(model, examples, tmp_path)):
        model = make_model(kind, **({"head_dim": 16} if kind == "qwen3" else {}))
        model.freeze()
        mx.random.seed(0)
        lora.wrap(model, lora.config_of(rank=4, scale=2.0, layers=2))
        curves.append(train(model, conversations()))
    assert curves[1] == pytest.approx(curves[0], rel=2e-4)
    assert curves[0][-1] != pytest.approx(curves[0][0], rel=1e-2)
