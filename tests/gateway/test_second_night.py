"""A night beside a night, where no gateway runs: the second one hears of the first, and starts no gateway."""

from __future__ import annotations

from pathlib import Path

from distill.dataset import alone
from tests.acceptance.evening import NIGHT, link_model
from tests.gateway.running import free_port, nightschool


def test_the_second_night_hears_of_the_first(tmp_path: Path) -> None:
    link_model(tmp_path)
    (tmp_path / "nightschool.toml").write_text(NIGHT)
    with alone(tmp_path / "data" / "datasets"):
        done = nightschool("night", home=tmp_path, NIGHTSCHOOL_GATEWAY_PORT=str(free_port()))
    assert done.returncode == 1
    assert "another night is at work" in done.stdout + done.stderr
    assert not (tmp_path / "data" / "logs" / "night-gateway.log").exists()
