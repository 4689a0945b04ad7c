"""A model folder in Hugging Face's or mlx-lm's layout, or a GGUF file, made into a folder: quantised, or float16.

Owns the number format and the card that says what the folder was made from. Model classes and quantisation are those of
mlx-lm; code that a folder brings along is never run. Knows nothing of catalogues or downloads.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_map_with_path
from mlx_lm.utils import dequantize_model, load_model, quantize_model, save_config, save_model

from distill.digest import file_digest
from distill.errors import ModelError
from distill.mlx import gguf
from distill.mlx.embedded import folder_digest

BITS = (2, 3, 4, 5, 6, 8)  # what MLX quantises to
FLOAT16 = 16
GROUPS = (32, 64, 128)
CARD = "nightschool.json"
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
_BESIDE = (
    *_TOKENIZER,
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
)


def convert(source: Path, target: Path, *, bits: int = 4, group_size: int = 64) -> Path:
    """Make `target` out of `source`; it appears only when it is whole. `bits` 16 means float16, nothing quantised.

    A source that is quantised already is dequantised first, which loses nothing more; quantising it anew does. Raises
    ModelError when the numbers make no sense, the source cannot be read, or the target is there already.
    """
    _check(source, target, bits, group_size)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".convert-{target.name}-") as work:
        made = Path(work, "model")
        made.mkdir()
        folder = _unpacked(source, Path(work)) if source.is_file() else source
        try:
            _write(folder, made, bits, group_size)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise ModelError(f"{source} cannot be converted: {error}") from error
        write_card(source, made, {"bits": bits, "group_size": group_size if bits != FLOAT16 else None})
        made.rename(target)
    return target


def _check(source: Path, target: Path, bits: int, group_size: int) -> None:
    if bits not in (*BITS, FLOAT16):
        told = ", ".join(map(str, BITS))
        raise ModelError(f"weights can have {told} bits, or {FLOAT16} for float16, not {bits}")
    if group_size not in GROUPS:
        raise ModelError(f"weights are quantised in groups of {', '.join(map(str, GROUPS))}, not {group_size}")
    if target.exists():
        raise ModelError(f"{target} is there already: remove it or choose another name")
    if source.is_file():
        return
    for name in ("config.json", "tokenizer.json"):
        if not (source / name).is_file():
            raise ModelError(f"there is no model in {source}: it holds no {name}")


def _unpacked(source: Path, work: Path) -> Path:
    """A GGUF file as a folder that mlx-lm reads."""
    folder = work / "unpacked"
    folder.mkdir()
    gguf.convert(source, folder)
    return folder


def _write(source: Path, made: Path, bits: int, group_size: int) -> None:
    model, config = load_model(source, lazy=True)
    config.pop("quantization", None)
    config.pop("quantization_config", None)
    model = _as_half(dequantize_model(model), everything=bits == FLOAT16)
    if bits != FLOAT16:
        with contextlib.redirect_stdout(sys.stderr):  # mlx-lm prints what it did
            model, config = quantize_model(model, config, group_size, bits)
        if not any(isinstance(module, nn.QuantizedLinear) for module in model.modules()):
            raise ValueError(f"no layer's width is a multiple of {group_size}; try a smaller --group-size")
    config["torch_dtype"] = "float16" if bits == FLOAT16 else config.get("torch_dtype", "float16")
    save(model, config, source, made)


def save(model: nn.Module, config: dict[str, Any], source: Path, made: Path) -> None:
    """Write a model into an existing folder, with the tokenizer and the template of `source` beside it.

    The model's weights are given up on the way.
    """
    save_model(made, model, donate_model=True)
    save_config(config, made / "config.json")
    for name in _BESIDE:
        if (source / name).is_file():
            shutil.copyfile(source / name, made / name)


def _as_half(model: nn.Module, *, everything: bool) -> nn.Module:
    """Floats as float16. bfloat16 stays, unless `everything` is to change: quantising keeps it, as mlx-lm does."""
    kept = getattr(model, "cast_predicate", lambda _: True)  # some models need single parameters in float32

    def half(name: str, array: mx.array) -> mx.array:
        wide = array.dtype == mx.float32 or (everything and array.dtype == mx.bfloat16)
        return array.astype(mx.float16) if wide and kept(name) else array

    model.update(tree_map_with_path(half, model.parameters()))
    return model


def write_card(source: Path, made: Path, how: dict[str, Any]) -> None:
    """Say in a finished folder what it was made from and how, with a digest of every file."""
    card: dict[str, Any] = {
        "source": source.name,
        "source_sha256": file_digest(source) if source.is_file() else folder_digest(source),
        **how,
        "mlx": metadata.version("mlx"),
        "mlx_lm": metadata.version("mlx-lm"),
        "files": {path.name: file_digest(path) for path in sorted(made.iterdir())},
    }
    (made / CARD).write_text(json.dumps(card, indent=2))
