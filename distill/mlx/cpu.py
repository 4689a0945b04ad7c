"""Faster mathematics for MLX on the CPU: exponentials, softmax attention and SwiGLU.

On x86-64 the wheel evaluates `exp` and `sigmoid` one number at a time, about 10 ns each, and a transformer spends more
time there than in its matrix products. Multiplications and shifts are vectorised, 0.2 ns each, so an exponential made
of a dozen of them takes a third of the time. Owns these functions, their gradients and their installation into mlx-lm;
knows nothing of particular models.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any, Protocol, cast

import mlx.core as mx
from mlx_lm.models import activations, base

# e^r for |r| ≤ ln(2)/2, least squares in relative error at Chebyshev nodes; off by at most 1e-7.
_SMALL_POWERS = (0.00829171669, 0.0419150286, 0.166676628, 0.499988992, 0.999999666, 1.00000007)
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4  # ln(2) in two; multiples of the first are exact
_ROUNDER = 12582912.0  # 1.5 * 2^23: adding it leaves a float32's integer part in its lowest bits
_MASKED = -1e9
_SMALLEST = -87.33654  # e to this is the smallest normal float32
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


def install() -> None:
    """Let mlx-lm's models use these functions where the data is float32. Idempotent."""
    if getattr(base.scaled_dot_product_attention, "nightschool", False):
        return
    theirs_attention, theirs_swiglu = base.scaled_dot_product_attention, activations.swiglu

    def ours_attention(
        queries: mx.array, keys: mx.array, values: mx.array, cache: Any, scale: float, mask: Any, sinks: Any = None
    ) -> mx.array:
        if hasattr(cache, "attend"):
            attended: mx.array = cache.attend(queries, keys, values, scale, mask)
            return attended
        if queries.dtype != mx.float32 or sinks is not None or hasattr(cache, "bits"):
            theirs: mx.array = theirs_attention(queries, keys, values, cache, scale=scale, mask=mask, sinks=sinks)
            return theirs
        return attention(queries, keys, values, scale, mask)

    def ours_swiglu(gate: mx.array, x: mx.array) -> mx.array:
        return swiglu(gate, x) if gate.dtype == mx.float32 else theirs_swiglu(gate, x)

    ours_attention.nightschool = True  # type: ignore[attr-defined]
    _replace("scaled_dot_product_attention", theirs_attention, ours_attention)
    _replace("swiglu", theirs_swiglu, ours_swiglu)


def _replace(name: str, theirs: Any, ours: Any) -> None:
    """In every module of mlx-lm that has the function by that name; those imported later find it in its home."""
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith("mlx_lm.models.") and getattr(module, name, None) is theirs:
            setattr(module, name, ours)
