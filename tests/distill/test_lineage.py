"""Which adapters saw a trace, those that were trained further included."""

from __future__ import annotations

import json
from pathlib import Path

from distill.lineage import adapters_that_saw


def written(path: Path, **told: object) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(told))


def test_an_adapter_that_was_trained_further_saw_what_the_one_before_it_did(tmp_path: Path) -> None:
    data, models = tmp_path / "data", tmp_path / "models"
    written(data / "datasets" / "d1" / "manifest.json", traces=["t1", "t2"])
    written(data / "datasets" / "d2" / "manifest.json", traces=["t3"])
    written(models / "adapters" / "first" / "card.json", dataset="d1")
    written(models / "adapters" / "second" / "card.json", dataset="d2", parent="first")
    written(models / "adapters" / "third" / "card.json", dataset="d2", parent="second")
    written(models / "adapters" / "other" / "card.json", dataset="d2", parent="")
    assert adapters_that_saw(["t1"], data, models) == {"first": 1, "second": 1, "third": 1}
    assert adapters_that_saw(["t3"], data, models) == {"second": 1, "third": 1, "other": 1}
    assert adapters_that_saw(["t9"], data, models) == {}


def test_adapters_that_name_each_other_end_somewhere(tmp_path: Path) -> None:
    written(tmp_path / "adapters" / "a" / "card.json", dataset="d", parent="b")
    written(tmp_path / "adapters" / "b" / "card.json", dataset="d", parent="a")
    assert adapters_that_saw(["t1"], tmp_path, tmp_path) == {}
