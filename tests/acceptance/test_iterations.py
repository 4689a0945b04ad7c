"""The plan's iterations by their commands: a real teacher, a real night, a real examination, all of it tiny."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.evening import NIGHT, SMALL, link_model
from tests.gateway.running import environment, free_port

pytestmark = [pytest.mark.model, pytest.mark.gateways, pytest.mark.timeout(600)]


def test_the_minimal_viable_experiment_goes_from_questions_to_what_follows(tmp_path: Path) -> None:
    """On no gateway that runs; the pivots are told, since so little teaches nothing. Then `refine` asks what fails."""
    link_model(tmp_path)
    (tmp_path / "small.toml").write_text(SMALL)
    (tmp_path / "nightschool.toml").write_text(NIGHT.replace("[night]", '[night]\nexamination = "small.toml"'))
    code, said = _command(tmp_path, "mve", "--total", "24", "--max-tokens", "24")
    assert code == 0, said
    parts = ("mve: 24 examples", "the night", "the examination 'quick'", "what follows", "Plan B", "Plan C", "Plan D")
    for part in parts:
        assert part in said, said
    code, said = _command(tmp_path, "refine", "--total", "8", "--max-tokens", "24")
    assert code == 0, said
    told = ("what fails: the examination 'small'", "refine: 8 examples", "the night", "the examination 'autonomous'")
    for part in (*told, "what follows"):
        assert part in said, said


def test_what_decides_is_not_learnt(tmp_path: Path) -> None:
    link_model(tmp_path)
    (tmp_path / "nightschool.toml").write_text(NIGHT.replace("[night]", '[night]\nexamination = "autonomous"'))
    code, said = _command(tmp_path, "refine", "--total", "8")
    assert code == 1
    assert "what fails in 'autonomous' is not asked for, since it decides" in said


def _command(home: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", *words, "--repo", "pluggy", "--config", "nightschool.toml"],
        env=environment(home, NIGHTSCHOOL_GATEWAY_PORT=str(free_port()), COLUMNS="200"),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr
