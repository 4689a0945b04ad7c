"""What nights leave, and what of it goes when."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from distill.night.retention import make_room

DAY = 86_400.0
NOW = 100 * DAY


def made(folder: Path, days_ago: float, card: dict[str, Any] | None = None) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapters.safetensors").write_bytes(b"weights")
    if card is not None:
        (folder / "card.json").write_text(json.dumps(card))
    for path in (*folder.iterdir(), folder):
        os.utime(path, (NOW - days_ago * DAY, NOW - days_ago * DAY))
    return folder


def card(passed: bool, parent: str = "") -> dict[str, Any]:
    return {"verdict": {"passed": passed}, "parent": parent}


def test_what_nobody_needs_goes_after_its_time(tmp_path: Path) -> None:
    data, models = tmp_path / "data", tmp_path / "models"
    old = {
        made(models / "runs" / "r1", 31),
        made(models / "adapters" / "refused", 31, {**card(False), "run": "r1"}),
        made(data / "sheets" / "q1", 31),
    }
    made(models / "runs" / "r2", 29)
    made(models / "runs" / "of-a-sweep", 90)
    made(models / "adapters" / "refused-lately", 29, card(False))
    made(models / "adapters" / "passed", 90, {**card(True), "run": "r2"})
    made(models / "adapters" / "hostile", 90, {**card(True), "run": "../../data/datasets/d1"})
    made(models / "adapters" / "imported", 90)
    made(data / "datasets" / "d1", 90)
    assert set(make_room(data, models, 30.0, NOW)) == old
    assert not any(path.exists() for path in old)
    assert {path.name for path in (models / "adapters").iterdir()} == {
        "refused-lately",
        "passed",
        "imported",
        "hostile",
    }
    assert (data / "datasets" / "d1").exists()
    assert make_room(data, models, 0.0, NOW * 10) == []


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("live.json", {"adapter": "needed"}),
        ("live.json", {"adapter": "other", "previous": {"adapter": "needed"}}),
        ("pin.json", {"adapter": "needed"}),
    ],
    ids=["live", "previous", "pinned"],
)
def test_what_the_gateway_names_stays_although_it_was_refused(
    tmp_path: Path, file: str, content: dict[str, Any]
) -> None:
    made(tmp_path / "adapters" / "needed", 90, card(False))
    (tmp_path / file).write_text(json.dumps(content))
    assert make_room(tmp_path / "data", tmp_path, 30.0, NOW) == []


def test_what_another_was_trained_from_stays(tmp_path: Path) -> None:
    made(tmp_path / "adapters" / "parent", 90, card(False))
    made(tmp_path / "adapters" / "child", 1, card(True, "parent"))
    assert make_room(tmp_path / "data", tmp_path, 30.0, NOW) == []


def test_damaged_files_are_no_reason_to_delete(tmp_path: Path) -> None:
    folder = made(tmp_path / "adapters" / "odd", 90)
    (folder / "card.json").write_bytes(b"[")
    (tmp_path / "live.json").write_bytes(b"\xff")
    assert make_room(tmp_path / "data", tmp_path, 30.0, NOW) == []


def test_half_of_a_folder_is_never_taken_for_a_whole_one(tmp_path: Path) -> None:
    """A night was killed while it deleted: what it began is gone by its name, and the next one deletes the rest."""
    data, models = tmp_path / "data", tmp_path / "models"
    left = made(models / "adapters" / ".refused.gone", 31)
    assert make_room(data, models, 30.0, NOW) == []
    assert not left.exists()
