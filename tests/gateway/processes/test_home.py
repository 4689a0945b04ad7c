"""One gateway a home."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import StartError
from gateway.processes.home import HomeLock
from tests.gateway.running import Running, Script, free_port, nightschool


def test_a_second_one_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    first, second = HomeLock(tmp_path / "data"), HomeLock(tmp_path / "data")
    first.take()
    with pytest.raises(StartError, match="another gateway serves the home"):
        second.take()
    first.leave()
    second.take()
    second.leave()


def test_another_gateway_says_why_it_does_not_start(tmp_path: Path) -> None:
    with Script() as model, Running(tmp_path, model.url, model.url) as gateway:
        gateway.wait_ready()
        other = nightschool(
            "serve",
            home=tmp_path,
            NIGHTSCHOOL_GATEWAY_PORT=str(free_port()),
            NIGHTSCHOOL_STUDENT_URL=model.url,
            NIGHTSCHOOL_TEACHER_URL=model.url,
        )
    assert other.returncode == 1
    assert "another gateway serves the home" in other.stderr
    assert "Traceback" not in other.stderr
