"""Choosing the next token: one sampler per request. Knows nothing of models, batches or text."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import mlx.core as mx

_SPREAD = 0x9E3779B97F4A7C15  # odd: seeds next to each other draw from keys far apart

Sampler = Callable[[mx.array], mx.array]


def greedy(logprobs: mx.array) -> mx.array:
    """The likeliest token of each row. One shared function, so that greedy requests are sampled in one operation."""
    return mx.argmax(logprobs, axis=-1)


def sampler(temperature: float, top_p: float, seed: int) -> Sampler:
    """A sampler with a random key of its own: the same seed gives the same choices, whatever else is in the batch.

    The temperature is applied before `top_p` cuts the tail.
    """
    if temperature == 0:
        return greedy
    drawn = count()

    def sample(logprobs: mx.array) -> mx.array:
        key = mx.random.key((seed * _SPREAD + next(drawn)) % 2**64)  # made here: arrays belong to the thread that runs
        scaled = logprobs.astype(mx.float32) / temperature
        if top_p < 1:
            scaled = _nucleus(scaled, top_p)
        return mx.random.categorical(scaled, key=key)

    return sample


def _nucleus(logits: mx.array, top_p: float) -> mx.array:
    """`logits` with everything outside the smallest set of tokens that holds `top_p` of the probability at -inf."""
    order = mx.argsort(-logits, axis=-1)
    sorted_probabilities = mx.take_along_axis(mx.softmax(logits, axis=-1), order, axis=-1)
    before = mx.cumsum(sorted_probabilities, axis=-1) - sorted_probabilities  # of all likelier tokens
    kept = mx.put_along_axis(mx.zeros_like(logits), order, (before < top_p).astype(logits.dtype), axis=-1)
    return mx.where(kept > 0, logits, -mx.inf)
