"""LoRA and DoRA adapters on a model in memory: wrap, attach, detach, read, write, in mlx-lm's own file format.

LoRA (Hu et al. 2021) adds scale · B(Ax) to what a linear layer says; DoRA (Liu et al. 2024) gives each row of W + scale
· BA a length that it learns, `m`. Owns the checks that an adapter is whole and fits its base. Knows nothing of training
or serving.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm.tuner.dora import DoRALinear
from mlx_lm.tuner.lora import LoRALinear
from mlx_lm.tuner.utils import linear_to_lora_layers

from distill.digest import combined_digest, file_digest
from distill.errors import AdapterError
from distill.mlx.cpu import on_cpu

Kind = Literal["lora", "dora"]
_WRAPPED = (LoRALinear, DoRALinear)
WEIGHTS, CONFIG = "adapters.safetensors", "adapter_config.json"
_LONGEST = 1 << 20  # bytes of an adapter_config.json
PARTS = ("lora_a", "lora_b", "m")  # of a wrapped layer; the last one in DoRA only


@dataclass(frozen=True)
class AdapterWeights:
    """An adapter read from disk. `digest` names its content; `tensors` are by mlx-lm's parameter names."""

    digest: str
    config: dict[str, Any]
    tensors: dict[str, mx.array]


def config_of(*, rank: int, scale: float, layers: int, dropout: float = 0.0, kind: Kind = "lora") -> dict[str, Any]:
    """mlx-lm's adapter_config.json for LoRA or DoRA on every linear layer of the last `layers` blocks."""
    parameters = {"rank": rank, "scale": scale, "dropout": dropout}
    return {"fine_tune_type": kind, "num_layers": layers, "lora_parameters": parameters}


def kind_of(config: Mapping[str, Any]) -> str:
    """What a config says it is: lora, dora, or something else."""
    return str(config.get("fine_tune_type", "lora"))


def wrap(model: nn.Module, config: Mapping[str, Any]) -> None:
    """Put fresh LoRA or DoRA layers, which change nothing yet, where `config` says.

    The model must not be wrapped already. On an AdapterError it is as it was.
    """
    if lora_layers(model):
        raise AdapterError("the model wears an adapter already")
    before = model.leaf_modules()
    try:
        parameters = dict(config["lora_parameters"])
        parameters |= {key: float(parameters[key]) for key in ("scale", "dropout")}
        linear_to_lora_layers(model, int(config["num_layers"]), parameters, use_dora=kind_of(config) == "dora")
        _check_wrapped(model)
        model.train(model.training)  # new layers come in training mode, with their dropout at work
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        model.update_modules(before)
        raise AdapterError(f"the adapter's {CONFIG} is not understood: {error}") from error


def _check_wrapped(model: nn.Module) -> None:
    """Only what `detach` takes off again may be put on."""
    for name, module in model.named_modules():
        if "lora_a" in module and not isinstance(module, _WRAPPED):
            raise ValueError(f"{name} is no plain linear layer")


def detach(model: nn.Module) -> None:
    """Take every LoRA or DoRA layer off: the model is its base again."""
    model.update_modules(tree_unflatten([(name, layer.linear) for name, layer in lora_layers(model)]))


@contextmanager
def bare(model: nn.Module) -> Iterator[None]:
    """While this holds the model is its base; then it wears its adapter again."""
    worn = lora_layers(model)
    detach(model)
    try:
        yield
    finally:
        model.update_modules(tree_unflatten(worn))


def attach(model: nn.Module, adapter: AdapterWeights) -> None:
    """Wrap an unwrapped model and load the adapter. On an AdapterError the model is its base again."""
    wrap(model, adapter.config)
    try:
        _check_fit(model, adapter.tensors)
    except AdapterError:
        detach(model)
        raise
    wide = on_cpu()  # as `load` makes the base there
    tensors = [(name, t.astype(mx.float32) if wide else t) for name, t in adapter.tensors.items()]
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
    """The adapter's weights in the model, by parameter name."""
    names = {f"{name}.{part}" for name, layer in lora_layers(model) for part in PARTS if part in layer}
    return {name: array for name, array in tree_flatten(model.parameters()) if name in names}


def read(folder: Path) -> AdapterWeights:
    """Read an adapter folder. Raises AdapterError saying what is missing, truncated or not an adapter."""
    weights, config = folder / WEIGHTS, folder / CONFIG
    for file in (weights, config):
        if not file.is_file():
            raise AdapterError(f"{folder} is not an adapter: it holds no {file.name}")
    settings, tensors = read_config(config), read_tensors(weights)
    if kind_of(settings) not in ("lora", "dora"):
        raise AdapterError(f"the adapter in {folder} is neither LoRA nor DoRA but {kind_of(settings)[:20]!r}")
    return AdapterWeights(digest(folder), settings, tensors)


def read_config(file: Path) -> dict[str, Any]:
    """An adapter's JSON object. Raises AdapterError for what is none."""
    if file.stat().st_size > _LONGEST:
        raise AdapterError(f"{file} is damaged: no config is longer than {_LONGEST} bytes")
    try:
        settings = json.loads(file.read_text())
    except (ValueError, RecursionError, OSError) as error:
        raise AdapterError(f"{file} is damaged: {error}") from error
    if not isinstance(settings, dict):
        raise AdapterError(f"{file} is damaged: it holds no JSON object")
    return settings


def read_tensors(file: Path) -> dict[str, mx.array]:
    """What a safetensors file holds, in memory. Raises AdapterError for what is none, or is cut off."""
    try:
        tensors = dict(cast(dict[str, mx.array], mx.load(str(file), format="safetensors")))
        mx.eval(list(tensors.values()))
    except (ValueError, RuntimeError, OSError) as error:
        raise AdapterError(f"{file} is damaged: {error}") from error
    return tensors


def check_finite(tensors: Mapping[str, mx.array]) -> None:
    """Raises AdapterError where a number is none."""
    if not all(bool(mx.isfinite(tensor).all()) for tensor in tensors.values()):
        raise AdapterError("the adapter holds numbers that are none (NaN or infinite): its training went wrong")


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


def lora_layers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The wrapped layers by name."""
    return [(name, module) for name, module in model.named_modules() if isinstance(module, _WRAPPED)]
