"""A look at conversations kept apart: would the model write these turns, token by token?

A turn whose every token is the likeliest one after those before it is the turn that greedy decoding writes; so one pass
over the conversation tells what generating it would, at a fraction of the price. Knows nothing of training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from distill.train.losses import Loss, cross_entropy, tell_each
from distill.train.tokens import Tokens


class Seen(NamedTuple):
    """`turns` of the assistant, `exact` ones among them; the summed loss in nats over `learnt` tokens."""

    turns: int
    exact: int
    loss: float
    learnt: int


def look(model: nn.Module, loss: Loss, examples: Sequence[Tokens], size: int) -> Seen:
    """Every example once, `size` at a time; the model is left as it was."""
    training = model.training
    model.eval()
    total, turns, exact, learnt = 0.0, 0, 0, 0
    for example, (losses, hits) in zip(examples, tell_each(loss, len(examples), size, _told), strict=True):
        total += float(losses.sum())
        learnt += len(losses)
        for turn in turns_of(example, hits):
            turns += 1
            exact += bool(turn.all())
    model.train(training)
    return Seen(turns, exact, total, learnt)


def _told(logits: mx.array, targets: mx.array) -> tuple[mx.array, mx.array]:
    return cross_entropy(logits, targets), logits.argmax(axis=-1) == targets


def turns_of(example: Tokens, mine: np.ndarray) -> list[np.ndarray]:
    """`mine`, a number for each learnt token in its order, divided into the stretches that were learnt together."""
    places = np.flatnonzero(example.learnt)
    return np.split(mine, np.flatnonzero(np.diff(places) > 1) + 1) if len(places) else []
