"""LoRA adapters on a model in memory: wrap, attach, detach, read, write, in mlx-lm's own file format.

Owns the checks that an adapter is whole and fits its base. Knows nothing of training or serving.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten
from mlx_lm.tuner.lora import LoRALinear
from mlx_lm.tuner.utils import linear_to_lora_layers, remove_lora_layers

from distill.digest import combined_digest, file_digest
from distill.errors import AdapterError
from distill.mlx.cpu import on_cpu

WEIGHTS, CONFIG = "adapters.safetensors", "adapter_config.json"


@dataclass(frozen=True)
class AdapterWeights:
    """An adapter read from disk. `digest` names its content; `tensors` are by mlx-lm's parameter names."""

    digest: str
    config: dict[str, Any]
    tensors: dict[str, mx.array]


def config_of(*, rank: int, scale: float, layers: int, dropout: float = 0.0) -> dict[str, Any]:
    """mlx-lm's adapter_config.json for LoRA on every linear layer of the last `layers` blocks."""
    parameters = {"rank": rank, "scale": scale, "dropout": dropout}
    return {"fine_tune_type": "lora", "num_layers": layers, "lora_parameters": parameters}


def wrap(model: nn.Module, config: Mapping[str, Any]) -> None:
    """Put fresh LoRA layers, which change nothing yet, where `config` says. The model must not be wrapped already.

    On an AdapterError the model is as it was.
    """
    if lora_layers(model):
        raise AdapterError("the model wears an adapter already")
    bare = model.leaf_modules()
    try:
        parameters = dict(config["lora_parameters"])
        parameters |= {key: float(parameters[key]) for key in ("scale", "dropout")}
        linear_to_lora_layers(model, int(config["num_layers"]), parameters)
        _check_wrapped(model)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        model.update_modules(bare)
        raise AdapterError(f"the adapter's {CONFIG} is not understood: {error}") from error


def _check_wrapped(model: nn.Module) -> None:
    """Only what `detach` takes off again may be put on."""
    for name, module in model.named_modules():
        if "lora_a" in module and not isinstance(module, LoRALinear):
            raise ValueError(f"{name} is no plain linear layer")


def detach(model: nn.Module) -> None:
    """Take every LoRA layer off: the model is its base again."""
    remove_lora_layers(model)


def attach(model: nn.Module, adapter: AdapterWeights) -> None:
    """Wrap an unwrapped model and load the adapter. On an AdapterError the model is its base again."""
    wrap(model, adapter.config)
    try:
        _check_fit(model, adapter.tensors)
    except AdapterError:
        detach(model)
        raise
    dtype = model.layers[0].input_layernorm.weight.dtype if on_cpu() else None
    tensors = [(name, t.astype(dtype) if dtype is not None else t) for name, t in adapter.tensors.items()]
    model.load_weights(tensors, strict=False)
    mx.eval([array for _, array in tensors])


def fit(model: nn.Module, adapter: AdapterWeights) -> None:
    """Whether the adapter was made for this (unwrapped) model; loads nothing and leaves the model as it was.

    Raises AdapterError with the reason why not.
    """
    wrap(model, adapter.config)
    try:
        _check_fit(model, adapter.tensors)
    finally:
        detach(model)


def adapter_tensors(model: nn.Module) -> dict[str, mx.array]:
    """The LoRA weights in the model, by parameter name."""
    return {name: array for name, array in tree_flatten(model.parameters()) if name.endswith((".lora_a", ".lora_b"))}


def read(folder: Path) -> AdapterWeights:
    """Read an adapter folder. Raises AdapterError saying what is missing, truncated or not an adapter."""
    weights, config = folder / WEIGHTS, folder / CONFIG
    for file in (weights, config):
        if not file.is_file():
            raise AdapterError(f"{folder} is not an adapter: it holds no {file.name}")
    try:
        settings = json.loads(config.read_text())
        tensors = dict(cast(dict[str, mx.array], mx.load(str(weights))))
        mx.eval(list(tensors.values()))
    except (ValueError, RuntimeError, OSError) as error:
        raise AdapterError(f"the adapter in {folder} is damaged: {error}") from error
    if not isinstance(settings, dict) or settings.get("fine_tune_type", "lora") != "lora":
        raise AdapterError(f"the adapter in {folder} is not a LoRA adapter")
    return AdapterWeights(digest(folder), settings, tensors)


def digest(folder: Path) -> str:
    """The digest that names an adapter's content: its weights and how they are applied."""
    return combined_digest([file_digest(folder / WEIGHTS), file_digest(folder / CONFIG)])


def write(folder: Path, tensors: Mapping[str, mx.array], config: Mapping[str, Any]) -> str:
    """Write an adapter's two files into an existing folder and return its digest; the same content, the same bytes."""
    ordered = dict(sorted(tensors.items()))  # MLX lays tensors out in an order that hangs on that of insertion
    mx.save_safetensors(str(folder / WEIGHTS), ordered, metadata={"format": "mlx"})
    (folder / CONFIG).write_text(json.dumps(dict(config), indent=2, sort_keys=True))
    return digest(folder)


def _check_fit(model: nn.Module, tensors: Mapping[str, mx.array]) -> None:
    expected = adapter_tensors(model)
    unknown, missing = sorted(tensors.keys() - expected.keys()), sorted(expected.keys() - tensors.keys())
    if unknown or missing:
        named = f"unknown {unknown[0]}" if unknown else f"missing {missing[0]}"
        raise AdapterError(f"the adapter was made for another base: {len(unknown) + len(missing)} tensors ({named})")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            raise AdapterError(f"{name} has shape {tensor.shape}, but this base wants {expected[name].shape}")


def lora_layers(model: nn.Module) -> list[tuple[str, LoRALinear]]:
    """The wrapped layers by name."""
    return [(name, module) for name, module in model.named_modules() if isinstance(module, LoRALinear)]
