"""A teacher's probabilities: exact where all of them are told, kept in one bucket where not, refused where they are of
other tokens."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import msgspec
import numpy as np
import pytest

from distill.dataset import write_dataset
from distill.errors import DatasetError
from distill.mlx import attend
from distill.train import soft
from distill.train.losses import PlainLoss
from distill.train.making import loss_of
from distill.train.order import Order
from distill.train.recipe import Recipe
from distill.train.run import train
from tests.distill.train.conversations import family
from tests.distill.train.test_losses import adapted, same
from tests.distill.train.test_run import example

pytestmark = pytest.mark.school

RECIPE = Recipe(rank=4, layers=2, learning_rate=5e-3, epochs=4, batch=4, patience=0, soft=0.5, top=16)


@pytest.fixture(autouse=True)
def installed() -> None:
    attend.install()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("datasets")
    return Path(write_dataset([example(n) for n in range(24)], Counter(), home, valid_share=0.2).folder)


@pytest.mark.parametrize("top", [3, 8, 32])
def test_the_divergence_is_that_of_the_distributions(top: int) -> None:
    """With one bucket for all tokens but the likeliest."""
    rng = np.random.default_rng(top)
    student, teacher = rng.normal(size=(5, 32)) * 2, rng.normal(size=(5, 32)) * 3
    p, q = (np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True) for x in (teacher, student))
    ids = np.argsort(-p, axis=-1)[:, :top]
    shares = np.take_along_axis(p, ids, axis=-1)
    expected = (shares * np.log(shares / np.take_along_axis(q, ids, axis=-1))).sum(axis=-1)
    if top < 32:
        rest = [1 - shares.sum(axis=-1), 1 - np.take_along_axis(q, ids, axis=-1).sum(axis=-1)]
        expected += rest[0] * np.log(rest[0] / rest[1])
    found = soft.divergence(*(mx.array(x.astype(kind)) for x, kind in ((student, "f4"), (ids, "i4"), (shares, "f4"))))
    assert np.allclose(np.array(found), expected, atol=1e-5)


def test_who_is_the_teacher_diverges_by_nothing(make_model: Callable[..., nn.Module]) -> None:
    model, examples = make_model("llama"), family(2, 30, 2, 9)
    loss = loss_of(model, examples, 0, 10**9)
    targets = soft.asked(loss, examples, 4, 16)
    pulled = loss_of(model, examples, 0, 10**9, soft.Pull(targets, 1.0))
    learnt = sum(int(one.learnt.sum()) for one in examples)
    assert abs(pulled(pulled.prepare(range(9))).item()) / learnt < 1e-3
    assert loss(loss.prepare(range(9))).item() / learnt > 1


def test_sharing_changes_nothing_here_either(make_model: Callable[..., nn.Module]) -> None:
    examples = family(4, 30, 2, 9)
    teacher = make_model("llama", num_hidden_layers=2)
    targets = soft.asked(loss_of(teacher, examples, 0, 10**9), examples, 4, 16)
    plainly = soft.asked(PlainLoss(teacher, examples), examples, 4, 16)
    assert np.allclose(np.sort(targets.shares), np.sort(plainly.shares), atol=2e-3)
    pull, model = soft.Pull(targets, 0.7), adapted(make_model("llama"), 2)
    found = []
    for loss in (loss_of(model, examples, 1, 10**9, pull), PlainLoss(model, examples, pull)):
        found.append(nn.value_and_grad(model, loss)(loss.prepare([8, 2, 5, 0])))
    same(*found)


def test_they_survive_a_file(make_model: Callable[..., nn.Module], tmp_path: Path) -> None:
    examples = family(4, 30, 2, 5)
    made = soft.asked(loss_of(make_model("llama"), examples, 0, 10**9), examples, 2, 8)
    soft.save(made, tmp_path / "soft.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["soft.safetensors"]
    back = soft.read(tmp_path / "soft.safetensors", examples)
    assert (back.ids == made.ids).all()
    assert (back.shares == made.shares).all()
    with pytest.raises(DatasetError, match="other conversations"):
        soft.read(tmp_path / "soft.safetensors", examples[:3])
    (tmp_path / "soft.safetensors").write_bytes(b"half")
    with pytest.raises(DatasetError, match="damaged: delete the file"):
        soft.read(tmp_path / "soft.safetensors", examples)


def run(folder: Path, base: Path, dataset: Path, recipe: Recipe = RECIPE, **more: Any) -> dict[str, Any]:
    return train(Order(str(base), str(dataset), recipe, **more), folder, lambda step: None)


def test_a_run_learns_from_a_teacher_with_an_adapter(tiny_folder: Path, dataset: Path, tmp_path: Path) -> None:
    hot = msgspec.structs.replace(RECIPE, soft=0.0, epochs=8)
    run(tmp_path / "teacher", tiny_folder, dataset, hot)
    teacher = {"teacher": str(tiny_folder), "teacher_adapter": str(tmp_path / "teacher" / "adapter")}
    found = run(tmp_path / "student", tiny_folder, dataset, **teacher)
    assert found["last_loss"] < 0.7 * found["first_loss"]
    assert not (tmp_path / "student" / "soft.safetensors").exists()
    hard = run(tmp_path / "hard", tiny_folder, dataset, msgspec.structs.replace(RECIPE, soft=0.0))
    assert hard["adapter_digest"] != found["adapter_digest"]


def test_a_teacher_that_is_missing_or_speaks_otherwise_is_refused(
    tiny_folder: Path, dataset: Path, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match="names no teacher"):
        run(tmp_path / "one", tiny_folder, dataset)
    other = tmp_path / "other"
    shutil.copytree(tiny_folder, other)
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    first, second = list(vocabulary)[5:7]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(DatasetError, match=r"another vocabulary .* set soft to 0"):
        run(tmp_path / "two", tiny_folder, dataset, teacher=str(other))
