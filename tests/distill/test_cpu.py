"""The faster mathematics against MLX's own and against float64."""

from __future__ import annotations

from collections.abc import Callable

import mlx.core as mx
import numpy as np
import pytest

from distill.mlx import attend, cpu

_CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def close(ours: mx.array, theirs: mx.array) -> None:
    np.testing.assert_allclose(np.array(ours), np.array(theirs), **_CLOSE)


def relative_error(x: np.ndarray) -> float:
    ours = np.array(cpu.exp(mx.array(x))).astype(np.float64)
    return float(np.abs(ours / np.exp(x.astype(np.float64)) - 1).max())


def test_exp_is_exact_to_float32_near_zero() -> None:
    assert relative_error(np.linspace(-1, 1, 400_001).astype(np.float32)) < 3e-7


def test_exp_is_as_good_as_mlx_over_its_whole_range() -> None:
    # one rounding of x·log2(e) costs |x|·2^-24 and dominates far from zero, in MLX's own exp too (3.9e-6)
    x = np.linspace(-87, 88, 1_000_001).astype(np.float32)
    assert relative_error(x) < 4.1e-6
    ours = np.array(cpu.exp(mx.array(x))).astype(np.float64)
    error = np.abs(ours / np.exp(x.astype(np.float64)) - 1)
    assert (error <= 3e-7 + np.abs(x) * 2**-23).all()


def test_exp_ends_in_the_smallest_normal_number() -> None:
    ends = np.array(cpu.exp(mx.array([-88.0, -1e9, -np.inf])))
    np.testing.assert_allclose(ends, np.finfo(np.float32).tiny, rtol=1e-5)


def test_exp_hands_on_what_is_no_number() -> None:
    assert np.isnan(cpu.exp(mx.array([np.nan])).item())


@pytest.mark.parametrize("shape", [(5, 7), (2, 3, 4, 31), (1, 1), (3, 1025)])
@pytest.mark.parametrize("spread", [0.01, 1.0, 30.0])
def test_softmax_and_its_gradient(shape: tuple[int, ...], spread: float) -> None:
    mx.random.seed(1)
    x, weight = mx.random.normal(shape) * spread, mx.random.normal(shape)
    close(cpu.softmax(x), mx.softmax(x, axis=-1))
    close(
        mx.grad(lambda x: (cpu.softmax(x) * weight).sum())(x),
        mx.grad(lambda x: (mx.softmax(x, axis=-1) * weight).sum())(x),
    )


@pytest.mark.parametrize("shape", [(5, 7), (4, 49152)])
@pytest.mark.parametrize("spread", [0.01, 1.0, 30.0])
def test_logsumexp_and_its_gradient(shape: tuple[int, ...], spread: float) -> None:
    mx.random.seed(2)
    x, weight = mx.random.normal(shape) * spread, mx.random.normal(shape[:-1])
    close(cpu.logsumexp(x), mx.logsumexp(x, axis=-1))
    close(
        mx.grad(lambda x: (cpu.logsumexp(x) * weight).sum())(x),
        mx.grad(lambda x: (mx.logsumexp(x, axis=-1) * weight).sum())(x),
    )


def test_logsumexp_of_no_rows() -> None:
    assert cpu.logsumexp(mx.zeros((0, 16))).shape == (0,)


@pytest.mark.parametrize("spread", [1.0, 10.0, 100.0, 1e4])  # beyond 88 a careless exponential wraps round
def test_swiglu_and_its_gradients(spread: float) -> None:
    mx.random.seed(3)
    gate, x, weight = mx.random.normal((64, 33)) * spread, mx.random.normal((64, 33)), mx.random.normal((64, 33))

    def theirs(gate: mx.array, x: mx.array) -> mx.array:
        return gate * mx.sigmoid(gate) * x

    close(cpu.swiglu(gate, x), theirs(gate, x))
    ours = mx.grad(lambda g, x: (cpu.swiglu(g, x) * weight).sum(), argnums=(0, 1))(gate, x)
    expected = mx.grad(lambda g, x: (theirs(g, x) * weight).sum(), argnums=(0, 1))(gate, x)
    for mine, other in zip(ours, expected, strict=True):
        close(mine, other)


def test_swiglu_of_very_negative_gates_is_nothing() -> None:
    gate = mx.array([-88.5, -89.0, -100.0, -1000.0, -1e6])
    assert np.abs(np.array(cpu.swiglu(gate, mx.ones(5)))).max() < 1e-30


def bools(*shape: int) -> mx.array:
    """A random mask in which every query sees something."""
    return (mx.random.uniform(shape=shape) > 0.4) | (mx.arange(shape[-1]) == 0)


_MASKS: dict[str, Callable[[int, int, int, int], mx.array | str | None]] = {
    "none": lambda b, h, n, m: None,
    "causal": lambda b, h, n, m: "causal",
    "boolean, the same for all": lambda b, h, n, m: bools(n, m),
    "boolean, one per row": lambda b, h, n, m: bools(b, 1, n, m),
    "boolean, one per head": lambda b, h, n, m: bools(b, h, n, m),
    "boolean, heads alike in all rows": lambda b, h, n, m: bools(1, h, n, m),
    "boolean, the same for all queries": lambda b, h, n, m: bools(b, 1, 1, m),
    "added, the same for all": lambda b, h, n, m: mx.random.normal((n, m)),
    "added, one per head": lambda b, h, n, m: mx.random.normal((b, h, n, m)),
    "added, minus infinity": lambda b, h, n, m: mx.where(bools(n, m), 0.0, -mx.inf),
}


@pytest.mark.parametrize("mask", _MASKS)
@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (6, 2), (4, 1), (1, 1)])
@pytest.mark.parametrize(("n", "m"), [(7, 7), (1, 9), (5, 12)])
def test_attention_and_its_gradients(mask: str, heads: int, kv_heads: int, n: int, m: int) -> None:
    mx.random.seed(4)
    batch, width = 3, 8
    q = mx.random.normal((batch, heads, n, width))
    k, v = mx.random.normal((batch, kv_heads, m, width)), mx.random.normal((batch, kv_heads, m, width))
    weight = mx.random.normal(q.shape)
    made = _MASKS[mask](batch, heads, n, m)
    scale = width**-0.5

    def theirs(q: mx.array, k: mx.array, v: mx.array) -> mx.array:
        return mx.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask=made)

    def ours(q: mx.array, k: mx.array, v: mx.array) -> mx.array:
        return cpu.attention(q, k, v, scale, made)

    close(ours(q, k, v), theirs(q, k, v))
    gradients = mx.grad(lambda *a: (ours(*a) * weight).sum(), argnums=(0, 1, 2))(q, k, v)
    expected = mx.grad(lambda *a: (theirs(*a) * weight).sum(), argnums=(0, 1, 2))(q, k, v)
    for mine, other in zip(gradients, expected, strict=True):
        close(mine, other)


def test_attention_with_values_of_another_width() -> None:
    mx.random.seed(5)
    q, k, v = mx.random.normal((2, 4, 3, 8)), mx.random.normal((2, 2, 5, 8)), mx.random.normal((2, 2, 5, 6))
    close(
        cpu.attention(q, k, v, 0.3, "causal"),
        mx.fast.scaled_dot_product_attention(q, k, v, scale=0.3, mask="causal"),
    )


def test_installed_twice_is_installed_once_and_reaches_every_model() -> None:
    from mlx_lm.models import activations, base, llama

    attend.install()
    first = base.scaled_dot_product_attention
    attend.install()
    assert base.scaled_dot_product_attention is first
    assert llama.scaled_dot_product_attention is first
    assert llama.swiglu is activations.swiglu
    from mlx_lm.models import qwen3  # imported after the installation

    assert qwen3.scaled_dot_product_attention is first


def test_half_precision_is_left_to_mlx() -> None:
    from mlx_lm.models import base

    attend.install()
    q = mx.random.normal((1, 2, 3, 8)).astype(mx.bfloat16)
    out = base.scaled_dot_product_attention(q, q, q, None, scale=1.0, mask=None)
    assert out.dtype == mx.bfloat16
