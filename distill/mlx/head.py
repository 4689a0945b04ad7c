"""A model in two: the body that makes hidden states of tokens, and the head that makes logits of hidden states.

So that logits are computed only where somebody wants them. Owns what is known of how mlx-lm builds its models; whoever
uses it must try whether a model agrees, as some scale their logits on the way.
"""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import mlx.nn as nn


def is_known(model: nn.Module) -> bool:
    """Whether the model has a body and a head where this module looks for them."""
    body = getattr(model, "model", None)
    return hasattr(body, "embed_tokens") and hasattr(body, "norm") and (hasattr(model, "lm_head") or _is_tied(model))


def hidden_states(model: nn.Module, tokens: mx.array, caches: list[Any] | None = None) -> mx.array:
    """(batch, n) tokens → (batch, n, width)."""
    hidden: mx.array = model.model(tokens, cache=caches)
    return hidden


def embedded(model: nn.Module, tokens: mx.array) -> mx.array:
    """(batch, n) tokens → (batch, n, width), what enters the first layer."""
    vectors: mx.array = model.model.embed_tokens(tokens)
    return vectors


def normed(model: nn.Module, hidden: mx.array) -> mx.array:
    """(…, width) of what leaves the last layer → (…, width), what `logits` wants."""
    made: mx.array = model.model.norm(hidden)
    return made


def shape_of(model: nn.Module) -> tuple[int, int, int, int]:
    """The model's width, that of its feed-forward layers, its attention heads, and the bytes of a number."""
    args = model.args
    inner = int(getattr(args, "intermediate_size", 4 * args.hidden_size))
    size = int(model.model.norm.weight.itemsize)
    return int(args.hidden_size), inner, int(args.num_attention_heads), size


def vocabulary_of(model: nn.Module) -> int:
    """How many logits the model makes for a token."""
    return int(model.args.vocab_size)


def logits(model: nn.Module, hidden: mx.array) -> mx.array:
    """(…, width) → (…, vocabulary)."""
    made: mx.array = model.model.embed_tokens.as_linear(hidden) if _is_tied(model) else model.lm_head(hidden)
    return made


def _is_tied(model: nn.Module) -> bool:
    return bool(getattr(getattr(model, "args", None), "tie_word_embeddings", False))
