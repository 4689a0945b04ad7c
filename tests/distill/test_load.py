"""Model folders into memory, whole and damaged ones."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import pytest
from mlx.utils import tree_flatten

from distill.errors import ModelError
from distill.mlx.embedded import folder_digest
from distill.mlx.load import load, weight_bytes


@pytest.fixture
def copy(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "copy"))


def test_what_is_loaded(tiny_folder: Path) -> None:
    loaded = load(tiny_folder)
    assert loaded.context == 4096
    assert loaded.digest == load(tiny_folder).digest == folder_digest(tiny_folder)
    assert weight_bytes(loaded.model) == sum(a.nbytes for _, a in tree_flatten(loaded.model.parameters()))
    assert not loaded.model.training


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16])
def test_half_precision_becomes_float32_on_the_cpu(copy: Path, dtype: mx.Dtype) -> None:
    weights = mx.load(str(copy / "model.safetensors"))
    assert isinstance(weights, dict)
    mx.save_safetensors(str(copy / "model.safetensors"), {name: a.astype(dtype) for name, a in weights.items()})
    assert {a.dtype for _, a in tree_flatten(load(copy).model.parameters())} == {mx.float32}


def test_quantised_weights_become_float32_on_the_cpu(copy: Path, make_model: Callable[..., nn.Module]) -> None:
    model = make_model("llama", hidden_size=64, intermediate_size=128)
    nn.quantize(model, group_size=32, bits=4)
    config = json.loads((copy / "config.json").read_text())
    config |= {"hidden_size": 64, "intermediate_size": 128, "quantization": {"group_size": 32, "bits": 4}}
    (copy / "config.json").write_text(json.dumps(config))
    model.save_weights(str(copy / "model.safetensors"))
    loaded = load(copy).model
    assert {a.dtype for _, a in tree_flatten(loaded.parameters())} == {mx.float32}
    ids = mx.array([[1, 2, 3]])
    assert mx.abs(loaded(ids) - model(ids)).max().item() < 1e-3


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model in"):
        load(tmp_path / "nowhere")


_CONFIGS: list[Any] = ["", "{", "[]", "null", "{}", '{"model_type": "llama"}', '{"model_type": "no_such_thing"}']


@pytest.mark.parametrize("config", _CONFIGS)
def test_a_damaged_config(copy: Path, config: str) -> None:
    (copy / "config.json").write_text(config)
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(copy)


@pytest.mark.parametrize("keep", [0, 7, 500, 20_000, -1])
def test_truncated_weights(copy: Path, keep: int) -> None:
    whole = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(whole[:keep])
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(copy)


def test_no_weights(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(copy)


def test_weights_of_another_shape(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"hidden_size": 64}))
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(copy)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"])
def test_the_digest_follows_every_file(copy: Path, name: str) -> None:
    before = folder_digest(copy)
    with (copy / name).open("ab") as file:
        file.write(b" ")
    assert folder_digest(copy) != before


def test_the_digest_does_not_follow_time_or_place(copy: Path, tiny_folder: Path) -> None:
    (copy / "config.json").touch()
    time.sleep(0.01)
    assert folder_digest(copy) == folder_digest(tiny_folder)
