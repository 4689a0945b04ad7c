"""The base that an adapter is for, as other programs know it. Holds shapes and no weights.

Owns which model families have the same names for their layers everywhere. Knows nothing of formats.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import mlx.nn as nn

from distill.errors import AdapterError, ModelError
from distill.mlx.load import skeleton

FAMILIES = ("llama", "qwen2", "qwen3")  # mlx-lm calls their layers as Hugging Face does, and llama.cpp knows them all
_IN_A_BLOCK = re.compile(r"model\.layers\.([0-9]{1,4})\.([a-z_]{1,32}\.[a-z_]{1,32})")


@dataclass(frozen=True)
class Base:
    """`name` is what others call it: its repository on a model hub where that is known, else its folder's name."""

    folder: Path
    name: str
    config: dict[str, Any]
    skeleton: nn.Module

    @property
    def blocks(self) -> int:
        return len(self.skeleton.layers)

    @property
    def family(self) -> str:
        return str(self.config.get("model_type"))

    def linear(self) -> list[str]:
        """The linear layers of a block, by their names in it."""
        return [name for name, module in self.skeleton.layers[0].named_modules() if _is_linear(module)]

    def shape(self, module: str) -> tuple[int, int]:
        """(out, in) of a linear layer. Raises AdapterError where the base has none of that name."""
        found: Any = self._modules.get(module)
        if not _is_linear(found):
            raise AdapterError(f"the adapter was made for another base: {self.name} has no linear layer {module}")
        rows, width = found.weight.shape
        return rows, width * 32 // found.bits if isinstance(found, nn.QuantizedLinear) else width

    @cached_property
    def _modules(self) -> dict[str, nn.Module]:
        return dict(self.skeleton.named_modules())


def base_of(folder: Path) -> Base:
    """Raises ModelError for what is no model folder."""
    try:
        config = json.loads((folder / "config.json").read_text())
        return Base(folder, _name(folder, config), config, skeleton(folder))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ModelError(f"the model in {folder} cannot be read: {error}") from error


def check_family(base: Base) -> None:
    """Raises AdapterError for a base whose layers may be called otherwise elsewhere."""
    if base.family not in FAMILIES:
        told = ", ".join(FAMILIES)
        raise AdapterError(
            f"layers of {base.family} models may be called otherwise elsewhere; {told} are known. "
            "Export a fused model instead, or convert the adapter where it was trained"
        )


def place(module: str) -> tuple[int, str]:
    """The block that a layer is in, and its name there. Raises AdapterError for a layer outside of blocks."""
    found = _IN_A_BLOCK.fullmatch(module)
    if found is None:
        raise AdapterError(f"{module[:100]!r} is no linear layer of a block, and others than those are not exchanged")
    return int(found[1]), found[2]


def _is_linear(module: Any) -> bool:
    return isinstance(module, nn.Linear | nn.QuantizedLinear)


def _name(folder: Path, config: dict[str, Any]) -> str:
    card = folder / "nightschool.json"
    told = json.loads(card.read_text()).get("repository") if card.is_file() else None
    return str(told or config.get("_name_or_path") or folder.name)
