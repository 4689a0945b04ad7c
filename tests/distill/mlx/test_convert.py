"""Model folders made into quantised or float16 ones: they load, answer, and say what they were made from."""

from __future__ import annotations

import json
import re
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import pytest
from mlx.utils import tree_flatten
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.utils import load_model

from distill.digest import file_digest
from distill.errors import ModelError
from distill.mlx.convert import convert
from distill.mlx.embedded import folder_digest
from distill.mlx.load import load
from distill.render import Renderer
from router.chat import Message

pytestmark = pytest.mark.school

PASSAGE = (
    "The capital of France is Paris, which lies on the river Seine. A year has twelve months, and a week has seven "
    "days. Water boils at one hundred degrees and freezes at zero. The sun rises in the east and sets in the west."
)


@pytest.fixture(scope="module")
def student(student_folder: Path) -> nn.Module:
    return load(student_folder).model


@pytest.fixture(scope="module")
def four_bits(student_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convert(student_folder, tmp_path_factory.mktemp("models") / "made", bits=4, group_size=64)


def likeliest(model: nn.Module, tokens: list[int]) -> list[int]:
    """After each token, the one that the model finds likeliest."""
    following: list[int] = mx.argmax(model(mx.array([tokens]))[0], axis=-1).tolist()
    return following


def greedy(model: nn.Module, prompt: list[int], tokens: int) -> list[int]:
    cache = make_prompt_cache(model)
    said: list[int] = []
    step = mx.array([prompt])
    for _ in range(tokens):
        said.append(int(mx.argmax(model(step, cache=cache)[0, -1]).item()))
        step = mx.array([said[-1:]])
    return said


def agreement(one: nn.Module, other: nn.Module, tokens: list[int]) -> float:
    pairs = list(zip(likeliest(one, tokens), likeliest(other, tokens), strict=True))
    return sum(a == b for a, b in pairs) / len(pairs)


@pytest.mark.model
def test_the_student_in_four_bits_loads_and_answers(four_bits: Path, student: nn.Module) -> None:
    config = json.loads((four_bits / "config.json").read_text())
    assert (config["quantization"]["bits"], config["quantization"]["group_size"]) == (4, 64)
    model, renderer = load(four_bits).model, Renderer(four_bits)
    prompt = renderer.prompt([Message("user", "What is the capital of France?")], None)
    assert re.search(r"[A-Za-z]{3}", renderer.decode(greedy(model, prompt, 12)))
    assert agreement(student, model, renderer.encode(PASSAGE)) >= 0.5


@pytest.mark.model
def test_eight_bits_lose_next_to_nothing(student_folder: Path, student: nn.Module, tmp_path: Path) -> None:
    made = convert(student_folder, tmp_path / "made", bits=8, group_size=32)
    assert agreement(student, load(made).model, Renderer(made).encode(PASSAGE)) >= 0.9


@pytest.mark.model
def test_float16_is_the_source_to_the_digit(student_folder: Path, student: nn.Module, tmp_path: Path) -> None:
    made = convert(student_folder, tmp_path / "made", bits=16)
    assert "quantization" not in json.loads((made / "config.json").read_text())
    weights = dict(tree_flatten(load_model(made)[0].parameters()))
    assert {array.dtype for array in weights.values()} == {mx.float16}
    before, after = student, load(made).model
    for (name, old), (_, new) in zip(tree_flatten(before.parameters()), tree_flatten(after.parameters()), strict=True):
        assert mx.allclose(old, new, rtol=2e-3, atol=1e-4), name


@pytest.mark.model
def test_the_card_names_source_and_files(student_folder: Path, four_bits: Path) -> None:
    made = four_bits
    card = json.loads((made / "nightschool.json").read_text())
    assert card["source_sha256"] == folder_digest(student_folder)
    assert card["files"] == {path.name: file_digest(path) for path in made.iterdir() if path.name != "nightschool.json"}
    assert folder_digest(made) != folder_digest(student_folder)


@pytest.mark.parametrize(("bits", "group_size"), [(7, 64), (0, 64), (4, 48), (32, 64)])
def test_numbers_that_make_no_sense_are_refused(tmp_path: Path, bits: int, group_size: int) -> None:
    with pytest.raises(ModelError, match="not"):
        convert(tmp_path, tmp_path / "made", bits=bits, group_size=group_size)


def test_a_source_that_cannot_be_read_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with pytest.raises(ModelError, match=r"config\.json"):
        convert(source, tmp_path / "models" / "made")
    (source / "config.json").write_text('{"model_type": "llama", "model_file": "run_me.py"}')
    (source / "tokenizer.json").write_text("{}")
    (source / "run_me.py").write_text("raise SystemExit('ran')")
    with pytest.raises(ModelError, match="cannot be converted"):
        convert(source, tmp_path / "models" / "made")
    (source / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    with pytest.raises(ModelError, match="cannot be converted"):
        convert(source, tmp_path / "models" / "made")
    assert not list((tmp_path / "models").iterdir())


def test_a_target_that_is_there_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    with pytest.raises(ModelError, match="remove it"):
        convert(tmp_path, tmp_path / "made")
