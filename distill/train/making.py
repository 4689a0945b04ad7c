"""Making the losses of a run: over a tree where the model allows it, of hard targets or of a teacher's. Owns the
choice, and how memory is divided; knows nothing of the loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn

from distill.errors import DatasetError
from distill.mlx import lora
from distill.mlx.cpu import on_cpu
from distill.mlx.load import load, weight_bytes
from distill.render import Renderer
from distill.train import soft
from distill.train.frozen import Frozen
from distill.train.losses import Loss, PlainLoss, Score, SharedLoss, hard, shares
from distill.train.order import Order, memory_of, most_memory
from distill.train.tokens import Tokens

_FROZEN_SHARE = 0.25  # of what the weights leave of it, at most: for what leaves the layers that are never trained
_KEPT_SHARE = 0.7  # of what is then left: for what a step keeps for its way back, as estimated
_LEAST = 1 / 8  # of the memory is divided, whatever the weights take


def loss_of(
    model: nn.Module,
    examples: Sequence[Tokens],
    below: int,
    memory: int,
    score: Score = hard,
    frozen_share: float = _FROZEN_SHARE,
) -> Loss:
    """The shared loss where the model allows it, else the plain one; the lowest `below` layers are never trained,
    and what leaves them is kept up to a share of the `memory`, in bytes."""
    if not shares(model):
        return PlainLoss(model, examples, score)
    left = max(memory - weight_bytes(model), memory * _LEAST)
    streams = [mx.new_stream(mx.cpu) for _ in range(2)] if on_cpu() else [mx.default_stream(mx.default_device())]
    frozen = Frozen(model, below, examples, streams, budget=int(left * frozen_share))
    return SharedLoss(model, examples, frozen, streams, memory=int((left - frozen.bytes) * _KEPT_SHARE), score=score)


def taught(order: Order, renderer: Renderer, examples: Sequence[Tokens], path: Path) -> Score:
    """How a token's loss is counted. With a teacher, what it would have said is asked first and kept at `path`; it has
    left memory when this returns.

    Raises DatasetError where the recipe wants a teacher and none is named, or its vocabulary is another one.
    """
    weight = order.recipe.soft
    if not weight:
        return hard
    if not order.teacher:
        raise DatasetError("the recipe learns from a teacher's probabilities (soft), and the order names no teacher")
    if not renderer.speaks_like(Renderer(Path(order.teacher))):
        raise DatasetError(
            f"the teacher in {order.teacher} has another vocabulary than the student: its probabilities are of other "
            "tokens. Take a teacher of the same family, or set soft to 0: what it answers can be learnt all the same"
        )
    if not path.exists():
        soft.save(_asked(order, examples), path)
    return soft.Pull(soft.read(path, examples), weight)


def _asked(order: Order, examples: Sequence[Tokens]) -> soft.SoftTargets:
    teacher = load(Path(order.teacher), most_memory(order)).model
    if order.teacher_adapter:
        lora.attach(teacher, lora.read(Path(order.teacher_adapter)))
    loss = loss_of(teacher, examples, 0, memory_of(order))
    return soft.asked(loss, examples, order.recipe.batch, order.recipe.top)
