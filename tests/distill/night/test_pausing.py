"""Learning is paused until it is resumed or the time is over, and by a file that nobody can read, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.night.pausing import pause, paused, resume


def test_a_pause_lasts_until_it_is_resumed(tmp_path: Path) -> None:
    assert paused(tmp_path, 100.0) == ""
    assert not resume(tmp_path, 100.0)
    pause(tmp_path, 100.0)
    assert "resume-learning" in paused(tmp_path, 1e9)
    assert resume(tmp_path, 200.0)
    assert paused(tmp_path, 200.0) == ""


def test_a_pause_until_a_moment_ends_by_itself(tmp_path: Path) -> None:
    pause(tmp_path, 100.0)
    pause(tmp_path, 100.0, 1e9)
    assert "until 2001-09-0" in paused(tmp_path, 1e9 - 1)
    assert paused(tmp_path, 1e9) == ""
    assert not resume(tmp_path, 1e9)


@pytest.mark.parametrize("content", [b"", b"{", b'{"since": "x"}', b'{"since": 1, "until": 1e300}'])
def test_what_cannot_be_read_pauses(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "paused.json").write_bytes(content)
    assert "cannot be read" in paused(tmp_path, 100.0)
    assert resume(tmp_path, 100.0)
    assert paused(tmp_path, 100.0) == ""
