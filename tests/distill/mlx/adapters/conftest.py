"""Tiny bases on disk, adapters for them that change something, and numpy's own way to merge one into the other."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from distill.mlx import lora
from distill.mlx.load import load

FAMILIES = ("llama", "qwen2", "qwen3")
IDS = [3, 1, 4, 1, 5, 92, 65, 35, 89, 79]


@pytest.fixture(scope="session")
def make_base(
    tmp_path_factory: pytest.TempPathFactory,
    make_tokenizer: Callable[..., None],
    make_model: Callable[..., nn.Module],
) -> Callable[..., Path]:
    """A whole model folder of a family, with random weights. Read only."""

    def make(family: str, **changes: Any) -> Path:
        folder: Path = tmp_path_factory.mktemp(family) / f"tiny-{family}"
        folder.mkdir()
        make_tokenizer(folder)
        model = make_model(family, **{"head_dim": 12, **changes})
        told = {name: value for name, value in dataclasses.asdict(model.args).items() if value is not None}
        (folder / "config.json").write_text(json.dumps(told))
        model.save_weights(str(folder / "model.safetensors"))
        return folder

    return make


@pytest.fixture(scope="session")
def bases(make_base: Callable[..., Path]) -> dict[str, Path]:
    return {family: make_base(family) for family in FAMILIES}


def make_adapter(base: Path, folder: Path, *, kind: lora.Kind = "lora", layers: int = 2, **more: Any) -> Path:
    """An adapter of rank 4 and scale 2.5 that changes all it touches; `more` goes into its parameters."""
    model = load(base).model
    config = lora.config_of(rank=4, scale=2.5, layers=layers, kind=kind)
    config["lora_parameters"] |= more
    lora.wrap(model, config)
    mx.random.seed(5)
    tensors = {
        name: array * mx.random.uniform(0.5, 1.5, array.shape)
        if name.endswith(".m")
        else 0.2 * mx.random.normal(array.shape)
        for name, array in lora.adapter_tensors(model).items()
    }
    folder.mkdir(parents=True)
    lora.write(folder, tensors, config)
    return folder


def logits(folder: Path, adapter: Path | None = None) -> np.ndarray:
    """What the model in a folder says to IDS, with an adapter in mlx-lm's form or without."""
    model = load(folder).model
    if adapter is not None:
        lora.attach(model, lora.read(adapter))
    return np.array(model(mx.array([IDS])))


def merged(base: Path, folder: Path, change: Callable[[str, np.ndarray], np.ndarray]) -> Path:
    """A copy of a base in which each layer's weight is what `change` makes of it, by its name without `.weight`."""
    folder.mkdir()
    (folder / "config.json").write_text((base / "config.json").read_text())
    weights = load_file(base / "model.safetensors")
    save_file(
        {n: change(n.removesuffix(".weight"), w) if w.ndim == 2 else w for n, w in weights.items()},
        folder / "model.safetensors",
    )
    return folder
