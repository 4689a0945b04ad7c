"""Adapters in PEFT's form, which vLLM and Hugging Face's own libraries load: adapter_model.safetensors beside
adapter_config.json.

Owns its names and its numbers, by PEFT's "checkpoint format": W + (lora_alpha / r) · B·A with A (r, in) and B (out, r),
where mlx-lm keeps both transposed; and for DoRA `lora_magnitude_vector`, the length of each row of that sum. Nothing
that the file says is opened or run: the base is whoever's the caller says it is.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx

from distill.errors import AdapterError
from distill.mlx import lora
from distill.mlx.adapters.base import Base, check_family, place
from distill.mlx.adapters.grid import config_of, filled
from distill.mlx.lora import AdapterWeights

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
_PREFIX = "base_model.model."
_PARTS = {"lora_a": "lora_A.weight", "lora_b": "lora_B.weight", "m": "lora_magnitude_vector"}
_READ = {**{theirs: ours for ours, theirs in _PARTS.items()}, "lora_magnitude_vector.weight": "m"}
# What changes more than A and B of linear layers, or what is done with them; and whatever else is called so in time.
_FOREIGN = {
    "alora_invocation_tokens",
    "alpha_pattern",
    "fan_in_fan_out",
    "layer_replication",
    "lora_bias",
    "modules_to_save",
    "rank_pattern",
    "target_parameters",
    "trainable_token_indices",
}
_VARIANTS = re.compile(r"use_\w+|\w+_config")
_TAKEN = {"use_dora", "use_rslora", "corda_config", "eva_config", "loftq_config", "lora_ga_config", "megatron_config"}
_WIDEST = 1 << 16  # no rank is larger than its layer is wide
_CHANGED_BASE = ("corda", "loftq", "lora_ga", "olora", "pissa")  # beginnings that take something out of the base


def write(adapter: AdapterWeights, base: Base, folder: Path) -> None:
    """Write an adapter that fits `base` into an existing folder. Raises AdapterError for what PEFT cannot say."""
    check_family(base)
    modules = sorted({name.rpartition(".")[0] for name in adapter.tensors})
    parameters = adapter.config["lora_parameters"]
    rank = int(parameters["rank"])
    told: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base.name,
        "r": rank,
        "lora_alpha": _whole(float(parameters["scale"]) * rank),
        "lora_dropout": float(parameters["dropout"]),
        "use_dora": lora.kind_of(adapter.config) == "dora",
        "use_rslora": False,
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "inference_mode": True,
        **_targets(modules, base),
    }
    tensors = {_renamed(name): mx.contiguous(tensor.T) for name, tensor in sorted(adapter.tensors.items())}
    mx.save_safetensors(str(folder / WEIGHTS), tensors, metadata={"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(told, indent=2, sort_keys=True))


def _renamed(name: str) -> str:
    module, _, part = name.rpartition(".")
    return f"{_PREFIX}{module}.{_PARTS[part]}"


def _whole(number: float) -> int | float:
    """PEFT's alpha is a whole number wherever it can be one."""
    return int(number) if number.is_integer() else number


def _targets(modules: list[str], base: Base) -> dict[str, Any]:
    """Which layers, in PEFT's words: what they are called in a block, and the blocks where those are not all."""
    places = [place(module) for module in modules]
    blocks = sorted({block for block, _ in places})
    named = sorted({name.rpartition(".")[2] for _, name in places})
    if len(places) != len(blocks) * len({name for _, name in places}):
        return {"target_modules": modules}
    told: dict[str, Any] = {"target_modules": named}
    if len(blocks) < base.blocks:
        told |= {"layers_to_transform": blocks, "layers_pattern": "layers"}
    return told


def read(folder: Path, base: Base) -> AdapterWeights:
    """PEFT's adapter as one of mlx-lm's that fits `base`; its digest is empty, as it is not on disk in that form.

    Raises AdapterError for what is missing, damaged, made for another base, or more than LoRA and DoRA on the linear
    layers of blocks.
    """
    check_family(base)
    if not (folder / WEIGHTS).is_file() and (folder / "adapter_model.bin").exists():
        raise AdapterError(f"{folder} holds a pickle, which may run code: save the adapter as safetensors")
    for name in (WEIGHTS, CONFIG):
        if not (folder / name).is_file():
            raise AdapterError(f"{folder} is not a PEFT adapter: it holds no {name}")
    config = lora.read_config(folder / CONFIG)
    _check_config(config)
    tensors = {_known(name): tensor for name, tensor in lora.read_tensors(folder / WEIGHTS).items()}
    rank, scale, dropout = _numbers(config)
    kind: lora.Kind = "dora" if config.get("use_dora") else "lora"
    transposed = {name: mx.contiguous(tensor.T) for name, tensor in tensors.items()}
    whole = filled(transposed, base, rank=rank, kind=kind)
    return AdapterWeights("", config_of(whole, base, rank=rank, scale=scale, dropout=dropout, kind=kind), whole)


def made_for(folder: Path) -> str:
    """The base that the adapter names, to be told to people and followed nowhere; "" where it names none."""
    return str(lora.read_config(folder / CONFIG).get("base_model_name_or_path") or "")[:200]


def _known(name: str) -> str:
    bare = name.removeprefix(_PREFIX)
    for theirs, ours in _READ.items():
        if bare.endswith(f".{theirs}"):
            return f"{bare.removesuffix(f'.{theirs}')}.{ours}"
    raise AdapterError(f"the adapter holds {name[:100]!r}, which is neither A, B nor a magnitude of LoRA")


def _check_config(config: Mapping[str, Any]) -> None:
    if config.get("peft_type") != "LORA":
        raise AdapterError(f"the adapter is {str(config.get('peft_type'))[:20]!r} and not LORA")
    variants = {name for name in config if _VARIANTS.fullmatch(name)} - _TAKEN
    if found := sorted(name for name in _FOREIGN | variants if config.get(name)):
        named = ", ".join(found)[:200]
        raise AdapterError(f"the adapter uses {named}, which cannot be taken over: merge it into its base")
    if config.get("bias", "none") != "none":
        raise AdapterError("the adapter trained biases, too, which cannot be taken over: merge it into its base")
    begun = config.get("init_lora_weights")
    if isinstance(begun, str) and begun.lower().startswith(_CHANGED_BASE):
        raise AdapterError(
            f"the adapter began as {begun[:20]!r}, which changes its base: convert it to plain LoRA with PEFT's "
            "`path_initial_model_for_weight_conversion` first"
        )


def _numbers(config: Mapping[str, Any]) -> tuple[int, float, float]:
    """Rank, scale and dropout. With use_rslora the scale is lora_alpha / √r (Kalajdzievski 2023)."""
    try:
        rank, alpha, dropout = int(config["r"]), float(config["lora_alpha"]), float(config.get("lora_dropout") or 0.0)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise AdapterError(f"the adapter's {CONFIG} is not understood: {error!r:.200}") from error
    if not 1 <= rank <= _WIDEST or not math.isfinite(alpha) or not 0 <= dropout < 1:
        raise AdapterError(f"the adapter's {CONFIG} makes no sense: r {rank}, lora_alpha {alpha}, dropout {dropout}")
    return rank, alpha / (math.sqrt(rank) if config.get("use_rslora") else rank), dropout
