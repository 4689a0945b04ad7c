"""Sharing changes the work, never the loss: every comparison is with the plain loss, which shares no code with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlx.utils import tree_flatten

from distill.mlx import attend, lora
from distill.train.forward import Again
from distill.train.frozen import Frozen
from distill.train.losses import PlainLoss, SharedLoss, shares
from distill.train.memory import again_for
from distill.train.passes import passes_of
from distill.train.tokens import Tokens
from distill.train.tree import grow
from tests.distill.train.conversations import conversations, family

pytestmark = pytest.mark.school

Both = tuple[tuple[mx.array, Any], tuple[mx.array, Any]]


@pytest.fixture(autouse=True)
def installed() -> None:
    attend.install()


def adapted(model: nn.Module, layers: int, rank: int = 4) -> nn.Module:
    """With LoRA that changes something on the last `layers` layers."""
    model.freeze()
    lora.wrap(model, lora.config_of(rank=rank, scale=2.0, layers=layers))
    rng = np.random.default_rng(5)
    moved = {
        name: mx.array(rng.normal(size=array.shape).astype(np.float32) * 0.1)
        for name, array in lora.adapter_tensors(model).items()
    }
    model.load_weights(list(moved.items()), strict=False)
    return model


def both(
    model: nn.Module,
    examples: Sequence[Tokens],
    *,
    below: int,
    streams: int = 2,
    again: Again | None = None,
    **how: Any,
) -> Both:
    ours = [mx.new_stream(mx.cpu) for _ in range(streams)]
    everything = list(range(len(examples)))
    frozen = Frozen(model, below, examples, ours, budget=10**9)
    shared = SharedLoss(model, examples, frozen, ours, **{"memory": 10**9, **how})
    plain = PlainLoss(model, examples)
    prepared = shared.prepare(everything)
    left = nn.value_and_grad(model, shared)(prepared if again is None else replace(prepared, again=again))
    right = nn.value_and_grad(model, plain)(plain.prepare(everything))
    mx.eval(left, right)
    return left, right


def same(left: tuple[mx.array, Any], right: tuple[mx.array, Any]) -> None:
    """Losses and all gradients within 1e-5, relative; where one all but vanishes, within the rounding of the whole."""
    assert left[0].item() == pytest.approx(right[0].item(), rel=1e-5)
    ours, theirs = dict(tree_flatten(left[1])), dict(tree_flatten(right[1]))
    assert ours.keys() == theirs.keys()
    assert ours
    whole = sum(mx.linalg.norm(array).item() ** 2 for array in theirs.values()) ** 0.5
    for name, expected in theirs.items():
        off, size = mx.linalg.norm(ours[name] - expected).item(), mx.linalg.norm(expected).item()
        assert off <= 1e-5 * size + 3e-7 * whole, name


_MODELS = [
    ("llama", {}),
    ("llama", {"tie_word_embeddings": False, "num_key_value_heads": 4}),
    ("llama", {"num_key_value_heads": 1}),
    ("llama", {"attention_bias": True, "mlp_bias": True}),
    ("qwen2", {}),
    ("qwen2", {"tie_word_embeddings": False}),
    ("qwen3", {"head_dim": 16}),
    ("olmo2", {"attention_bias": False}),
]
_SHAPES = [(0, 0), (1, 0), (37, 0), (37, 3), (90, 2)]


@pytest.mark.parametrize(("kind", "changes"), _MODELS)
@pytest.mark.parametrize("shape", _SHAPES)
@pytest.mark.parametrize("below", [0, 1])
def test_loss_and_gradients_are_those_of_the_plain_loss(
    make_model: Callable[..., nn.Module], kind: str, changes: dict[str, Any], shape: tuple[int, int], below: int
) -> None:
    model = adapted(make_model(kind, **changes), 3 - below)
    assert shares(model)
    same(*both(model, family(sum(shape), *shape, rows=7), below=below, least_shared=1))


@pytest.mark.parametrize("again", [Again(), Again(attention=True), Again(layers=1), Again(layers=2)])
@pytest.mark.parametrize("streams", [1, 2, 3])
@pytest.mark.parametrize("least", [1, 10_000])
def test_however_it_is_run(make_model: Callable[..., nn.Module], again: Again, streams: int, least: int) -> None:
    model = adapted(make_model("llama"), 2)
    examples = family(1, 600, 3, 9)
    same(*both(model, examples, below=1, streams=streams, again=again, least_shared=least))


def test_the_less_memory_the_more_is_computed_again(make_model: Callable[..., nn.Module]) -> None:
    model = make_model("llama")

    def chosen(examples: list[Tokens], layers: int) -> list[Again]:
        """What is computed again, from much memory to little."""
        passes = passes_of(examples, grow(examples), 1)
        return list(dict.fromkeys(again_for(model, passes, layers, int(2 ** (at / 4))) for at in range(140, 8, -1)))

    short = chosen(family(1, 0, 9, 9), 8)
    assert short[:2] == [Again(), Again(attention=True)]
    assert short[2:] == [Again(layers=count) for count in range(short[2].layers, 9)]
    assert 1 < short[2].layers < 8
    assert chosen(family(1, 600, 3, 9), 2)[-1] == Again(layers=2)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(conversations(), min_size=1, max_size=7).filter(lambda made: any(one.learnt.any() for one in made)))
def test_any_tree(make_model: Callable[..., nn.Module], examples: list[Tokens]) -> None:
    model = adapted(make_model("qwen2"), 2)
    same(*both(model, examples, below=1, least_shared=1))


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
    model = adapted(make_model(kind, **{**defaults, **changes}), 3)
    if shares(model):
        same(*both(model, family(9, 20, 2, 5), below=0))


def test_a_model_with_a_window_is_not_shared(make_model: Callable[..., nn.Module]) -> None:
    model = make_model("llama", sliding_window=8, layer_types=["full_attention", "sliding_attention", "full_attention"])
    assert not shares(model)


def test_what_is_frozen_is_computed_once_and_stays_the_same(make_model: Callable[..., nn.Module]) -> None:
    """To the bit, in whatever order batches come: a run that goes on after a kill sees the same numbers."""
    model, examples = adapted(make_model("llama"), 1), family(3, 50, 3, 150)
    streams = [mx.new_stream(mx.cpu) for _ in range(2)]

    def entering(frozen: Frozen, batch: list[int]) -> list[np.ndarray]:
        loss = SharedLoss(model, examples, frozen, streams, memory=10**9)
        return [np.array(array) for array in loss.prepare(batch).entering]

    whole = Frozen(model, 2, examples, streams, budget=10**9)
    tight = Frozen(model, 2, examples, streams, budget=0)
    first = entering(whole, [5, 9, 40, 41, 149])
    model.model.layers[0].mlp.down_proj.weight = mx.zeros_like(model.model.layers[0].mlp.down_proj.weight)
    for one, two in zip(first, entering(whole, [5, 9, 40, 41, 149]), strict=True):
        assert (one == two).all()
    assert any(not np.allclose(one, two) for one, two in zip(first, entering(tight, [5, 9, 40, 41, 149]), strict=True))


def test_what_is_frozen_does_not_hang_on_who_asked_first(make_model: Callable[..., nn.Module]) -> None:
    model, examples = adapted(make_model("llama"), 1), family(3, 50, 3, 150)
    streams = [mx.new_stream(mx.cpu) for _ in range(2)]
    found = []
    for earlier in ([], [3, 4], [149, 7, 8, 60]):
        frozen = Frozen(model, 2, examples, streams, budget=10**9)
        loss = SharedLoss(model, examples, frozen, streams, memory=10**9)
        if earlier:
            loss.prepare(earlier)
        found.append([np.array(array) for array in loss.prepare([5, 9, 40, 41, 149]).entering])
    for other in found[1:]:
        assert all((one == two).all() for one, two in zip(found[0], other, strict=True))
