"""A run that is killed, at any moment, ends with the adapter that it would have ended with."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
import msgspec
import pytest

from distill.dataset import write_dataset
from distill.errors import DatasetError
from distill.mlx import lora
from distill.train.checkpoints import Checkpoints, State
from distill.train.group import Group
from distill.train.loop import Loop, rate_at
from distill.train.losses import Each, Loss, Tell, hard
from distill.train.order import Order, name_of, ordered, read_order, write_order
from distill.train.recipe import Recipe
from distill.train.record import Step
from distill.train.run import follow, made_ready, train
from tests.distill.train.test_run import example

pytestmark = pytest.mark.school

ROOT = Path(__file__).resolve().parents[3]
RECIPE = Recipe(
    rank=4, layers=2, learning_rate=5e-3, epochs=6, batch=4, dropout=0.1, checkpoint=3, look=0.5, patience=0
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("datasets")
    return Path(write_dataset([example(n) for n in range(40)], Counter(), home, valid_share=0.2).folder)


@pytest.fixture(scope="module")
def whole(tiny_folder: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The run that nobody disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, train(Order(str(tiny_folder), str(dataset), RECIPE), folder, lambda step: None)


def told(folder: Path) -> list[Step]:
    return [msgspec.json.decode(line, type=Step) for line in (folder / "metrics.jsonl").read_bytes().splitlines()]


def curve(folder: Path) -> list[tuple[float, float, float]]:
    return [(step.loss, step.norm, step.rate) for step in told(folder)]


def test_it_looks_at_what_is_kept_apart_and_leaves_no_checkpoints(whole: tuple[Path, dict[str, Any]]) -> None:
    folder, result = whole
    looks = [step.look for step in told(folder) if step.look]
    assert len(looks) >= 10
    best = max(looks, key=lambda seen: (seen.exact, -seen.loss))
    assert result["best"] == msgspec.to_builtins(best)
    assert not (folder / "checkpoints").exists()


@pytest.mark.parametrize("after", [1, 2, 3, 4, 17, 30])
def test_a_run_cut_short_goes_on(
    whole: tuple[Path, dict[str, Any]], tiny_folder: Path, dataset: Path, tmp_path: Path, after: int
) -> None:
    class Cut(Exception):
        pass

    def report(step: Step) -> None:
        if step.step == after:
            raise Cut

    order = Order(str(tiny_folder), str(dataset), RECIPE)
    with pytest.raises(Cut):
        train(order, tmp_path, report)
    assert (tmp_path / "checkpoints").exists()
    again = train(order, tmp_path, lambda step: None)
    assert again["adapter_digest"] == whole[1]["adapter_digest"]
    assert curve(tmp_path) == curve(whole[0])
    assert [step.step for step in told(tmp_path)] == list(range(1, whole[1]["steps"] + 1))


def _ordered(folder: Path, base: Path, dataset: Path) -> None:
    write_order(ordered(Order(str(base), str(dataset), RECIPE)), folder)


def _killed(folder: Path, moments: Iterator[float]) -> int:
    """Start the run, kill it after a moment, until it ends by itself; how often it was killed."""
    kills = 0
    while True:
        child = subprocess.Popen(
            [sys.executable, "-m", "distill.train", str(folder)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert child.stdout is not None
        if (moment := next(moments, None)) is not None:
            child.stdout.readline()  # it is under way
            time.sleep(moment)
            os.kill(child.pid, signal.SIGKILL)
        _, errors = child.communicate(timeout=100)
        if child.returncode == 0:
            return kills
        assert child.returncode == -signal.SIGKILL, errors.decode()
        kills += 1


def test_kill_9_costs_nothing(
    whole: tuple[Path, dict[str, Any]], tiny_folder: Path, dataset: Path, tmp_path: Path
) -> None:
    _ordered(tmp_path, tiny_folder, dataset)
    assert _killed(tmp_path, iter([0.0, 0.05, 0.15])) == 3
    assert json.loads((tmp_path / "result.json").read_bytes())["adapter_digest"] == whole[1]["adapter_digest"]


@pytest.mark.school
@pytest.mark.timeout(300)
def test_kill_9_at_twenty_moments(
    whole: tuple[Path, dict[str, Any]], tiny_folder: Path, dataset: Path, tmp_path: Path
) -> None:
    rng, kills = random.Random(7), 0
    for attempt in range(100):
        folder = tmp_path / str(attempt)
        _ordered(folder, tiny_folder, dataset)
        kills += _killed(folder, (rng.uniform(0.0, 0.4) for _ in range(20 - kills)))
        assert json.loads((folder / "result.json").read_bytes())["adapter_digest"] == whole[1]["adapter_digest"]
        assert curve(folder) == curve(whole[0])
        if kills >= 20:
            return
    raise AssertionError("no run was ever under way long enough to be killed")


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for step in (3, 6):
        checkpoints.save(State(step=step), {"a": mx.ones(3) * step}, {"b": mx.ones(2)})
    assert checkpoints.last() is not None
    (tmp_path / "00000006" / "adapter.safetensors").write_bytes(b"half")
    kept = checkpoints.last()
    assert kept is not None
    assert (kept.state.step, kept.adapter["a"].tolist()) == (3, [3.0] * 3)
    (tmp_path / "00000003" / "state.json").write_text("{")
    assert checkpoints.last() is None


class OnceNoNumber:
    """A loss that is no number when it is asked for the eighth time, and another one's at all other times."""

    def __init__(self, loss: Loss) -> None:
        self._loss, self.asked = loss, 0

    def prepare(self, batch: Sequence[int]) -> Any:
        return self._loss.prepare(batch)

    def __call__(self, prepared: Any, /) -> mx.array:
        self.asked += 1
        return self._loss(prepared) * (float("nan") if self.asked == 8 else 1.0)

    def each(self, prepared: Any, tell: Tell, /) -> Each:
        return self._loss.each(prepared, tell)

    def run_tokens(self, batch: Sequence[int]) -> int:
        return self._loss.run_tokens(batch)


def test_a_loss_that_is_no_number_once_costs_half_the_rate(tiny_folder: Path, dataset: Path, tmp_path: Path) -> None:
    """Back to the last checkpoint, and on from there more slowly; what came before is not lost."""
    ready = made_ready(Order(str(tiny_folder), str(dataset), RECIPE), lambda renderer, examples: hard)
    loss = OnceNoNumber(ready.kit.loss)
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    loop = Loop(ready.kit._replace(loss=loss), RECIPE, ready.batches, checkpoints, ready.look_every, Group())
    reported: list[int] = []
    done = follow(loop, tmp_path / "metrics.jsonl", lambda step: reported.append(step.step))
    assert loop.state.slowed == 1
    assert reported[:9] == [1, 2, 3, 4, 5, 6, 7, 7, 8]
    steps = told(tmp_path)
    assert steps == done
    assert [step.step for step in steps] == list(range(1, len(ready.batches) + 1))
    assert steps[8].rate == pytest.approx(rate_at(RECIPE, 8, len(ready.batches)) / 2)


def test_other_inputs_than_those_ordered_are_refused(tiny_folder: Path, dataset: Path, tmp_path: Path) -> None:
    order = ordered(Order(str(tiny_folder), str(dataset), RECIPE))
    write_order(order, tmp_path)
    assert read_order(tmp_path) == order
    assert name_of(order) == name_of(msgspec.structs.replace(order, dataset="/elsewhere", memory=5))
    for field in ("base", "dataset"):
        with pytest.raises(DatasetError, match=f"the {field} in .* is not the one"):
            train(msgspec.structs.replace(order, **{f"{field}_digest": "0" * 64}), tmp_path, lambda step: None)


def test_a_run_starts_from_an_adapter(
    whole: tuple[Path, dict[str, Any]], tiny_folder: Path, dataset: Path, tmp_path: Path
) -> None:
    order = Order(str(tiny_folder), str(dataset), RECIPE, steps=3, warm=str(whole[0] / "adapter"))
    warm = train(order, tmp_path, lambda step: None)
    assert warm["first_loss"] < 0.7 * whole[1]["first_loss"]
    assert lora.read(tmp_path / "adapter").digest == warm["adapter_digest"] != whole[1]["adapter_digest"]
