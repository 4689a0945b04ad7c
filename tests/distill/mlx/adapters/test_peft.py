"""PEFT's form: exports merged by PEFT's own formula say what the adapter says, and imports say what PEFT would."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from distill.errors import AdapterError
from distill.mlx import lora
from distill.mlx.adapters import peft
from distill.mlx.adapters.exchange import export, take
from tests.distill.mlx.adapters.conftest import FAMILIES, logits, make_adapter, merged

pytestmark = pytest.mark.school

PREFIX = "base_model.model."
NEAR = 1e-4


def merge(base: Path, adapter: Path, folder: Path) -> Path:
    """Merge by PEFT's formula, out of the files alone: W + (alpha / r) · B·A, and with DoRA each row at its length."""
    config = json.loads((adapter / "adapter_config.json").read_text())
    tensors = load_file(adapter / "adapter_model.safetensors")
    scale = config["lora_alpha"] / (config["r"] ** 0.5 if config["use_rslora"] else config["r"])

    def change(name: str, weight: np.ndarray) -> np.ndarray:
        a, b = (tensors.get(f"{PREFIX}{name}.lora_{part}.weight") for part in "AB")
        if a is None or b is None:
            return weight
        assert a.shape[0] == b.shape[1] == config["r"]
        changed: np.ndarray = weight + np.float32(scale) * (b @ a)
        if config["use_dora"]:
            length = np.linalg.norm(changed, axis=1, keepdims=True)
            changed = changed / length * tensors[f"{PREFIX}{name}.lora_magnitude_vector"][:, None]
        return changed

    return merged(base, folder, change)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["lora", "dora"])
@pytest.mark.parametrize("layers", [2, 3])
def test_merged_by_pefts_formula_it_says_the_same(
    bases: dict[str, Path], tmp_path: Path, family: str, kind: lora.Kind, layers: int
) -> None:
    adapter = make_adapter(bases[family], tmp_path / "adapter", kind=kind, layers=layers)
    made = export(adapter, bases[family], "peft", tmp_path / "made")
    worn = logits(bases[family], adapter)
    assert np.abs(worn - logits(bases[family])).max() > 0.1
    assert np.abs(worn - logits(merge(bases[family], made, tmp_path / "merged"))).max() < NEAR


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["lora", "dora"])
@pytest.mark.parametrize("keys", [None, ["mlp.up_proj", "self_attn.q_proj"]])
def test_there_and_back_it_is_the_same_adapter(
    bases: dict[str, Path], tmp_path: Path, family: str, kind: lora.Kind, keys: list[str] | None
) -> None:
    more = {"keys": keys} if keys else {}
    adapter = make_adapter(bases[family], tmp_path / "adapter", kind=kind, dropout=0.25, **more)
    made = export(adapter, bases[family], "peft", tmp_path / "made")
    back = take(made, bases[family], tmp_path / "back")
    assert lora.digest(back) == lora.digest(adapter)
    assert (back / lora.WEIGHTS).read_bytes() == (adapter / lora.WEIGHTS).read_bytes()


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16])
def test_half_precision_stays_as_it_is(bases: dict[str, Path], tmp_path: Path, dtype: mx.Dtype) -> None:
    adapter = lora.read(make_adapter(bases["llama"], tmp_path / "wide"))
    (tmp_path / "half").mkdir()
    halves = {name: tensor.astype(dtype) for name, tensor in adapter.tensors.items()}
    digest = lora.write(tmp_path / "half", halves, adapter.config)
    made = export(tmp_path / "half", bases["llama"], "peft", tmp_path / "made")
    assert lora.digest(take(made, bases["llama"], tmp_path / "back")) == digest


SCATTERED = ["model.layers.0.mlp.up_proj", "model.layers.1.self_attn.q_proj"]


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("keys", [None, ["mlp.up_proj"], ["self_attn.q_proj", "self_attn.v_proj"], SCATTERED])
def test_the_config_names_the_layers_that_the_file_holds(
    bases: dict[str, Path], tmp_path: Path, layers: int, keys: list[str] | None
) -> None:
    """By PEFT's rule: a layer whose name is a target or ends with one, in a block that is to be transformed."""
    more = {"keys": keys} if keys else {}
    adapter = make_adapter(bases["qwen2"], tmp_path / "adapter", layers=layers, **more)
    made = export(adapter, bases["qwen2"], "peft", tmp_path / "made")
    config = json.loads((made / "adapter_config.json").read_text())
    blocks = config.get("layers_to_transform", range(3))
    everything = {n.removesuffix(".weight") for n in load_file(bases["qwen2"] / "model.safetensors") if "proj.w" in n}
    chosen = {
        name
        for name in everything
        if any(f".{name}".endswith(f".{target}") for target in config["target_modules"])
        and int(name.split(".")[2]) in blocks
    }
    held = load_file(made / "adapter_model.safetensors")
    assert {name.removeprefix(PREFIX).rpartition(".lora_")[0] for name in held} == chosen
    assert (config["r"], config["lora_alpha"], config["peft_type"], config["bias"]) == (4, 10, "LORA", "none")
    assert config["base_model_name_or_path"] == "tiny-qwen2"


def foreign(base: Path, folder: Path, modules: list[str], *, rank: int = 3, **changes: Any) -> Path:
    """An adapter that PEFT might have written."""
    folder.mkdir()
    random = np.random.default_rng(3)
    shapes = {n.removesuffix(".weight"): w.shape for n, w in load_file(base / "model.safetensors").items()}
    tensors = {}
    for module in modules:
        rows, width = shapes[module]
        tensors[f"{PREFIX}{module}.lora_A.weight"] = 0.3 * random.standard_normal((rank, width), np.float32)
        tensors[f"{PREFIX}{module}.lora_B.weight"] = 0.3 * random.standard_normal((rows, rank), np.float32)
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": 7, "target_modules": ".*", "use_dora": False}
    told = {**config, "use_rslora": False, "lora_dropout": 0.1, "base_model_name_or_path": "../../secret", **changes}
    (folder / "adapter_config.json").write_text(json.dumps(told))
    return folder


SOME = ["model.layers.0.mlp.down_proj", "model.layers.0.self_attn.q_proj", "model.layers.2.self_attn.k_proj"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rslora", [False, True])
def test_an_adapter_of_scattered_layers_says_what_peft_would(
    bases: dict[str, Path], tmp_path: Path, family: str, rslora: bool
) -> None:
    source = foreign(bases[family], tmp_path / "theirs", SOME, use_rslora=rslora)
    taken = take(source, bases[family], tmp_path / "ours")
    told = logits(merge(bases[family], source, tmp_path / "merged"))
    assert np.abs(told - logits(bases[family])).max() > 0.1
    assert np.abs(told - logits(bases[family], taken)).max() < NEAR
    card = json.loads((taken / "card.json").read_text())
    assert (card["base"], card["taken_from"], card["made_for"]) == (bases[family].name, "peft", "../../secret")
    assert card["digest"] == lora.digest(taken)


def test_magnitudes_may_be_called_weights(bases: dict[str, Path], tmp_path: Path) -> None:
    made = export(
        make_adapter(bases["llama"], tmp_path / "adapter", kind="dora"), bases["llama"], "peft", tmp_path / "made"
    )
    file = made / "adapter_model.safetensors"
    save_file({re.sub(r"(magnitude_vector)$", r"\1.weight", n): t for n, t in load_file(file).items()}, file)
    assert lora.digest(take(made, bases["llama"], tmp_path / "back")) == lora.digest(tmp_path / "adapter")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"peft_type": "LOHA"}, "not LORA"),
        ({"peft_type": ["LORA"]}, "not LORA"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"rank_pattern": {"q_proj": 8}}, "rank_pattern"),
        ({"alpha_pattern": {"q_proj": 8}}, "alpha_pattern"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"),
        ({"use_qalora": True}, "use_qalora"),
        ({"velora_config": {"rank": 2}}, "velora_config"),
        ({"bias": "all"}, "biases"),
        ({"init_lora_weights": "pissa_niter_16"}, "changes its base"),
        ({"init_lora_weights": "OLoRA"}, "changes its base"),
        ({"r": 0}, "makes no sense"),
        ({"r": -3}, "makes no sense"),
        ({"r": 5}, "has shape"),
        ({"r": "many"}, "not understood"),
        ({"r": None}, "not understood"),
        ({"r": 10**400}, "makes no sense"),
        ({"lora_alpha": float("nan")}, "makes no sense"),
        ({"lora_alpha": float("inf")}, "makes no sense"),
        ({"lora_alpha": [16]}, "not understood"),
        ({"lora_dropout": 1.5}, "makes no sense"),
        ({"use_dora": True}, "same layers in each block"),
    ],
    ids=str,
)
def test_a_config_that_cannot_be_taken_over(
    bases: dict[str, Path], tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    source = foreign(bases["llama"], tmp_path / "theirs", SOME, **changes)
    with pytest.raises(AdapterError, match=words):
        take(source, bases["llama"], tmp_path / "ours")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["theirs"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 200_000, b'{"a":' * 100_000, b'{"r": ' + b"9" * 9999]
)
def test_a_config_that_is_none(bases: dict[str, Path], tmp_path: Path, content: bytes) -> None:
    source = foreign(bases["llama"], tmp_path / "theirs", SOME)
    (source / "adapter_config.json").write_bytes(content)
    with pytest.raises(AdapterError, match="damaged"):
        take(source, bases["llama"], tmp_path / "ours")


Q = f"{PREFIX}{SOME[1]}.lora_A.weight"


@pytest.mark.parametrize(
    ("name", "tensor", "words"),
    [
        (Q, None, "lacks model.layers.0.self_attn.q_proj.lora_a"),
        (Q, np.zeros((3, 47), np.float32), "has shape"),
        (Q, np.zeros((3, 48), np.int32), "floating-point"),
        (Q, np.full((3, 48), np.nan, np.float32), "NaN"),
        (Q, np.zeros(3, np.float32), "has shape"),
        (f"{PREFIX}model.layers.3.self_attn.q_proj.lora_A.weight", np.zeros((3, 48), np.float32), "knows block 3 of 3"),
        (f"{PREFIX}model.layers.0.self_attn.w_proj.lora_A.weight", np.zeros((3, 48), np.float32), "no linear layer"),
        (f"{PREFIX}model.layers.0.self_attn.rope.lora_A.weight", np.zeros((3, 48), np.float32), "no linear layer"),
        (f"{PREFIX}model.layers.00.self_attn.q_proj.lora_A.weight", np.zeros((3, 48), np.float32), "unknown|holds"),
        (f"{PREFIX}model.layers.0/../x.q_proj.lora_A.weight", np.zeros((3, 48), np.float32), "not exchanged"),
        (f"{PREFIX}lm_head.lora_A.weight", np.zeros((3, 48), np.float32), "not exchanged"),
        (f"{PREFIX}model.embed_tokens.lora_embedding_A", np.zeros((3, 48), np.float32), "neither A, B"),
        (f"{PREFIX}{SOME[1]}.lora_magnitude_vector", np.zeros(48, np.float32), "holds"),
        ("model.norm.weight", np.zeros(48, np.float32), "neither A, B"),
    ],
)
def test_tensors_that_are_not_those_of_the_base(
    bases: dict[str, Path], tmp_path: Path, name: str, tensor: np.ndarray | None, words: str
) -> None:
    source = foreign(bases["llama"], tmp_path / "theirs", SOME)
    tensors = load_file(source / "adapter_model.safetensors")
    if tensor is None:
        del tensors[name]
    else:
        tensors[name] = tensor
    save_file(tensors, source / "adapter_model.safetensors")
    with pytest.raises(AdapterError, match=words):
        take(source, bases["llama"], tmp_path / "ours")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["theirs"]


def test_pickles_and_missing_files_are_refused(bases: dict[str, Path], tmp_path: Path) -> None:
    source = foreign(bases["llama"], tmp_path / "theirs", SOME)
    (source / "adapter_model.safetensors").rename(source / "adapter_model.bin")
    with pytest.raises(AdapterError, match="pickle"):
        take(source, bases["llama"], tmp_path / "ours")
    (source / "adapter_model.bin").unlink()
    with pytest.raises(AdapterError, match=re.escape(peft.WEIGHTS)):
        take(source, bases["llama"], tmp_path / "ours")
