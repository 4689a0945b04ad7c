"""Which examination a night sits, by name or path, and what is kept out of lessons for its sake."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from distill.errors import QuestionError
from distill.examination.drawn import DrawnExamination
from distill.examination.frozen import FrozenExamination
from gateway.nightly import examination_named, reserved_by
from gateway.settings import shared


def test_examinations_that_ship_are_known_by_name() -> None:
    demo, full = examination_named("demo"), examination_named("full")
    assert isinstance(demo, DrawnExamination)
    assert isinstance(full, FrozenExamination)
    with pytest.raises(QuestionError, match="there are autonomous, demo, full, long, night, quick"):
        examination_named("none-such")


def test_one_of_ones_own_is_a_file_or_a_folder(tmp_path: Path) -> None:
    shutil.copy(shared("data", "examinations", "demo.toml"), tmp_path / "mine.toml")
    shutil.copytree(shared("data", "examinations", "quick"), tmp_path / "folder")
    assert examination_named(str(tmp_path / "mine.toml")).name == "demo"
    assert examination_named(str(tmp_path / "folder")).name == "quick"
    with pytest.raises(QuestionError, match="missing"):
        examination_named(str(tmp_path / "missing"))


def test_nothing_is_learnt_of_any_examination_that_ships() -> None:
    reserved = reserved_by(examination_named("demo"))
    assert {"litestar", "openai", "msgspec", "attr"} <= reserved
    for name in ("quick", "autonomous", "full"):
        assert set(examination_named(name).repositories) <= reserved
