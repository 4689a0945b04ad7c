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
from distill.mlx import cpu
from distill.mlx.embedded import folder_digest


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to run. `digest` names the content of its folder, `context` is in tokens."""

    model: nn.Module
    config: dict[str, Any]
    digest: str
    context: int


def on_cpu() -> bool:
    """Whether MLX computes on the CPU in this process."""
    return bool(mx.default_device() == mx.Device(mx.cpu))


def load(folder: Path) -> LoadedModel:
    """Load a model folder of mlx-lm's layout. Raises ModelError with what is wrong with it."""
    if not (folder / "config.json").exists():
        raise ModelError(f"there is no model in {folder}: it holds no config.json")
    if on_cpu():
        cpu.install()
    try:
        model, config = load_model(folder, lazy=True)
        if on_cpu():
            model = dequantize_model(model)
            model.update(tree_map(_as_float32, model.parameters()))
        mx.eval(model.parameters())  # only now is the weights' file read
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ModelError(f"the model in {folder} cannot be loaded: {error}") from error
    model.eval()
    context = int(config.get("max_position_embeddings", 4096))
    return LoadedModel(model=model, config=config, digest=folder_digest(folder), context=context)


def weight_bytes(model: nn.Module) -> int:
    """Bytes that the model's weights take in memory."""
    return sum(array.nbytes for _, array in tree_flatten(model.parameters()))


def _as_float32(array: mx.array) -> mx.array:
    return array.astype(mx.float32) if mx.issubdtype(array.dtype, mx.floating) else array
