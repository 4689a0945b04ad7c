"""Two processes that share the work of a run end with the adapter that one makes, but for rounding."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import mlx.core as mx
import pytest

from distill.dataset import write_dataset
from distill.mlx import lora
from distill.train.order import Order, ordered, write_order
from distill.train.recipe import Recipe
from distill.train.run import train
from tests.distill.train.test_run import example

pytestmark = pytest.mark.school

ROOT = Path(__file__).resolve().parents[3]
RECIPE = Recipe(rank=4, layers=2, learning_rate=5e-3, epochs=3, batch=5, checkpoint=4, look=1, patience=0)


@pytest.mark.timeout(200)
def test_two_processes_make_the_same_adapter(tiny_folder: Path, tmp_path: Path) -> None:
    made = write_dataset([example(n) for n in range(21)], Counter(), tmp_path, valid_share=0.2)
    order = ordered(Order(str(tiny_folder), made.folder, RECIPE))
    alone = train(order, tmp_path / "one", lambda step: None)
    write_order(order, tmp_path / "two")
    launch = [str(Path(sys.executable).with_name("mlx.launch")), "-n", "2", "--backend", "ring"]
    done = subprocess.run(
        [*launch, sys.executable, "-m", "distill.train", str(tmp_path / "two")],
        cwd=ROOT, capture_output=True, text=True, timeout=150,
    )  # fmt: skip
    assert (tmp_path / "two" / "result.json").exists(), done.stdout + done.stderr
    together = json.loads((tmp_path / "two" / "result.json").read_text())
    assert together["steps"] == alone["steps"]
    assert together["last_loss"] == pytest.approx(alone["last_loss"], rel=1e-3)
    ours, theirs = (lora.read(tmp_path / name / "adapter").tensors for name in ("one", "two"))
    for name, expected in ours.items():
        off, size = mx.linalg.norm(theirs[name] - expected).item(), mx.linalg.norm(expected).item()
        assert off <= 1e-3 * size, name
