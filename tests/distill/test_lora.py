"""Adapters on and off a model, and adapters that are not what they should be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten

from distill.errors import AdapterError
from distill.mlx import lora

_CONFIG = lora.config_of(rank=4, scale=2.0, layers=2)


_DORA = lora.config_of(rank=4, scale=2.0, layers=2, kind="dora")


@pytest.fixture
def model(make_model: Callable[..., nn.Module]) -> nn.Module:
    return make_model("llama")


@pytest.fixture
def trained(model: nn.Module) -> Iterator[dict[str, mx.array]]:
    """Tensors of an adapter that changes something."""
    lora.wrap(model, _CONFIG)
    mx.random.seed(5)
    yield {name: mx.random.normal(array.shape) * 0.2 for name, array in lora.adapter_tensors(model).items()}
    lora.detach(model)


@pytest.fixture
def folder(tmp_path: Path, make_model: Callable[..., nn.Module]) -> Path:
    """An adapter on disk."""
    other = make_model("llama")
    lora.wrap(other, _CONFIG)
    mx.random.seed(5)
    tensors = {name: mx.random.normal(array.shape) * 0.2 for name, array in lora.adapter_tensors(other).items()}
    lora.write(tmp_path, tensors, _CONFIG)
    return tmp_path


def logits(model: nn.Module) -> np.ndarray:
    return np.array(model(mx.array([[1, 2, 3, 4, 5]])))


def names(model: nn.Module) -> list[str]:
    return [name for name, _ in tree_flatten(model.parameters())]


def test_fresh_layers_change_nothing(model: nn.Module) -> None:
    before = logits(model)
    lora.wrap(model, _CONFIG)
    assert (logits(model) == before).all()
    assert len(lora.lora_layers(model)) == 2 * 7


def test_written_and_read_is_the_same(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    adapter = lora.read(folder)
    assert adapter.config == _CONFIG
    again = tmp_path_factory.mktemp("again")
    assert lora.write(again, adapter.tensors, adapter.config) == adapter.digest == lora.digest(again)
    assert len(adapter.tensors) == 2 * 7 * 2


def test_attached_it_works_and_detached_the_base_is_exactly_back(model: nn.Module, folder: Path) -> None:
    before, parameters = logits(model), names(model)
    adapter = lora.read(folder)
    lora.attach(model, adapter)
    with_adapter = logits(model)
    assert np.abs(with_adapter - before).max() > 0.01
    lora.detach(model)
    assert (logits(model) == before).all()
    assert names(model) == parameters
    lora.attach(model, adapter)
    assert (logits(model) == with_adapter).all()


def test_a_second_adapter_on_top_is_refused_and_the_first_stays(model: nn.Module, folder: Path) -> None:
    lora.attach(model, lora.read(folder))
    with_adapter = logits(model)
    with pytest.raises(AdapterError, match="already"):
        lora.attach(model, lora.read(folder))
    assert (logits(model) == with_adapter).all()


def test_a_fit_is_found_without_touching_the_model(model: nn.Module, folder: Path) -> None:
    before = logits(model)
    lora.fit(model, lora.read(folder))
    assert not lora.lora_layers(model)
    assert (logits(model) == before).all()
    other = lora.AdapterWeights("", lora.config_of(rank=3, scale=1.0, layers=2), lora.read(folder).tensors)
    with pytest.raises(AdapterError, match="shape"):
        lora.fit(model, other)
    assert not lora.lora_layers(model)


def test_the_digest_covers_weights_and_how_they_are_applied(folder: Path) -> None:
    before = lora.digest(folder)
    hotter = lora.config_of(rank=4, scale=3.0, layers=2)
    (folder / lora.CONFIG).write_text(json.dumps(hotter))
    assert lora.digest(folder) != before


def test_scale_is_applied(model: nn.Module, folder: Path) -> None:
    adapter, before = lora.read(folder), logits(model)
    nothing = lora.AdapterWeights("", lora.config_of(rank=4, scale=0.0, layers=2), adapter.tensors)
    lora.attach(model, nothing)
    assert (logits(model) == before).all()


@pytest.mark.parametrize("missing", [lora.WEIGHTS, lora.CONFIG])
def test_a_missing_file_is_named(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(AdapterError, match=missing):
        lora.read(folder)


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="is not an adapter"):
        lora.read(tmp_path / "nowhere")


@pytest.mark.parametrize("keep", [0, 4, 100, 5000, -1])
def test_truncated_weights_are_damaged(folder: Path, keep: int) -> None:
    whole = (folder / lora.WEIGHTS).read_bytes()
    (folder / lora.WEIGHTS).write_bytes(whole[:keep])
    with pytest.raises(AdapterError, match="damaged"):
        lora.read(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"GGUF" * 100, b"\x80" * 64])
def test_weights_that_are_something_else(folder: Path, content: bytes) -> None:
    (folder / lora.WEIGHTS).write_bytes(content)
    with pytest.raises(AdapterError):
        lora.read(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"fine_tune_type": "full"}', b"null"])
def test_a_config_that_is_something_else(folder: Path, content: bytes) -> None:
    (folder / lora.CONFIG).write_bytes(content)
    with pytest.raises(AdapterError):
        lora.read(folder)


_ODD: list[dict[str, Any]] = [
    {},
    {"num_layers": 2},
    {"num_layers": 2, "lora_parameters": None},
    {"num_layers": 2, "lora_parameters": "rank"},
    {"num_layers": "two", "lora_parameters": _CONFIG["lora_parameters"]},
    {"num_layers": float("inf"), "lora_parameters": _CONFIG["lora_parameters"]},
    {"num_layers": 2, "lora_parameters": {"rank": 4, "dropout": 0.0}},
    {"num_layers": 2, "lora_parameters": {"rank": "4 or so", "scale": 2.0, "dropout": 0.0}},
    {"num_layers": 2, "lora_parameters": {"rank": -4, "scale": 2.0, "dropout": 0.0}},
    {"num_layers": 2, "lora_parameters": {"rank": 8, "scale": 2.0, "dropout": 0.0}},
    {"num_layers": 2, "lora_parameters": {"rank": 10**9, "scale": 2.0, "dropout": 0.0}},
    {"num_layers": 2, "lora_parameters": {"rank": 4, "scale": "hot", "dropout": 0.0}},
    {"num_layers": 2, "lora_parameters": {"rank": 4, "scale": [2.0], "dropout": 0.0}},
    {"num_layers": 2, "lora_parameters": {"rank": 4, "scale": 2.0, "dropout": 7}},
    {"num_layers": 1, "lora_parameters": _CONFIG["lora_parameters"]},
    {"num_layers": 3, "lora_parameters": _CONFIG["lora_parameters"]},
    {"num_layers": 2, "lora_parameters": {**_CONFIG["lora_parameters"], "keys": 5}},
    {"num_layers": 2, "lora_parameters": {**_CONFIG["lora_parameters"], "keys": ["self_attn"]}},
    {"num_layers": 2, "lora_parameters": {**_CONFIG["lora_parameters"], "keys": ["mlp.up_proj", "model.norm"]}},
    {"num_layers": 2, "lora_parameters": {**_CONFIG["lora_parameters"], "keys": ["model.embed_tokens"]}},
]


@pytest.mark.parametrize("config", _ODD, ids=str)
def test_a_config_that_makes_no_sense_leaves_the_base_unharmed(
    model: nn.Module, folder: Path, config: dict[str, Any]
) -> None:
    before, parameters = logits(model), names(model)
    adapter = lora.AdapterWeights("", config, lora.read(folder).tensors)
    with pytest.raises(AdapterError):
        lora.attach(model, adapter)
    assert names(model) == parameters
    assert (logits(model) == before).all()


@pytest.mark.parametrize("change", ["another base", "wider base", "one missing", "one unknown", "base weight", "shape"])
def test_tensors_that_do_not_fit_leave_the_base_unharmed(
    make_model: Callable[..., nn.Module], model: nn.Module, folder: Path, change: str
) -> None:
    tensors = dict(lora.read(folder).tensors)
    first = min(tensors)
    match change:
        case "another base":
            model = make_model("llama", num_hidden_layers=5)
        case "wider base":
            model = make_model("llama", hidden_size=64)
        case "one missing":
            del tensors[first]
        case "one unknown":
            tensors[first + "x"] = tensors[first]
        case "base weight":
            tensors["model.norm.weight"] = mx.zeros(48)
        case "shape":
            tensors[first] = tensors[first].T
    before, parameters = logits(model), names(model)
    with pytest.raises(AdapterError, match=r"another base|has shape"):
        lora.attach(model, lora.AdapterWeights("", _CONFIG, tensors))
    assert names(model) == parameters
    assert (logits(model) == before).all()


def test_what_mlx_lm_reads_is_what_we_wrote(
    make_model: Callable[..., nn.Module], model: nn.Module, folder: Path
) -> None:
    from mlx_lm.tuner.utils import load_adapters

    theirs = make_model("llama")
    load_adapters(theirs, str(folder))
    theirs.eval()
    lora.attach(model, lora.read(folder))
    assert (logits(theirs) == logits(model)).all()


def test_half_precision_adapters_are_widened_on_the_cpu(model: nn.Module, folder: Path) -> None:
    adapter = lora.read(folder)
    half = {name: tensor.astype(mx.float16) for name, tensor in adapter.tensors.items()}
    lora.attach(model, lora.AdapterWeights("", _CONFIG, half))
    assert all(array.dtype == mx.float32 for array in lora.adapter_tensors(model).values())


def test_an_adapter_with_tensors_outside_the_layers(folder: Path, trained: dict[str, mx.array]) -> None:
    lora.write(folder, {**trained, "lm_head.weight": mx.zeros((2, 2))}, _CONFIG)
    assert "lm_head.weight" in lora.read(folder).tensors  # reading is not judging: attach refuses it


def worn(model: nn.Module, config: dict[str, Any]) -> dict[str, mx.array]:
    """Tensors of an adapter that changes something; the model is bare afterwards."""
    lora.wrap(model, config)
    mx.random.seed(5)
    tensors = {n: t * 1.1 + 0.2 * mx.random.normal(t.shape) for n, t in lora.adapter_tensors(model).items()}
    lora.detach(model)
    return tensors


def test_dora_has_a_length_for_each_row_and_comes_off_again(model: nn.Module, tmp_path: Path) -> None:
    before, parameters = logits(model), names(model)
    tensors = worn(model, _DORA)
    assert names(model) == parameters
    assert len(tensors) == 3 * 2 * 7
    assert tensors["model.layers.1.mlp.up_proj.m"].shape == (96,)
    digest = lora.write(tmp_path, tensors, _DORA)
    adapter = lora.read(tmp_path)
    assert adapter.digest == digest
    lora.fit(model, adapter)
    lora.attach(model, adapter)
    with_adapter = logits(model)
    assert np.abs(with_adapter - before).max() > 0.01
    assert all((lora.adapter_tensors(model)[name] == tensor).all() for name, tensor in tensors.items())
    with lora.bare(model):
        assert (logits(model) == before).all()
    assert (logits(model) == with_adapter).all()
    lora.detach(model)
    assert (logits(model) == before).all()
    assert names(model) == parameters


def test_fresh_dora_changes_nothing(model: nn.Module) -> None:
    before = logits(model)
    lora.wrap(model, _DORA)
    assert np.abs(logits(model) - before).max() < 1e-5


def test_dora_by_its_formula(model: nn.Module) -> None:
    """m · (W + scale · BA) / ‖W + scale · BA‖, by row, for one layer."""
    name = "model.layers.2.mlp.up_proj"
    weight = np.array(model.layers[2].mlp.up_proj.weight)
    tensors = worn(model, _DORA)
    lora.attach(model, lora.AdapterWeights("", _DORA, tensors))
    a, b, m = (np.array(tensors[f"{name}.{part}"]) for part in lora.PARTS)
    changed = weight + 2.0 * (a @ b).T
    changed *= (m / np.linalg.norm(changed, axis=1))[:, None]
    x = np.random.default_rng(1).standard_normal((3, 48), np.float32)
    assert np.abs(np.array(model.layers[2].mlp.up_proj(mx.array(x))) - x @ changed.T).max() < 1e-4


def test_what_mlx_lm_reads_of_dora_is_what_we_wrote(make_model: Callable[..., nn.Module], tmp_path: Path) -> None:
    from mlx_lm.tuner.utils import load_adapters

    ours, theirs = make_model("qwen2"), make_model("qwen2")
    lora.write(tmp_path, worn(ours, _DORA), _DORA)
    load_adapters(theirs, str(tmp_path))
    theirs.eval()
    lora.attach(ours, lora.read(tmp_path))
    assert (logits(theirs) == logits(ours)).all()


@pytest.mark.parametrize("given", [_CONFIG, _DORA])
def test_one_kinds_tensors_are_not_the_others(model: nn.Module, given: dict[str, Any]) -> None:
    tensors, before = worn(model, _DORA if given is _CONFIG else _CONFIG), logits(model)
    with pytest.raises(AdapterError, match="another base"):
        lora.attach(model, lora.AdapterWeights("", given, tensors))
    assert (logits(model) == before).all()


def test_an_adapter_put_on_a_model_at_work_drops_nothing_out(model: nn.Module) -> None:
    model.eval()
    config = lora.config_of(rank=4, scale=2.0, layers=2, dropout=0.5)
    lora.attach(model, lora.AdapterWeights("", config, worn(model, config)))
    assert (logits(model) == logits(model)).all()


@pytest.mark.model
def test_on_the_student(student_folder: Path, tmp_path: Path) -> None:
    from distill.mlx.load import load

    assert (student_folder / "config.json").exists()
    own = load(student_folder).model  # not the shared one: it is changed here
    before = logits(own)
    config = lora.config_of(rank=4, scale=2.0, layers=3)
    lora.wrap(own, config)
    tensors = {name: mx.random.normal(a.shape) * 0.05 for name, a in lora.adapter_tensors(own).items()}
    lora.detach(own)
    lora.write(tmp_path, tensors, config)
    lora.attach(own, lora.read(tmp_path))
    assert np.abs(logits(own) - before).max() > 0
    lora.detach(own)
    assert (logits(own) == before).all()
    shutil.rmtree(tmp_path)
