"""What a step takes of memory: no more than its parts, one after the other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.school
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def peaks() -> dict[str, int]:
    """In a process of its own, since MLX reads once how it is to go through a graph."""
    command = [sys.executable, "-m", "tests.distill.train.peaks"]
    told: dict[str, int] = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    return told


def test_logits_are_in_memory_a_few_at_a_time(peaks: dict[str, int]) -> None:
    assert peaks["many predictions"] < 1.5 * peaks["few predictions"]


def test_layers_that_are_computed_again_are_so_one_at_a_time(peaks: dict[str, int]) -> None:
    assert peaks["16 layers again"] < 0.2 * peaks["all layers kept"]
    assert peaks["16 layers again"] < 1.3 * peaks["8 layers again"]
