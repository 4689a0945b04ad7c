"""How much a step keeps for its way back, and what is rather computed again. Owns the estimate, which counts the large
arrays that a transformer's layer makes; knows nothing of what is in memory beside them.
"""

from __future__ import annotations

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
    scores = layers * _WEIGHTS * heads * sum(step.tokens.size * (step.seen + step.tokens.shape[1]) for step in passes)
    rest = layers * (_WIDE * width + _INNER * inner) * sum(step.tokens.size for step in passes)
    if (scores + rest) * size <= memory:
        return "nothing"
    return "attention" if rest * size <= memory else "layers"
