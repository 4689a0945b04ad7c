"""What a run would take, measured before it: counts are exact, time and memory about right, and nothing is changed."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from distill.dataset import write_dataset
from distill.errors import DatasetError
from distill.train.measuring import measure
from distill.train.order import Order, ordered
from distill.train.recipe import Recipe
from distill.train.record import Step, read_taught
from distill.train.room import check_disk, disk_needed
from distill.train.run import train
from tests.distill.train.test_run import example

pytestmark = pytest.mark.school

RECIPE = Recipe(rank=4, layers=2, learning_rate=5e-3, epochs=5, batch=4, look=0.5, patience=0)
_OFF = 4.0  # times that an estimate may be off here, where other work may come and go


@pytest.fixture(scope="module")
def order(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Order:
    made = write_dataset([example(n) for n in range(40)], Counter(), tmp_path_factory.mktemp("data"), valid_share=0.2)
    return ordered(Order(str(tiny_folder), made.folder, RECIPE))


def test_an_estimate_is_about_what_the_run_takes(order: Order, tmp_path: Path) -> None:
    found = measure(order)
    done: list[Step] = []
    result = train(order, tmp_path / "run", done.append)
    assert found.taught == read_taught(tmp_path / "run")
    assert (found.steps, found.looks) == (result["steps"], sum(step.look is not None for step in done))
    assert found.run_tokens < sum(step.tokens for step in done)  # shared beginnings count once
    assert found.measured == 5
    assert result["seconds"] / _OFF < found.step_seconds + found.look_seconds < result["seconds"] * _OFF
    assert found.disk_bytes > sum(file.stat().st_size for file in (tmp_path / "run").rglob("*") if file.is_file())
    assert 0.5 * result["peak_memory_bytes"] < found.memory_bytes < 2 * result["peak_memory_bytes"]


def test_time_grows_with_the_run(order: Order) -> None:
    short, long = (measure(Order(order.base, order.dataset, RECIPE, steps=steps)) for steps in (4, 400))
    assert (short.steps, long.steps) == (4, 400)
    assert long.run_tokens == pytest.approx(100 * short.run_tokens, rel=0.1)
    assert 20 < long.step_seconds / short.step_seconds < 500


def test_it_refuses_what_training_would_refuse(order: Order, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        measure(Order(order.base, str(tmp_path), RECIPE))


def test_a_disk_with_too_little_room_is_refused_and_what_a_run_holds_counts(tmp_path: Path) -> None:
    needed = disk_needed(10**6, steps=100)
    assert needed > 10**6 * 14
    check_disk(tmp_path / "not" / "there", needed)
    free = shutil.disk_usage(tmp_path).free
    (tmp_path / "checkpoint").write_bytes(b"\0" * 50_000_000)
    check_disk(tmp_path, free - 10_000_000)
    with pytest.raises(DatasetError, match=r"the run needs .* MB .*: free some"):
        check_disk(tmp_path, free + 10**12)
