"""The plan's iterations by their commands: a real teacher, a real night, a real examination, all of it tiny."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.evening import NIGHT, SMALL, link_model
from tests.gateway.running import environment, free_port

pytestmark = [pytest.mark.model, pytest.mark.gateways, pytest.mark.timeout(600)]


def test_the_minimal_viable_experiment_goes_from_questions_to_what_follows(tmp_path: Path) -> None:
    """On no gateway that runs; the pivots are told, since so little teaches nothing."""
    link_model(tmp_path)
    (tmp_path / "small.toml").write_text(SMALL)
    (tmp_path / "nightschool.toml").write_text(NIGHT.replace("[night]", '[night]\nexamination = "small.toml"'))
    code, said = _command(tmp_path, "mve", "--total", "24", "--max-tokens", "24")
    assert code == 0, said
    parts = ("mve: 24 examples", "the night", "the examination 'quick'", "what follows", "Plan B", "Plan C", "Plan D")
    for part in parts:
        assert part in said, said


def test_refine_looks_what_fails_and_asks_for_that(tmp_path: Path) -> None:
    """Up to the night, which is as any other."""
    link_model(tmp_path)
    (tmp_path / "small.toml").write_text(SMALL)
    (tmp_path / "nightschool.toml").write_text(NIGHT.replace("[night]", '[night]\nexamination = "small.toml"'))
    said = _up_to("the night", tmp_path, "refine", "--total", "8", "--max-tokens", "24")
    assert said.index("what fails: the examination 'small'") < said.index("refine: 8 examples"), said
    assert len(list((tmp_path / "data" / "generated").glob("*/questions.jsonl"))) == 1


def test_what_decides_is_not_learnt(tmp_path: Path) -> None:
    link_model(tmp_path)
    (tmp_path / "nightschool.toml").write_text(NIGHT.replace("[night]", '[night]\nexamination = "autonomous"'))
    code, said = _command(tmp_path, "refine", "--total", "8")
    assert code == 1
    assert "what fails in 'autonomous' is not asked for, since it decides" in said


def _up_to(part: str, home: Path, *words: str) -> str:
    """What a command says until it says this; then it is ended."""
    command, options = _given(home, *words)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options) as running:
        said: list[str] = []
        for line in running.stdout or ():
            said.append(line)
            if f"─ {part} ─" in line:
                break
        running.terminate()
    return "".join(said)


def _given(home: Path, *words: str) -> tuple[list[str], dict[str, Any]]:
    command = [sys.executable, "-m", "gateway.cli", *words, "--repo", "pluggy", "--config", "nightschool.toml"]
    return command, {
        "env": environment(home, NIGHTSCHOOL_GATEWAY_PORT=str(free_port()), COLUMNS="200"),
        "cwd": home,
    }


def _command(home: Path, *words: str) -> tuple[int, str]:
    command, options = _given(home, *words)
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False, **options)
    return done.returncode, done.stdout + done.stderr
