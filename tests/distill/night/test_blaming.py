"""When a night suspects what came, when it doubts it at once, and when something else may be at fault."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from distill.examination.drawn import DrawnExamination
from distill.examination.marking import Mark
from distill.examination.scores import score
from distill.gate import Verdict
from distill.night.blaming import blame, harmed, ruined
from distill.night.diary import Candidate, Diary, Noise, Record
from distill.night.doubting import doubt, doubted, doubting, trust
from distill.night.settings import NightSettings
from distill.succession import succession
from distill.train.recipe import Recipe

LEVEL = 0.0036
FIRST, SECOND, THIRD = (f"2026112{day}T010000Z-aa" for day in (5, 6, 7))
RECIPE = Recipe()


def marks(exact: int) -> list[Mark]:
    return [Mark(f"q{number}", "search", True, True, number < exact, number < exact, 1.0) for number in range(100)]


def night(exact: int, parent: str = "a1", name: str = SECOND) -> Record:
    """One in which an adapter that knew all was trained further and knows so much now."""
    beside = succession("a1", marks(100), marks(exact), LEVEL, 0.05)
    told = Verdict(False, [], score(marks(0)), score(marks(exact)), exact, 0, 1.0, beside)
    made = Candidate("a2", "r", "d", parent, verdict=msgspec.to_builtins(told))
    return Record(name, 0.0, 0, "", served="a1", ended=1.0, outcome="refused", candidates=[made])


@pytest.fixture
def chosen(tmp_path: Path) -> NightSettings:
    """The adapter a1 serves; the first night made it of the trace t1."""
    adapter, base, data = tmp_path / "models" / "adapters" / "a1", tmp_path / "small", tmp_path / "data"
    for folder in (adapter, base, data):
        folder.mkdir(parents=True)
    (adapter / "adapters.safetensors").write_bytes(b"adapter")
    card = {"base": "small", "night": FIRST, "recipe": msgspec.to_builtins(RECIPE)}
    (adapter / "card.json").write_text(json.dumps(card))
    keep(data, Record(FIRST, 0.0, 0, "", ended=1.0, outcome="promoted"), "t1")
    nobody = DrawnExamination("none", 1, [], 0, 0)
    return NightSettings(data, tmp_path / "models", base, tmp_path, tmp_path, nobody, {}, 0)


def keep(data: Path, record: Record, *learnt: str) -> None:
    (data / "nights" / record.name).mkdir(parents=True)
    Diary(data / "nights").write(record)
    Diary(data / "nights").learnt(record, learnt)


def test_a_night_tells_whether_training_what_serves_further_made_it_worse() -> None:
    assert harmed(night(85))
    assert not harmed(night(98))
    assert not harmed(night(60, parent=""))  # from the base: not what came is at fault
    assert not harmed(Record("n", 0.0, 0, "", served="a1", candidates=[Candidate("a2", "r", "d", "a1")]))


def test_more_than_chance_loses_ruins_and_an_engine_that_is_not_itself_shows_nothing() -> None:
    assert ruined(night(70))
    assert not ruined(night(85))
    strange = night(70)
    strange.noise = Noise(12, 4)
    assert not ruined(strange)
    strange.noise = Noise(12, 1)
    assert ruined(strange)


def test_what_ruins_is_doubted_at_once(chosen: NightSettings) -> None:
    keep(chosen.data, night(70), "t1", "t2", "t3")
    told = blame(chosen, RECIPE, night(70))
    assert told.startswith("2 traces that did it are left out")
    assert f"nightschool trust {SECOND}" in told
    assert doubted(chosen.data / "nights") == {"t2", "t3"}


def test_what_harms_is_doubted_the_second_time(chosen: NightSettings) -> None:
    keep(chosen.data, night(85), "t1", "t2")
    assert blame(chosen, RECIPE, night(85)) == ""
    assert doubting(chosen.data / "nights") == {}
    keep(chosen.data, night(85, name=THIRD), "t1", "t2", "t3")
    assert blame(chosen, RECIPE, night(85, name=THIRD)).startswith("1 traces")
    assert doubted(chosen.data / "nights") == {"t2"}


def test_no_day_is_doubted_at_once_for_another_recipe(chosen: NightSettings) -> None:
    keep(chosen.data, night(70), "t1", "t2")
    assert blame(chosen, Recipe(learning_rate=1.0), night(70)) == ""


def test_no_day_is_doubted_at_once_beside_what_somebody_trusts(chosen: NightSettings) -> None:
    keep(chosen.data, night(70), "t1", "t2")
    doubt(chosen.data / "nights", SECOND, ["t2"])
    trust(chosen.data / "nights", SECOND)
    keep(chosen.data, night(70, name=THIRD), "t1", "t2", "t3")
    assert blame(chosen, RECIPE, night(70, name=THIRD)) == ""
    assert doubted(chosen.data / "nights") == frozenset()


def test_no_day_is_doubted_at_once_beside_what_an_earlier_night_bore(chosen: NightSettings) -> None:
    """The earlier night's days may be at fault now, or not: the next night shows it."""
    keep(chosen.data, night(99), "t1", "t2")
    keep(chosen.data, night(70, name=THIRD), "t1", "t2", "t3")
    assert blame(chosen, RECIPE, night(70, name=THIRD)) == ""
    assert doubting(chosen.data / "nights") == {}
