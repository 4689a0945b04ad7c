"""The trainer end to end on a tiny random model: it learns, it repeats itself, and it says when it cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import mlx.core as mx
import msgspec
import numpy as np
import pytest

from distill.dataset import Example, write_dataset
from distill.errors import DatasetError, ModelError
from distill.mlx import lora
from distill.mlx.load import load
from distill.train.leaving import DeadAdapter
from distill.train.loop import TrainingError
from distill.train.order import Order
from distill.train.recipe import Recipe
from distill.train.record import Step
from distill.train.run import train
from router.chat import FunctionCall, FunctionSpec, Message, Tool, ToolCall

_TOOLS = [Tool(FunctionSpec("read_file", "Reads a file.", {"type": "object"}))]
_RECIPE = Recipe(rank=4, layers=2, learning_rate=5e-3, epochs=4, batch=4)


def example(number: int) -> Example:
    call = ToolCall("c", FunctionCall("read_file", json.dumps({"path": f"{number}.py"})))
    messages = [
        Message("system", "Look."),
        Message("user", f"What is in {number}.py?"),
        Message("assistant", None, [call]),
        Message("tool", "x = 1", tool_call_id="c"),
        Message("assistant", "x" * (number % 5 + 1)),
    ]
    return Example(f"conversation {number}", "repo", [str(number)], messages, _TOOLS)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("datasets")
    return Path(write_dataset([example(n) for n in range(12)], Counter(), home, valid_share=0.0).folder)


def run(base: Path, dataset: Path, folder: Path, recipe: Recipe = _RECIPE, **options: Any) -> dict[str, Any]:
    folder.mkdir(parents=True)
    return train(Order(str(base), str(dataset), recipe, **options), folder, lambda step: None)


@pytest.fixture(scope="module")
def trained(tiny_folder: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("runs") / "one"
    return folder, run(tiny_folder, dataset, folder)


def test_the_loss_falls(trained: tuple[Path, dict[str, Any]]) -> None:
    _, result = trained
    assert result["shared_prefix"] is True
    assert result["steps"] == 12
    assert result["examples"] == 12
    assert result["last_loss"] < 0.8 * result["first_loss"]
    assert result["peak_memory_bytes"] > 10_000_000


def test_metrics_hold_every_step(trained: tuple[Path, dict[str, Any]]) -> None:
    lines = [json.loads(line) for line in (trained[0] / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 13))
    assert {line["examples"] for line in lines} == {4}
    assert lines[0]["rate"] > 0  # a first step that changes nothing would be a wasted one
    assert max(line["rate"] for line in lines) == pytest.approx(_RECIPE.learning_rate)
    assert lines[-1]["rate"] < _RECIPE.learning_rate / 5


def test_twice_the_same_is_the_same_to_the_bit(
    trained: tuple[Path, dict[str, Any]], tiny_folder: Path, dataset: Path, tmp_path: Path
) -> None:
    again = run(tiny_folder, dataset, tmp_path / "again")
    assert again["adapter_digest"] == trained[1]["adapter_digest"] == lora.digest(tmp_path / "again" / "adapter")
    for name in (lora.WEIGHTS, lora.CONFIG):
        assert (tmp_path / "again/adapter" / name).read_bytes() == (trained[0] / "adapter" / name).read_bytes()


def test_another_seed_gives_another_adapter(
    trained: tuple[Path, dict[str, Any]], tiny_folder: Path, dataset: Path, tmp_path: Path
) -> None:
    other = run(tiny_folder, dataset, tmp_path / "other", Recipe(**{**as_dict(_RECIPE), "seed": 1}))
    assert other["adapter_digest"] != trained[1]["adapter_digest"]


def as_dict(recipe: Recipe) -> dict[str, Any]:
    return {name: getattr(recipe, name) for name in recipe.__struct_fields__}


def test_the_adapter_fits_its_base_and_changes_it(trained: tuple[Path, dict[str, Any]], tiny_folder: Path) -> None:
    model = load(tiny_folder).model
    ids = mx.array([[1, 2, 3]])
    before = np.array(model(ids))
    lora.attach(model, lora.read(trained[0] / "adapter"))
    assert np.abs(np.array(model(ids)) - before).max() > 1e-3
    lora.detach(model)
    assert (np.array(model(ids)) == before).all()


def test_a_single_step_changes_the_adapter(tiny_folder: Path, dataset: Path, tmp_path: Path) -> None:
    assert run(tiny_folder, dataset, tmp_path / "run", steps=1)["steps"] == 1


@pytest.mark.parametrize("rate", [1e25, float("nan")])
def test_a_loss_that_is_no_number_stops_the_run(tiny_folder: Path, dataset: Path, tmp_path: Path, rate: float) -> None:
    with pytest.raises(TrainingError, match="Lower the learning rate"):
        run(tiny_folder, dataset, tmp_path / "run", Recipe(**{**as_dict(_RECIPE), "learning_rate": rate}))
    assert not (tmp_path / "run" / "adapter").exists()


def test_a_rate_of_nothing_is_noticed(tiny_folder: Path, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DeadAdapter, match="changes nothing"):
        run(tiny_folder, dataset, tmp_path / "run", Recipe(**{**as_dict(_RECIPE), "learning_rate": 0.0}), steps=2)


@pytest.mark.parametrize(
    "messages", [[], [Message("user", "?")], [Message("assistant", "said to nobody")], [Message("system", "")]]
)
def test_examples_without_anything_to_learn(tiny_folder: Path, tmp_path: Path, messages: list[Message]) -> None:
    home = tmp_path / "datasets"
    made = write_dataset([Example("c", "r", [], messages, [])], Counter(), home, valid_share=0.0)
    with pytest.raises(DatasetError, match="anything to learn"):
        run(tiny_folder, Path(made.folder), tmp_path / "run")


def test_messages_that_are_not_chosen_teach_nothing(
    tiny_folder: Path, tmp_path: Path, trained: tuple[Path, dict[str, Any]]
) -> None:
    """Another gradient from the first step on, and nothing to learn where nothing is chosen."""
    folders = []
    for name, chosen in (("some", [[4], None]), ("none", [[], []])):
        examples = [msgspec.structs.replace(example(n), learnt=chosen[n % 2]) for n in range(12)]
        made = write_dataset(examples, Counter(), tmp_path / name, valid_share=0.0)
        folders.append(Path(made.folder))
    result = run(tiny_folder, folders[0], tmp_path / "run")
    assert result["first_loss"] != trained[1]["first_loss"]
    assert result["steps"] == trained[1]["steps"]
    with pytest.raises(DatasetError, match="anything to learn"):
        run(tiny_folder, folders[1], tmp_path / "nothing")


def test_an_empty_dataset(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").touch()
    with pytest.raises(DatasetError, match="none of the 0 examples"):
        run(tiny_folder, tmp_path, tmp_path / "run")


def test_everything_too_long(tiny_folder: Path, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="within 10 tokens"):
        run(tiny_folder, dataset, tmp_path / "run", Recipe(max_tokens=10))


def test_a_missing_dataset_and_a_missing_base(tiny_folder: Path, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        run(tiny_folder, tmp_path / "nowhere", tmp_path / "one")
    with pytest.raises(ModelError, match="no model in"):
        run(tmp_path / "nowhere", dataset, tmp_path / "two")


def test_a_base_that_memory_does_not_hold(tiny_folder: Path, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"take \d+\.\d GB on this machine, and 0\.0 GB of memory may be used"):
        run(tiny_folder, dataset, tmp_path / "run", memory=1000)


def test_steps_are_reported_as_they_are_made(tiny_folder: Path, dataset: Path, tmp_path: Path) -> None:
    steps: list[Step] = []
    train(Order(str(tiny_folder), str(dataset), _RECIPE, steps=3), tmp_path, steps.append)
    assert [(s.step, s.steps) for s in steps] == [(1, 3), (2, 3), (3, 3)]
    assert all(later.seconds >= sooner.seconds for sooner, later in pairwise(steps))


def test_an_epoch_is_all_examples_even_where_none_share_a_beginning(tiny_folder: Path, tmp_path: Path) -> None:
    examples = []
    for number in range(6):
        messages = [Message("system", f"{number}" * 40), Message("user", "?"), Message("assistant", f"{number}")]
        examples.append(Example(str(number), "r", [], messages, []))
    made = write_dataset(examples, Counter(), tmp_path, valid_share=0.0)
    recipe = Recipe(**{**as_dict(_RECIPE), "epochs": 1})
    steps: list[Step] = []
    train(Order(str(tiny_folder), made.folder, recipe), tmp_path, steps.append)
    assert sum(step.examples for step in steps) == 6


def test_the_default_recipe_is_not_hot() -> None:
    assert Recipe().learning_rate * Recipe().scale <= 5e-4  # what the field trains large models with


def start(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "distill.train", str(folder), *more]
    checkout = Path(__file__).resolve().parents[3]
    return subprocess.run(command, capture_output=True, text=True, cwd=checkout, timeout=90)


def order(folder: Path, base: Path, dataset: Path) -> None:
    recipe = as_dict(_RECIPE)
    (folder / "run.json").write_text(
        json.dumps({"base": str(base), "dataset": str(dataset), "recipe": recipe, "steps": 12})
    )


def test_as_a_process_it_makes_the_same_adapter(
    trained: tuple[Path, dict[str, Any]], tiny_folder: Path, dataset: Path, tmp_path: Path
) -> None:
    order(tmp_path, tiny_folder, dataset)
    done = start(tmp_path)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["step"] for line in done.stdout.splitlines()] == list(range(1, 13))
    assert json.loads((tmp_path / "result.json").read_text())["adapter_digest"] == trained[1]["adapter_digest"]


def test_as_a_process_it_says_in_one_line_what_is_wrong(tiny_folder: Path, tmp_path: Path) -> None:
    order(tmp_path, tiny_folder, tmp_path / "nowhere")
    done = start(tmp_path)
    assert done.returncode == 1
    assert "cannot be read" in done.stderr.splitlines()[-1]
    assert "distill/train/run.py" not in done.stderr  # no traceback
    assert not (tmp_path / "result.json").exists()


def test_a_process_whose_night_is_gone_ends(tiny_folder: Path, dataset: Path, tmp_path: Path) -> None:
    order(tmp_path, tiny_folder, dataset)
    done = start(tmp_path, str(os.getpid() + 1_000_000))
    assert done.returncode == 1
    assert "is gone" in done.stderr
    assert not (tmp_path / "result.json").exists()


def test_dora_is_trained_with_its_lengths(tiny_folder: Path, dataset: Path, tmp_path: Path) -> None:
    result = run(tiny_folder, dataset, tmp_path / "dora", Recipe(**{**as_dict(_RECIPE), "kind": "dora"}))
    assert result["last_loss"] < 0.8 * result["first_loss"]
    adapter = lora.read(tmp_path / "dora" / "adapter")
    assert lora.kind_of(adapter.config) == "dora"
    model = load(tiny_folder).model
    lengths = np.array(mx.linalg.norm(model.layers[2].mlp.up_proj.weight, axis=1))
    moved = np.abs(np.array(adapter.tensors["model.layers.2.mlp.up_proj.m"]) - lengths)
    assert moved.max() > 1e-3
