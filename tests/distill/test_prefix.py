"""The shared prefix changes the work, never the loss: every comparison is with the plain loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten

from distill.mlx import attend, lora
from distill.render import Segment
from distill.train.batches import Batch, Tokens, collate, tokens_of
from distill.train.prefix import plain_loss, shares, summed_loss


@pytest.fixture(autouse=True)
def installed() -> None:
    attend.install()


def batch(prefix: int, rows: int = 5, turns: int = 2) -> Batch:
    """Conversations of unlike lengths after `prefix` common tokens, with several learnt stretches each."""
    rng = np.random.default_rng(prefix + 31 * rows)

    def stretch(learnt: bool) -> Segment:
        return Segment(rng.integers(0, 256, size=rng.integers(1, 9)).tolist(), learnt)

    def conversation(row: int) -> Tokens:
        said = [part for _ in range(turns) for part in (stretch(True), stretch(False))]
        return tokens_of([Segment([7] * prefix, False), Segment([100 + row], False), *said])

    return collate([conversation(row) for row in range(rows)])


def both(model: nn.Module, made: Batch, streams: int) -> tuple[tuple[mx.array, Any], tuple[mx.array, Any]]:
    ours = [mx.new_stream(mx.cpu) for _ in range(streams)]
    shared = nn.value_and_grad(model, lambda b: summed_loss(model, b, ours))(made)
    plain = nn.value_and_grad(model, lambda b: plain_loss(model, b))(made)
    mx.eval(shared, plain)
    return shared, plain


def same(shared: tuple[mx.array, Any], plain: tuple[mx.array, Any]) -> None:
    assert shared[0].item() == pytest.approx(plain[0].item(), rel=1e-5)
    ours, theirs = dict(tree_flatten(shared[1])), dict(tree_flatten(plain[1]))
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        off, size = mx.linalg.norm(ours[name] - expected).item(), mx.linalg.norm(expected).item()
        assert off <= 1e-5 * size + 1e-7, name


_MODELS = [
    ("llama", {}),
    ("llama", {"tie_word_embeddings": False, "num_key_value_heads": 4}),
    ("llama", {"num_key_value_heads": 1}),
    ("llama", {"attention_bias": True, "mlp_bias": True}),
    ("qwen2", {}),
    ("qwen2", {"tie_word_embeddings": False}),
    ("qwen3", {"head_dim": 16}),
]


@pytest.mark.parametrize(("kind", "changes"), _MODELS)
@pytest.mark.parametrize("streams", [1, 2])
@pytest.mark.parametrize("prefix", [0, 1, 37])
def test_loss_and_gradients_are_those_of_the_plain_loss(
    make_model: Callable[..., nn.Module], kind: str, changes: dict[str, Any], streams: int, prefix: int
) -> None:
    model = make_model(kind, **changes)
    assert shares(model)
    made = batch(prefix)
    assert len(made.prefix) == prefix
    same(*both(model, made, streams))


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_with_an_adapter_on(make_model: Callable[..., nn.Module], rows: int) -> None:
    model = make_model("llama")
    model.freeze()
    lora.wrap(model, lora.config_of(rank=4, scale=2.0, layers=2))
    model.update(
        {"model": {"layers": [{}] + [{"self_attn": {"q_proj": {"lora_b": mx.random.normal((4, 48)) * 0.1}}}] * 2}}
    )
    same(*both(model, batch(12, rows), 2))


def test_a_row_without_anything_to_learn(make_model: Callable[..., nn.Module]) -> None:
    silent = tokens_of([Segment([7, 7, 7, 8], False)])
    told = tokens_of([Segment([7, 7, 7], False), Segment([9, 9], True)])
    same(*both(make_model("llama"), collate([told, silent]), 2))


_UNUSUAL = [
    ("granite", {"logits_scaling": 8.0, "embedding_multiplier": 12.0, "attention_multiplier": 0.3}),
    ("cohere", {"logit_scale": 0.1, "layer_norm_eps": 1e-5, "layer_norm_bias": False}),
    ("gemma2", {"head_dim": 12, "final_logit_softcapping": 3.0, "query_pre_attn_scalar": 12.0}),
]


@pytest.mark.parametrize(("kind", "changes"), _UNUSUAL)
def test_a_model_with_an_unusual_head_is_shared_rightly_or_not_at_all(
    make_model: Callable[..., nn.Module], kind: str, changes: dict[str, Any]
) -> None:
    defaults = {"attention_bias": False, "mlp_bias": False, "residual_multiplier": 0.5}
    model = make_model(kind, **{**defaults, **changes})
    if shares(model):
        same(*both(model, batch(9), 2))


def test_a_model_with_a_window_is_not_shared(make_model: Callable[..., nn.Module]) -> None:
    model = make_model("llama", sliding_window=8, layer_types=["full_attention", "sliding_attention", "full_attention"])
    assert not shares(model)
