"""A model with the adapter in its weights: it says what base and adapter say together, and it is a whole model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from safetensors.numpy import load_file

from distill.digest import file_digest
from distill.mlx import lora
from distill.mlx.adapters.exchange import export
from distill.mlx.convert import convert
from distill.mlx.embedded import folder_digest
from distill.mlx.load import load
from distill.render import Renderer
from router.chat import Message
from tests.distill.mlx.adapters.conftest import FAMILIES, IDS, logits, make_adapter

pytestmark = pytest.mark.school

NEAR = 1e-4


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_it_says_the_same(bases: dict[str, Path], tmp_path: Path, family: str, kind: lora.Kind) -> None:
    adapter = make_adapter(bases[family], tmp_path / "adapter", kind=kind)
    made = export(adapter, bases[family], "fused", tmp_path / "made")
    worn = logits(bases[family], adapter)
    assert np.abs(worn - logits(bases[family])).max() > 0.1
    assert np.abs(worn - logits(made)).max() < NEAR


@pytest.mark.parametrize("kind", ["lora", "dora"])
@pytest.mark.parametrize("bits", [4, 8, 16])
def test_a_base_of_few_bits_is_merged_without_losing_the_adapter(
    make_base: Callable[..., Path], tmp_path: Path, kind: lora.Kind, bits: int
) -> None:
    whole = make_base("qwen2", hidden_size=64, intermediate_size=128, head_dim=16)
    base = convert(whole, tmp_path / "base", bits=bits, group_size=32)
    adapter = make_adapter(base, tmp_path / "adapter", kind=kind)
    made = export(adapter, base, "fused", tmp_path / "made")
    config = json.loads((made / "config.json").read_text())
    assert "quantization" not in config
    assert config["torch_dtype"] == "float32"
    assert {weight.dtype for weight in load_file(made / "model.safetensors").values()} == {np.dtype(np.float32)}
    assert np.abs(logits(base, adapter) - logits(made)).max() < NEAR


def test_merging_into_four_bits_would_lose_it(make_base: Callable[..., Path], tmp_path: Path) -> None:
    """Why it is never done: a weak adapter is less than a step of four bits, and most of it is rounded away."""
    whole = make_base("qwen2", hidden_size=64, intermediate_size=128, head_dim=16)
    base = convert(whole, tmp_path / "base", bits=4, group_size=32)
    adapter = make_adapter(base, tmp_path / "adapter", scale=0.02)
    made = export(adapter, base, "fused", tmp_path / "made")
    again = convert(made, tmp_path / "again", bits=4, group_size=32)
    moved = np.abs(logits(base, adapter) - logits(base)).mean()
    assert np.abs(logits(made) - logits(base, adapter)).mean() < 0.01 * moved
    assert np.abs(logits(again) - logits(base, adapter)).mean() > 0.5 * moved


def test_it_is_a_whole_model_of_its_own(bases: dict[str, Path], tmp_path: Path) -> None:
    adapter = make_adapter(bases["llama"], tmp_path / "adapter")
    made = export(adapter, bases["llama"], "fused", tmp_path / "made")
    asked = [Message("user", "How are you?")]
    assert Renderer(made).prompt(asked, None) == Renderer(bases["llama"]).prompt(asked, None)
    for name in ("tokenizer.json", "chat_template.jinja"):
        assert (made / name).read_bytes() == (bases["llama"] / name).read_bytes()
    card = json.loads((made / "nightschool.json").read_text())
    assert card["adapter_digest"] == lora.digest(adapter)
    assert card["source_sha256"] == folder_digest(bases["llama"])
    assert all(file_digest(made / name) == digest for name, digest in card["files"].items())
    assert load(made).digest != load(bases["llama"]).digest


def test_it_can_be_trained_and_worn_on_again(bases: dict[str, Path], tmp_path: Path) -> None:
    adapter = make_adapter(bases["qwen3"], tmp_path / "adapter")
    made = export(adapter, bases["qwen3"], "fused", tmp_path / "made")
    model = load(made).model
    lora.attach(model, lora.read(adapter))
    assert np.abs(np.array(model(mx.array([IDS]))) - logits(made)).max() > 0.1
