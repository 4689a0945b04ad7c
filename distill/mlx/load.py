"""Model folders into memory, in the form this machine computes fast.

Owns the choice of number format: on the CPU quantised and half-precision products are slow, so everything becomes
float32 once at load; on Metal and CUDA the model stays as it is. Knows nothing of adapters, tokenizers or requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten, tree_map
from mlx_lm.utils import dequantize_model, load_model

from distill.errors import ModelError
from distill.mlx import attend
from distill.mlx.cpu import on_cpu
from distill.mlx.embedded import folder_digest


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a model without having it in memory: the digest names its folder's content, the context is in
    tokens."""

    config: dict[str, Any]
    digest: str
    context: int


@dataclass(frozen=True)
class LoadedModel(ModelFacts):
    """A model ready to run."""

    model: nn.Module

    @property
    def facts(self) -> ModelFacts:
        return ModelFacts(self.config, self.digest, self.context)


def load(folder: Path, most: int | None = None) -> LoadedModel:
    """Load a model folder of mlx-lm's layout, whose weights may take so many bytes of memory at `most`.

    Raises ModelError with what is wrong with it; too large a model is refused before its weights are read.
    """
    if not (folder / "config.json").exists():
        raise ModelError(f"there is no model in {folder}: it holds no config.json")
    attend.install()
    try:
        model, config = load_model(folder, lazy=True)
        if on_cpu():
            model = dequantize_model(model)
            model.update(tree_map(as_float32, model.parameters()))
        _check_size(model, folder, most)
        mx.eval(model.parameters())  # only now is the weights' file read
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ModelError(f"the model in {folder} cannot be loaded: {error}") from error
    model.eval()
    context = int(config.get("max_position_embeddings", 4096))
    return LoadedModel(model=model, config=config, digest=folder_digest(folder), context=context)


def _check_size(model: nn.Module, folder: Path, most: int | None) -> None:
    """Of a model whose weights were not read yet."""
    size = weight_bytes(model)
    if most is not None and size > most:
        raise ModelError(
            f"the weights of {folder} take {size / 1e9:,.1f} GB on this machine, and {most / 1e9:,.1f} GB of memory "
            "may be used: take a smaller model, or allow more"
        )


def skeleton(folder: Path) -> nn.Module:
    """The model's layers with their shapes and no weights in memory: for checks, never to be run."""
    return load_model(folder, lazy=True)[0]


def weight_bytes(model: nn.Module) -> int:
    """Bytes that the model's weights take in memory."""
    return sum(array.nbytes for _, array in tree_flatten(model.parameters()))


def as_float32(array: mx.array) -> mx.array:
    """Floating-point numbers in float32, whole ones as they are."""
    return array.astype(mx.float32) if mx.issubdtype(array.dtype, mx.floating) else array
