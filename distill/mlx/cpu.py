"""Faster mathematics for MLX on the CPU: exponentials, softmax attention and SwiGLU.

On x86-64 the wheel evaluates `exp` and `sigmoid` one number at a time, about 10 ns each, and a transformer spends more
time there than in its matrix products. Multiplications and shifts are vectorised, 0.2 ns each, so an exponential made
of a dozen of them takes a third of the time. Owns these functions and their gradients;
knows nothing of models: `attend` puts them to use.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol, cast

import mlx.core as mx

# e^r for |r| ≤ ln(2)/2, least squares in relative error at Chebyshev nodes; off by at most 1e-7.
_SMALL_POWERS = (0.00829171669, 0.0419150286, 0.166676628, 0.499988992, 0.999999666, 1.00000007)
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4  # ln(2) in two; multiples of the first are exact
_ROUNDER = 12582912.0  # 1.5 * 2^23: adding it leaves a float32's integer part in its lowest bits
_MASKED = -1e9
_SMALLEST = -87.33654  # e to this is the smallest normal float32
_FEW_KEYS = 2048  # to a single query: below, fewer operations win over cheaper ones
_LARGEST = 88.0  # e^88 is the last whole power that a float32 holds


class _Differentiable(Protocol):
    """What `mx.custom_function` makes; MLX's own stubs say no more than that it can be called."""

    def __call__(self, *arrays: mx.array) -> mx.array: ...
    def vjp(self, gradient: Callable[..., Any]) -> Any: ...


def _differentiable(function: Callable[..., mx.array]) -> _Differentiable:
    return cast(_Differentiable, mx.custom_function(function))


def exp(x: mx.array) -> mx.array:
    """e^x for float32 up to 88; at and below -87.3 the smallest normal number stands for zero. No gradient of its own.

    x is a whole multiple of ln(2) and a rest, taken in two steps so that nothing is rounded away (Cody and Waite 1980);
    the rest's power is a polynomial, and the whole number is added to its exponent bits.
    """
    x = mx.maximum(x, _SMALLEST)
    shifted = x * math.log2(math.e) + _ROUNDER
    whole = shifted - _ROUNDER
    rest = (x - whole * _LN2_HIGH) - whole * _LN2_LOW
    power = rest * _SMALL_POWERS[0] + _SMALL_POWERS[1]
    for coefficient in _SMALL_POWERS[2:]:
        power = power * rest + coefficient
    return (power.view(mx.int32) + (shifted.view(mx.int32) << 23)).view(mx.float32)


@_differentiable
def softmax(x: mx.array) -> mx.array:
    """Softmax over the last axis."""
    weights = exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


@softmax.vjp
def _softmax_vjp(_: mx.array, cotangent: mx.array, output: mx.array) -> mx.array:
    weighted = cotangent * output
    return weighted - output * weighted.sum(axis=-1, keepdims=True)


@_differentiable
def logsumexp(x: mx.array) -> mx.array:
    """log(sum(e^x)) over the last axis."""
    top = x.max(axis=-1, keepdims=True)
    return mx.log(exp(x - top).sum(axis=-1)) + top.squeeze(-1)


@logsumexp.vjp
def _logsumexp_vjp(x: mx.array, cotangent: mx.array, output: mx.array) -> mx.array:
    return exp(x - output[..., None]) * cotangent[..., None]


@_differentiable
def swiglu(gate: mx.array, x: mx.array) -> mx.array:
    """silu(gate) · x."""
    return gate * x / (1.0 + exp(mx.minimum(-gate, _LARGEST)))


@swiglu.vjp
def _swiglu_vjp(primals: tuple[mx.array, mx.array], cotangent: mx.array, _: mx.array) -> tuple[mx.array, mx.array]:
    gate, x = primals
    sigmoid = 1.0 / (1.0 + exp(mx.minimum(-gate, _LARGEST)))
    silu = gate * sigmoid
    return cotangent * x * (sigmoid + silu * (1.0 - sigmoid)), cotangent * silu


def attention(
    queries: mx.array, keys: mx.array, values: mx.array, scale: float, mask: mx.array | str | None
) -> mx.array:
    """Softmax attention: queries (batch, heads, n, d), keys and values (batch, kv_heads, m, d) → (batch, heads, n, d).

    Query heads that share keys are multiplied in one product. `mask` is "causal", boolean (True: seen) or additive.
    """
    batch, heads, n, width = queries.shape
    kv_heads, m = keys.shape[1], keys.shape[2]
    if n == 1 and m < _FEW_KEYS:
        return mx.fast.scaled_dot_product_attention(queries, keys, values, scale=scale, mask=mask)
    grouped = (queries * scale).reshape(batch, kv_heads, -1, width)
    scores = grouped @ keys.swapaxes(-1, -2)
    if mask is not None:
        added = additive(mask, n, m, scores.dtype)
        if added.ndim == 4 and added.shape[1] == heads:
            added = added.reshape(added.shape[0], kv_heads, heads // kv_heads, *added.shape[2:])
        elif added.ndim == 4:
            added = added[:, :, None]
        scores = (scores.reshape(batch, kv_heads, -1, n, m) + added).reshape(scores.shape)
    return (softmax(scores) @ values).reshape(batch, heads, n, -1)


def additive(mask: mx.array | str, n: int, m: int, dtype: mx.Dtype) -> mx.array:
    """Any of attention's masks as numbers to add to the scores."""
    if isinstance(mask, str):
        mask = mx.arange(m - n, m)[:, None] >= mx.arange(m)[None]
    return mx.where(mask, 0.0, _MASKED).astype(dtype) if mask.dtype == mx.bool_ else mask


def on_cpu() -> bool:
    """Whether MLX computes on the CPU in this process."""
    return bool(mx.default_device() == mx.Device(mx.cpu))


def suits(array: mx.array) -> bool:
    """Whether these functions are the ones to compute with."""
    return array.dtype == mx.float32 and on_cpu()
