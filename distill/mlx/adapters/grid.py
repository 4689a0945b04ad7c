"""mlx-lm's way to say which layers are adapted: the same ones in each of the last so many blocks.

Owns how an adapter of any layers becomes one of that form without a change to what it does: where it lacks a layer,
matrices of zeros stand in. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mlx.core as mx

from distill.errors import AdapterError
from distill.mlx import lora
from distill.mlx.adapters.base import Base, place


def filled(tensors: Mapping[str, mx.array], base: Base, *, rank: int, kind: lora.Kind) -> dict[str, mx.array]:
    """The tensors with those that are missing in between; names and shapes are checked against the base.

    Raises AdapterError for a layer that the base does not have, for half a layer, and for a DoRA adapter with holes,
    since a layer that DoRA leaves alone has the lengths of the base's rows, which are not known here.
    """
    modules = {name.rpartition(".")[0] for name in tensors}
    if not modules:
        raise AdapterError("the adapter is empty")
    shapes = {module: _shapes(module, base, rank, kind) for module in _rectangle(modules, base)}
    if kind == "dora" and shapes.keys() != modules:
        raise AdapterError("a DoRA adapter has to have the same layers in each block from its first one to the last")
    whole: dict[str, mx.array] = {}
    for module, parts in shapes.items():
        for part, shape in parts.items():
            name = f"{module}.{part}"
            if module in modules and name not in tensors:
                raise AdapterError(f"the adapter is damaged: it lacks {name}")
            whole[name] = tensors.get(name, mx.zeros(shape))
            if (has := whole[name].shape) != shape:
                raise AdapterError(f"{name} has shape {has}, but {base.name} and rank {rank} want {shape}")
            if not mx.issubdtype(whole[name].dtype, mx.floating):
                raise AdapterError(f"{name} holds {whole[name].dtype}, and floating-point numbers are meant")
    if unknown := sorted(tensors.keys() - whole.keys()):
        raise AdapterError(f"the adapter is said to be {kind}, but holds {unknown[0][:100]}")
    return whole


def config_of(
    tensors: Mapping[str, mx.array], base: Base, *, rank: int, scale: float, dropout: float, kind: lora.Kind
) -> dict[str, Any]:
    """mlx-lm's adapter_config.json of tensors that `filled` made."""
    places = [place(name.rpartition(".")[0]) for name in tensors]
    layers = base.blocks - min(block for block, _ in places)
    config = lora.config_of(rank=rank, scale=scale, layers=layers, dropout=dropout, kind=kind)
    named = sorted({name for _, name in places})
    if named != sorted(base.linear()):
        config["lora_parameters"]["keys"] = named
    return config


def _rectangle(modules: set[str], base: Base) -> list[str]:
    """All layers that mlx-lm would wrap so that these are among them."""
    places = [place(module) for module in sorted(modules)]
    first, last = min(block for block, _ in places), max(block for block, _ in places)
    if last >= base.blocks:
        raise AdapterError(f"the adapter was made for another base: it knows block {last} of {base.blocks}")
    named = sorted({name for _, name in places})
    return [f"model.layers.{block}.{name}" for block in range(first, base.blocks) for name in named]


def _shapes(module: str, base: Base, rank: int, kind: lora.Kind) -> dict[str, tuple[int, ...]]:
    rows, width = base.shape(module)
    shapes: dict[str, tuple[int, ...]] = {"lora_a": (width, rank), "lora_b": (rank, rows)}
    return {**shapes, "m": (rows,)} if kind == "dora" else shapes
