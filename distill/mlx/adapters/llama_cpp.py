"""Adapters in llama.cpp's form, which its `--lora` loads: one GGUF file.

Owns its names and its order of rows: as in the models themselves, the q and k projections of the llama architecture
have the two halves of each head's rows interleaved for llama.cpp's own rotary embedding, and so B has them, too. A is
(r, in), B (out, r), and what is added is (alpha / r) · B·A. DoRA cannot be said in it.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from distill.errors import AdapterError
from distill.mlx import lora
from distill.mlx.adapters.base import Base, check_family, place
from distill.mlx.adapters.grid import config_of, filled
from distill.mlx.gguf import NAMES
from distill.mlx.gguf_reader import DAMAGE, opened
from distill.mlx.lora import AdapterWeights

FILE = "adapter.gguf"
_THEIRS = {ours: theirs for theirs, ours in NAMES.items()}
_NAME = re.compile(r"blk\.(?P<block>[0-9]{1,4})\.(?P<layer>[a-z_]{1,32})\.weight\.(?P<part>lora_[ab])")
_HEADS = {"self_attn.q_proj": "num_attention_heads", "self_attn.k_proj": "num_key_value_heads"}
_ALPHA = "adapter.lora.alpha"
_TOLD = ("general.type", "general.architecture", "adapter.type", _ALPHA)
_PARTS = 100_000  # numbers and texts that are read of a file's beginning


def write(adapter: AdapterWeights, base: Base, folder: Path) -> None:
    """Write `folder`/adapter.gguf in float32. Raises AdapterError for DoRA, and for a base of another family."""
    from gguf import GGUFWriter  # a quarter of a second, which only this form should pay

    check_family(base)
    if lora.kind_of(adapter.config) == "dora":
        raise AdapterError("llama.cpp has no form for DoRA: export a fused model, and convert that")
    parameters = adapter.config["lora_parameters"]
    alpha = float(parameters["scale"]) * int(parameters["rank"])
    if alpha == 0:
        raise AdapterError("llama.cpp takes an alpha of 0 for 'scale by 1', and this adapter's scale is 0")
    writer = GGUFWriter(folder / FILE, base.family)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32(_ALPHA, alpha)
    writer.add_name(folder.name)
    writer.add_string("general.base_model.0.name", base.name)
    writer.add_uint32("general.base_model.count", 1)
    for name, tensor in sorted(adapter.tensors.items()):
        module, _, part = name.rpartition(".")
        block, layer = place(module)
        rows = np.array(tensor.T.astype(mx.float32))
        if part == "lora_b":
            rows = _interleaved(rows, _heads(base, layer))
        writer.add_tensor(f"blk.{block}.{_THEIRS[layer]}.weight.{part}", np.ascontiguousarray(rows))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    _check_written(adapter, base, folder / FILE)


def _check_written(adapter: AdapterWeights, base: Base, file: Path) -> None:
    """The writer says nothing when the disk is full."""
    back = read(file, base).tensors
    for name, tensor in adapter.tensors.items():
        if not mx.array_equal(back[name], tensor.astype(mx.float32)):
            raise AdapterError(f"{file} is read back as something else than was written")


def read(file: Path, base: Base) -> AdapterWeights:
    """llama.cpp's adapter as one of mlx-lm's that fits `base`; its digest is empty, as it is not on disk in that form.

    Raises AdapterError for what is no such file, quantised, or made for another base.
    """
    check_family(base)
    told, found = _contents(file)
    if told["general.type"] != "adapter" or told["adapter.type"] != "lora":
        raise AdapterError(f"{file} is a GGUF file, but no LoRA adapter")
    if told["general.architecture"] != base.family:
        made_for = str(told["general.architecture"])[:20]
        raise AdapterError(f"{file} was made for a {made_for} model, and {base.name} is a {base.family} model")
    tensors = dict(_ours(name, array, base) for name, array in found.items())
    rank = min((array.shape[0] for name, array in tensors.items() if name.endswith("lora_b")), default=0)
    alpha = told[_ALPHA]
    if rank < 1 or not isinstance(alpha, float | None) or not math.isfinite(alpha or 0.0):
        raise AdapterError(f"{file} makes no sense: its rank is {rank}, its alpha {str(alpha)[:20]}")
    whole = filled({name: mx.array(array) for name, array in tensors.items()}, base, rank=rank, kind="lora")
    scale = alpha / rank if alpha else 1.0  # llama.cpp's own reading of no alpha
    return AdapterWeights("", config_of(whole, base, rank=rank, scale=scale, dropout=0.0, kind="lora"), whole)


def _contents(file: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What is told (None where nothing is), and the tensors by llama.cpp's names."""
    try:
        reader = opened(file, _PARTS)
        fields = {name: reader.fields.get(name) for name in _TOLD}
        told = {name: field.contents() if field else None for name, field in fields.items()}
        kinds = {tensor.tensor_type.name for tensor in reader.tensors}
        found = {tensor.name: np.array(tensor.data) for tensor in reader.tensors}
    except DAMAGE as error:
        raise AdapterError(f"{file} cannot be read as a GGUF file: {error}") from error
    if not kinds <= {"F32", "F16"}:
        raise AdapterError(f"{file} holds {', '.join(sorted(kinds))}; F32 and F16 are read")
    return told, found


def _ours(name: str, array: np.ndarray, base: Base) -> tuple[str, np.ndarray]:
    found = _NAME.fullmatch(name)
    if found is None or (layer := NAMES.get(found["layer"])) is None:
        raise AdapterError(f"{name[:100]!r} is no layer that is known here")
    block, part = found["block"], found["part"]
    module = f"model.layers.{block}.{layer}"
    place(module)  # refuses the norms
    if array.ndim != 2:
        raise AdapterError(f"{name} is no matrix")
    if part == "lora_b":
        array = _restored(array, _heads(base, layer))
    return f"{module}.{part}", np.ascontiguousarray(array.T)


def _heads(base: Base, layer: str) -> int:
    """The heads whose rows llama.cpp orders in its own way; 0: it leaves them."""
    if base.family != "llama" or layer not in _HEADS:
        return 0
    return int(base.config.get(_HEADS[layer]) or base.config["num_attention_heads"])


def _interleaved(rows: np.ndarray, heads: int) -> np.ndarray:
    if not heads:
        return rows
    return rows.reshape(heads, 2, len(rows) // heads // 2, -1).swapaxes(1, 2).reshape(rows.shape)


def _restored(rows: np.ndarray, heads: int) -> np.ndarray:
    if not heads:
        return rows
    if not rows.size or len(rows) % (2 * heads):
        raise AdapterError(f"the adapter was made for another base: {len(rows)} rows are not those of {heads} heads")
    return rows.reshape(heads, len(rows) // heads // 2, 2, -1).swapaxes(1, 2).reshape(rows.shape)
