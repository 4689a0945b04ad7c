"""Who is compared with whom at night, and what says nothing of a model."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from distill.dataset import Dataset
from distill.examination.answers import Answered
from distill.examination.drawn import DrawnExamination
from distill.examination.marking import Mark
from distill.night.candidates import Served, orders, served
from distill.night.diary import Candidate, Record, from_base_due
from distill.night.judging import Sat, verdict_of
from distill.night.settings import NightSettings
from distill.train.order import base_digest
from distill.train.recipe import Recipe

LEVEL = 0.0036


def sat(exact: list[bool], failed: int = 0, now: bool = True, memory: int = 0) -> Sat:
    """Answers, of which the first ones could not be had."""
    answers = []
    for number, one in enumerate(exact):
        end = "error" if number < failed else "answered"
        good = one and end == "answered"
        answers.append(Answered(Mark(f"q{number}", "search", True, True, good, good, 1.0, end=end), "", ""))
    return Sat(answers, memory, now)


def test_what_an_endpoint_failed_to_answer_makes_nobody_better() -> None:
    alike = [number % 10 < 7 for number in range(150)]
    found = verdict_of({"base": sat(alike, failed=15), "adapter": sat(alike)}, None, LEVEL, 0.05)
    assert (found.passed, found.gained, found.lost) == (False, 0, 0)
    assert found.base.items == found.adapter.items == 135


def test_a_base_with_a_prompt_has_to_be_beaten_too() -> None:
    mine, base = sat([True] * 100), sat([False] * 100)
    assert verdict_of({"base": base, "adapter": mine}, None, LEVEL, 0.05).passed
    found = verdict_of({"base": base, "prompt-only": sat([True] * 99 + [False]), "adapter": mine}, None, LEVEL, 0.05)
    assert "than the base with a prompt" in found.reasons[0]


def test_what_serves_has_to_be_equalled() -> None:
    old = Served("a1", Path(), {})
    arms = {
        "base": sat([False] * 100),
        "served": sat([True] * 90 + [False] * 10),
        "adapter": sat([True] * 60 + [False] * 40),
    }
    found = verdict_of(arms, old, LEVEL, 0.05)
    assert not found.passed
    assert found.succession is not None
    assert found.succession.lost == 30


def test_memory_is_compared_where_both_were_asked_just_now() -> None:
    base, heavy = [False] * 40, [True] * 40
    both = {"base": sat(base, memory=5 << 30), "adapter": sat(heavy, memory=9 << 30)}
    assert not verdict_of(both, None, LEVEL, 0.05).passed
    apart = {"base": sat(base, memory=5 << 30, now=False), "adapter": sat(heavy, memory=9 << 30)}
    assert verdict_of(apart, None, LEVEL, 0.05).passed


def test_one_of_so_many_nights_begins_at_the_base() -> None:
    def night(*parents: str) -> Record:
        return Record("n", 0.0, 0, "", candidates=[Candidate("a", "r", "d", parent) for parent in parents])

    assert from_base_due([], 7)
    assert not from_base_due([night("a1"), night("")], 7)
    assert not from_base_due([night("a1")] * 5 + [night("")], 7)
    assert from_base_due([night("a1")] * 6 + [night("")], 7)
    assert from_base_due([night("")], 1)


def test_a_name_that_leads_elsewhere_serves_nothing(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "adapters.safetensors").write_bytes(b"weights")
    (tmp_path / "models" / "adapters").mkdir(parents=True)
    for name in ("", "..", "../../outside", str(outside), ".hidden"):
        assert served(tmp_path / "models", name, tmp_path) is None
    (tmp_path / "models" / "adapters" / "a1").mkdir()
    assert served(tmp_path / "models", "a1", tmp_path) is None
    (tmp_path / "models" / "adapters" / "a1" / "adapters.safetensors").write_bytes(b"weights")
    found = served(tmp_path / "models", "a1", tmp_path)
    assert found is not None
    assert (found.card, found.learnt(tmp_path)) == ({}, frozenset())


def test_what_was_trained_from_another_base_is_not_trained_further(tmp_path: Path) -> None:
    """The student was exchanged for a larger one, or for the same with other weights."""
    base, folder = tmp_path / "small", tmp_path / "models" / "adapters" / "small-1"
    for path in (base, folder):
        path.mkdir(parents=True)
    (base / "model.safetensors").write_bytes(b"weights")
    (folder / "adapters.safetensors").write_bytes(b"adapter")
    card = {"base": "small", "base_digest": base_digest(base)}
    (folder / "card.json").write_text(json.dumps(card))
    assert served(tmp_path / "models", "small-1", base) is not None
    (folder / "card.json").write_text(json.dumps({"base": "small"}))  # made before cards told
    assert served(tmp_path / "models", "small-1", base) is not None
    (folder / "card.json").write_text(json.dumps({**card, "base": "large"}))
    assert served(tmp_path / "models", "small-1", base) is None
    (folder / "card.json").write_text(json.dumps(card))
    (base / "model.safetensors").write_bytes(b"other weights")
    assert served(tmp_path / "models", "small-1", base) is None


def test_an_adapter_is_trained_further_only_where_it_counts_as_much_as_before(tmp_path: Path) -> None:
    base, data = tmp_path / "small", tmp_path / "data"
    for path in (base, data):
        path.mkdir()
    nobody = DrawnExamination("none", 1, [], 0, 0)
    chosen = NightSettings(tmp_path, tmp_path, base, tmp_path, tmp_path, nobody, {}, 0)
    learnt, recipe = Dataset(str(data), "d1", 9, 1), Recipe(scale=4.0)
    for scale, parents in ((4.0, ["a1"]), (2.0, [""])):
        made = msgspec.to_builtins(msgspec.structs.replace(recipe, scale=scale))
        old = Served("a1", tmp_path / "a1", {"recipe": made})
        found = orders(chosen, recipe, learnt, learnt, old, from_base=False)
        assert [Path(one.warm).name if one.warm else "" for one in found] == parents
