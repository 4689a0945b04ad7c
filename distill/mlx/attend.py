"""Attention that a cache may do in its own way, in every model of mlx-lm.

Owns the one place where mlx-lm's attention function is replaced: a cache with an `attend` method is asked to do it;
on the CPU in float32 the faster mathematics of `cpu` are used; everything else stays mlx-lm's. Knows nothing of what
the caches do.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import mlx.core as mx
from mlx_lm.models import activations, base

from distill.mlx import cpu

Swiglu = Callable[[mx.array, mx.array], mx.array]

_swiglu: ContextVar[Swiglu] = ContextVar("swiglu", default=cpu.swiglu)


def install() -> None:
    """Replace it in all models, those imported later included. Idempotent."""
    if getattr(base.scaled_dot_product_attention, "nightschool", False):
        return
    theirs = base.scaled_dot_product_attention

    def ours(
        queries: mx.array, keys: mx.array, values: mx.array, cache: Any, scale: float, mask: Any, sinks: Any = None
    ) -> mx.array:
        more = {} if sinks is None else {"sinks": sinks}
        if hasattr(cache, "attend"):
            attended: mx.array = cache.attend(queries, keys, values, scale, mask, **more)
            return attended
        if sinks is None and cpu.suits(queries) and not hasattr(cache, "bits"):
            return cpu.attention(queries, keys, values, scale, mask)
        result: mx.array = theirs(queries, keys, values, cache, scale=scale, mask=mask, **more)
        return result

    ours.nightschool = True  # type: ignore[attr-defined]
    _replace("scaled_dot_product_attention", theirs, ours)
    if cpu.on_cpu():
        _install_swiglu()


@contextmanager
def swiglu_by(function: Swiglu) -> Iterator[None]:
    """While this holds, silu(gate) · x in float32 on the CPU is computed so."""
    before = _swiglu.set(function)
    try:
        yield
    finally:
        _swiglu.reset(before)


def _install_swiglu() -> None:
    theirs = activations.swiglu

    def ours(gate: mx.array, x: mx.array) -> mx.array:
        if gate.dtype == mx.float32:
            return _swiglu.get()(gate, x)
        result: mx.array = theirs(gate, x)
        return result

    _replace("swiglu", theirs, ours)


def _replace(name: str, theirs: Any, ours: Any) -> None:
    """In every module of mlx-lm that has the function by that name; those imported later find it in its home."""
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith("mlx_lm.models.") and getattr(module, name, None) is theirs:
            setattr(module, name, ours)
