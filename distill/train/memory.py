"""How much a step keeps for its way back, and what is rather computed again. Owns the estimate, which counts the large
arrays that a transformer's layer makes, three quarters of what is in memory at worst; knows nothing of what else is
there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import mlx.nn as nn

from distill.mlx import head
from distill.train.forward import Again
from distill.train.passes import Pass

_WEIGHTS = 2  # arrays of the size of the attention's scores that are kept: the weights, and their masked scores
_WIDE, _INNER = 10, 5  # arrays as wide as the model, and as its feed-forward layer, that a layer keeps for a token


def again_for(model: nn.Module, passes: Sequence[Pass], layers: int, memory: int) -> Again:
    """What is to be computed again so that the rest fits into `memory` bytes."""
    width, inner, heads, size = head.shape_of(model)
    scores = size * _WEIGHTS * heads * sum(step.tokens.size * (step.seen + step.tokens.shape[1]) for step in passes)
    rest = size * (_WIDE * width + _INNER * inner) * sum(step.tokens.size for step in passes)
    if layers * (scores + rest) <= memory:
        return Again()
    if layers * rest <= memory:
        return Again(attention=True)
    return Again(layers=min(layers, math.ceil(layers - memory / (scores + rest))))
