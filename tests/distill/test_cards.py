"""Adapters' folders are told whatever their cards are like."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from distill.cards import Part, card, cards

SHARE = {"hits": 57, "of": 66, "share": 0.86, "low": 0.8, "high": 0.9}
SCORE = {"items": 66, "exact_calls": SHARE, "right_answers": {**SHARE, "hits": 40}, "median_seconds": None}
VERDICT = {"passed": True, "reasons": [], "base": SCORE, "adapter": SCORE, "gained": 3, "lost": 1, "p_value": 0.01}


def made(home: Path, name: str, told: Any, weights: bool = True) -> Path:
    folder = home / name
    folder.mkdir()
    if weights:
        (folder / "adapters.safetensors").write_bytes(b"weights")
    if told is not None:
        (folder / "card.json").write_text(told if isinstance(told, str) else json.dumps(told))
    return folder


def test_a_night_s_card_is_read(tmp_path: Path) -> None:
    told = {"name": "one", "base": "small", "dataset": "abc", "run": "def", "recipe": {}, "verdict": VERDICT}
    found = card(made(tmp_path, "one", told))
    assert (found.base, found.dataset, found.run, found.passed, found.troubles) == ("small", "abc", "def", True, ())
    assert found.verdict is not None
    assert found.verdict.adapter is not None
    assert found.verdict.adapter.exact_calls == Part(57, 66)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (None, "no card.json"),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ("\ud7ff[" * 2000, "cannot be read"),
        ({"verdict": None}, "names no base"),
        ({"base": "small", "verdict": {"score": 3}}, "another version's"),
        ({"base": "small", "verdict": {"passed": True, "adapter": {"exact": 1}}}, "another version's"),
    ],
)
def test_what_is_wrong_with_a_card_is_told(tmp_path: Path, told: Any, words: str) -> None:
    found = card(made(tmp_path, "one", told))
    assert (found.verdict, found.passed) == (None, False)
    assert [words in trouble for trouble in found.troubles] == [True]


def test_adapters_are_listed_by_age_and_what_is_half_made_is_not(tmp_path: Path) -> None:
    for age, name in ((3, "b"), (9, "a"), (1, "c")):
        os.utime(made(tmp_path, name, {"base": "x"}) / "adapters.safetensors", (1000.0 - age, 1000.0 - age))
    made(tmp_path, ".d.partial", {"base": "x"})
    made(tmp_path, "empty", {"base": "x"}, weights=False)
    (tmp_path / "file").write_text("")
    assert [one.name for one in cards(tmp_path)] == ["empty", "a", "b", "c"]
    assert "no weights" in cards(tmp_path)[0].troubles[0]
    assert cards(tmp_path / "nowhere") == []
