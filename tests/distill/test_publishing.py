"""An adapter gets its name once, and a card with a verdict is not lost to one without."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from distill.errors import DatasetError
from distill.publishing import publish, write_card
from distill.train.order import Order, write_order
from distill.train.recipe import Recipe


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "one"
    write_order(Order("/models/small", "/data/abc", Recipe(rank=3), base_digest="b0"), folder)
    (folder / "adapter").mkdir()
    (folder / "adapter" / "adapters.safetensors").write_bytes(b"weights")
    return folder


def test_a_run_that_is_not_finished_has_no_adapter_to_publish(tmp_path: Path, run: Path) -> None:
    with pytest.raises(DatasetError, match="not finished"):
        publish(tmp_path, run)
    assert not (tmp_path / "adapters").exists()


def test_an_adapter_is_published_once(tmp_path: Path, run: Path) -> None:
    (run / "result.json").write_text(json.dumps({"adapter_digest": "0123456789abcdef"}))
    left = tmp_path / "adapters" / ".small-0123456789ab.partial"
    left.mkdir(parents=True)
    (left / "half").write_bytes(b"of another time")
    name, folder = publish(tmp_path, run)
    assert (name, folder) == ("small-0123456789ab", tmp_path / "adapters" / "small-0123456789ab")
    assert [path.name for path in folder.iterdir()] == ["adapters.safetensors"]
    (folder / "examination-base.jsonl").write_text("")
    assert publish(tmp_path, run) == (name, folder)
    assert (folder / "examination-base.jsonl").exists()
    assert [path.name for path in (tmp_path / "adapters").iterdir()] == [name]


def test_a_card_with_a_verdict_stays(tmp_path: Path, run: Path) -> None:
    folder = tmp_path / "small-0"
    folder.mkdir()
    write_card(folder, run, None)
    card = json.loads((folder / "card.json").read_text())
    assert card == {
        "name": "small-0",
        "base": "small",
        "base_digest": "b0",
        "dataset": "abc",
        "run": "one",
        "parent": "",
        "night": "",
        "recipe": msgspec.to_builtins(Recipe(rank=3)),
        "certificate": None,
        "verdict": None,
    }
    card["verdict"] = {"passed": True}
    (folder / "card.json").write_text(json.dumps(card))
    write_card(folder, run, None)
    assert json.loads((folder / "card.json").read_text())["verdict"] == {"passed": True}
