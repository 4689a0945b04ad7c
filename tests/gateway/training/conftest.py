"""A home with a tiny model and a dataset, and the command as a process on it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distill.dataset import write_dataset
from tests.distill.conftest import make_model, make_tokenizer, tiny_folder
from tests.distill.train.test_run import example

__all__ = ["make_model", "make_tokenizer", "tiny_folder"]
ROOT = Path(__file__).resolve().parents[3]
RECIPE = ("rank=4", "layers=2", "learning_rate=5e-3", "epochs=2", "batch=4", "checkpoint=3", "look=0.5", "patience=0")
SETS = tuple(word for field in RECIPE for word in ("--set", field))

Done = subprocess.CompletedProcess[str]


def told(folder: Path) -> list[dict[str, Any]]:
    """The steps of a run that are written whole."""
    file = folder / "metrics.jsonl"
    lines = file.read_text().splitlines(keepends=True) if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def result(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


class Command:
    """`nightschool train` with a home of its own."""

    def __init__(self, home: Path, base: Path) -> None:
        self.home, self.base = home, base

    @property
    def runs(self) -> list[Path]:
        return sorted((self.home / "models" / "runs").glob("*"))

    @property
    def adapters(self) -> list[Path]:
        return sorted((self.home / "models" / "adapters").glob("*"))

    def line(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "gateway.cli", "train", "--base", str(self.base), *arguments]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "NIGHTSCHOOL_HOME": str(self.home), "COLUMNS": "140"}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
        try:
            return subprocess.Popen(
                self.line(*arguments), cwd=ROOT, env=self.environment(), stdout=pipe, stderr=pipe, text=True
            )
        finally:
            signal.signal(signal.SIGINT, before)

    def wait_for(self, steps: int, process: subprocess.Popen[str]) -> None:
        """Until a run of this home has done so many."""
        deadline = time.monotonic() + 60
        while not any(len(told(run)) >= steps for run in self.runs):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def __call__(self, *arguments: str) -> Done:
        return subprocess.run(
            self.line(*arguments), cwd=ROOT, env=self.environment(), capture_output=True, text=True, timeout=100
        )


@pytest.fixture(scope="session")
def make_command(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Command]:
    """A command on a home with a dataset of 40 conversations, some of them kept apart."""

    def make() -> Command:
        home = tmp_path_factory.mktemp("home")
        made = [example(number) for number in range(40)]
        write_dataset(made, Counter(), home / "data" / "datasets", valid_share=0.2)
        return Command(home, tiny_folder)

    return make


@pytest.fixture
def command(make_command: Callable[[], Command]) -> Command:
    return make_command()


@pytest.fixture(scope="session")
def trained(make_command: Callable[[], Command]) -> tuple[Command, Done]:
    """A run that nobody disturbed, and what the command said."""
    made = make_command()
    done = made(*SETS)
    assert done.returncode == 0, done.stderr
    return made, done
