"""Nights that cannot begin: one is at work, or there is nothing to train. They say so, and what to do."""

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


def test_a_base_that_was_never_made_is_told_with_how_it_is(tmp_path: Path) -> None:
    (tmp_path / "nightschool.toml").write_text(NIGHT + '[student]\nmodel = "smollm2-135m"\n')
    for words in (("night",), ("night", "--dry-run")):
        done = nightschool(*words, home=tmp_path, NIGHTSCHOOL_GATEWAY_PORT=str(free_port()))
        said = " ".join((done.stdout + done.stderr).split())
        assert done.returncode == 1, said
        assert "smollm2-135m is missing or empty: nightschool models pull smollm2-135m" in said
