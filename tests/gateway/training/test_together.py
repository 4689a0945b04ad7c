"""A run ordered by the command, trained by two processes of mlx.launch, published by the command."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import mlx.core as mx
import pytest

from distill.mlx import lora

from .conftest import ROOT, SETS, Command, Done, result, told

pytestmark = pytest.mark.school


@pytest.mark.timeout(300)
def test_the_launcher_goes_on_with_what_the_command_began(command: Command, trained: tuple[Command, Done]) -> None:
    with command.start(*SETS) as process:
        command.wait_for(4, process)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    (run,) = command.runs
    assert not (run / "result.json").exists()

    launch = [str(Path(sys.executable).with_name("mlx.launch")), "-n", "2", "--backend", "ring"]
    together = subprocess.run(
        [*launch, sys.executable, "-m", "distill.train", str(run)],
        cwd=ROOT, env=command.environment(), capture_output=True, text=True, timeout=150,
    )  # fmt: skip
    assert (run / "result.json").exists(), together.stdout + together.stderr
    steps = [step["step"] for step in told(run)]

    published = command(*SETS)
    assert published.returncode == 0, published.stderr
    assert "nothing is trained" in published.stdout
    (adapter,) = command.adapters
    whole = trained[0].runs[0]
    assert steps == [step["step"] for step in told(whole)]
    assert result(run)["last_loss"] == pytest.approx(result(whole)["last_loss"], rel=1e-3)
    for name, expected in lora.read(whole / "adapter").tensors.items():
        off = mx.linalg.norm(lora.read(adapter).tensors[name] - expected).item()
        assert off <= 1e-3 * mx.linalg.norm(expected).item(), name
