"""What is read of a home: nights, what serves, days; and that what is damaged is passed over and mentioned."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from distill.night.diary import RECORD, Outcome
from gateway.answering.routing import Learning, Routing
from gateway.experiments.book import Entry
from gateway.morning.gathering import canary_of, gather
from gateway.morning.morning import CanaryNow, Morning
from gateway.settings import Home
from router.canary import CANDIDATE, INCUMBENT, begin
from router.certificate import RULE, Certificate, Missing, Proven, Scope
from router.experiment import Experiment, Variant
from router.groups import Group
from tests.gateway.morning.evenings import (
    DAY,
    NOW,
    add_adapter,
    add_dataset,
    add_day,
    add_night,
    go_live,
    home_in,
    marks,
    verdict_on,
)

PROVEN = Proven(0.8, 200, 2, 400, 0.001)
CERTIFICATE = Certificate(Scope("b", "a", "t", "large", RULE), {"call": PROVEN}, {"call": 0.05}, 0.05)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return home_in(tmp_path)


async def look(home: Home, days: int = 14) -> Morning:
    return await gather(home, "", days, NOW)


async def test_a_home_that_is_not_there_is_empty(tmp_path: Path) -> None:
    found = await look(Home(tmp_path / "none" / "data", tmp_path / "none" / "models"))
    assert found.empty
    assert (found.night, found.notes, len(found.days)) == (None, [], 14)
    assert not (tmp_path / "none").exists()


async def test_a_night_is_read_with_all_that_sat_its_examination(home: Home) -> None:
    whole = add_dataset(home, [1, 1, 2, 0])
    sat = {"served": marks(10), "teacher": marks(38)}
    mine = add_adapter(home, verdict_on(marks(30), sat["served"]), sat)
    add_night(home, "promoted", began=NOW - 2 * DAY, watermark=60)
    add_night(
        home,
        "promoted",
        watermark=100,
        conversations=40,
        new=12,
        datasets={"whole": whole},
        candidates=[mine],
        dropped={"loop": 3},
    )
    found = await look(home)
    night = found.night
    assert night is not None
    assert (night.traces, night.record.new, night.record.dropped) == (40, 12, {"loop": 3})
    chosen = night.chosen
    assert chosen is not None
    assert chosen.served is not None
    assert chosen.teacher is not None
    assert chosen.verdict is not None
    assert [s.exact_calls.hits for s in (chosen.served, chosen.verdict.adapter, chosen.teacher)] == [10, 30, 38]
    assert night.learnt is not None
    assert (night.learnt.conversations, night.learnt.without_tools) == (4, 0.25)
    assert night.learnt.calls == pytest.approx((1 + 1 + 2.5) / 4)
    assert [one.record.began for one in found.nights] == [NOW - 5 * 3600, NOW - 2 * DAY]
    assert found.notes == []


async def test_nights_before_the_period_are_left_out_and_the_last_one_is_always_told(home: Home) -> None:
    add_night(home, "refused", began=NOW - 9 * DAY)
    add_night(home, "promoted", began=NOW - 8 * DAY)
    found = await look(home, days=7)
    assert found.night is not None
    assert (found.night.record.outcome, found.nights) == ("promoted", [])


@pytest.mark.parametrize(
    ("outcomes", "count"),
    [
        (["promoted", "refused", "partial", "refused", "nothing", "refused"], 3),
        (["refused", "refused", "refused", "canary"], 0),
        (["refused"], 1),
    ],
)
async def test_nights_refused_in_a_row_are_counted_however_long_ago(
    home: Home, outcomes: list[Outcome], count: int
) -> None:
    for place, outcome in enumerate(reversed(outcomes)):
        add_night(home, outcome, began=NOW - (place + 1) * 5 * DAY)
    assert (await look(home, days=2)).refused == count


async def test_one_that_was_given_up_for_another_is_none(home: Home) -> None:
    add_night(home, "", began=NOW - 3 * DAY)
    add_night(home, "nothing", "nothing came")
    found = await look(home)
    assert [one.record.outcome for one in found.nights] == ["nothing"]


async def test_what_serves_is_told_with_its_card_and_certificate(home: Home) -> None:
    adapter = add_adapter(home, verdict_on(marks(30))).adapter
    go_live(home, adapter, before="small-old")
    missing: dict[Group, Missing] = {"text": Missing(30, 20, 3, None)}
    Routing(home).take(Learning(adapter, None, CERTIFICATE, missing, "9 of 20 were worse"))
    serving = (await look(home)).serving
    assert (serving.adapter, serving.before, serving.base) == (adapter, "small-old", "small")
    assert serving.learnt_until == NOW - DAY
    assert serving.certified["call"].coverage == 0.5
    assert (serving.missing["text"].errors, serving.broken) == (3, "9 of 20 were worse")


async def test_an_adapter_whose_folder_is_gone_does_not_serve(home: Home) -> None:
    adapter = add_adapter(home, verdict_on(marks(30))).adapter
    go_live(home, adapter)
    (home.models / "served" / "adapters.safetensors").unlink()
    (home.models / "adapters" / adapter / "adapters.safetensors").unlink(missing_ok=True)
    serving = (await look(home)).serving
    assert (serving.adapter, serving.missing_adapter) == ("", adapter)


def test_a_canary_is_read_as_the_gateway_tells_it() -> None:
    canary = begin(NOW)
    arms = Variant(INCUMBENT, 1 - canary.share), Variant(CANDIDATE, canary.share, adapter="small-2")
    entry = Entry(Experiment("canary-small-2", arms), NOW, canary=canary)
    notes: list[str] = []
    found = canary_of(msgspec.json.decode(msgspec.json.encode(entry)), notes)
    assert found == CanaryNow("small-2", 0.01, 0, 0, "")
    assert canary_of(None, notes) is None
    assert notes == []
    assert canary_of({"experiment": "?"}, notes) is None
    assert "canary" in notes[0]


async def test_days_are_added_up(home: Home) -> None:
    await add_day(home, 1, student=6, teacher=3, failed=1, cached=2, imported=5)
    await add_day(home, 0, stood_in=1)
    found = await look(home, days=3)
    before, yesterday, today = found.days
    assert (before.requests, before.student_share, before.medians) == (0, None, {})
    assert (yesterday.day, yesterday.requests, yesterday.student, yesterday.failed) == ("2026-11-26", 12, 8, 1)
    assert (yesterday.teacher, yesterday.teacher_failed) == (4, 1)
    assert yesterday.student_share == pytest.approx(8 / 12)
    assert yesterday.medians == {"student": 1.0, "teacher": 4.0}
    assert (yesterday.saved_seconds, yesterday.saved_tokens) == (pytest.approx(6 * 3.0), 600)
    assert (today.teacher, today.teacher_failed, today.student) == (1, 1, 1)
    assert (found.saved.requests, found.saved.seconds, found.saved.tokens) == (6, pytest.approx(18.0), 600)


async def test_seconds_saved_are_0_where_the_teacher_answered_nothing(home: Home) -> None:
    await add_day(home, 1, student=6, failed=2)
    found = await look(home)
    assert (found.saved.seconds, found.saved.teacher_mean, found.saved.tokens) == (0.0, None, 600)


async def test_what_is_damaged_is_passed_over_and_mentioned(home: Home) -> None:
    (home.data / "traces.db").write_bytes(b"no database at all" * 100)
    for name in ("live.json", "router.json"):
        (home.models / name).write_text("{")
    broken = add_night(home, "promoted", began=NOW - DAY)
    (home.data / "nights" / broken.name / RECORD).write_text("[]")
    mine = add_adapter(home, verdict_on(marks(30)))
    folder = home.models / "adapters" / mine.adapter
    (folder / "examination-teacher.jsonl").write_text("nothing\n")
    dataset = home.data / "datasets" / "whole"
    dataset.mkdir(parents=True)
    (dataset / "manifest.json").write_text("\xff", encoding="latin-1")
    add_night(home, "promoted", candidates=[mine], datasets={"whole": "whole"})
    found = await look(home)
    assert found.night is not None
    assert found.night.chosen is not None
    assert found.night.learnt is None
    told = "\n".join(found.notes)
    for name in ("traces.db", "live.json", "router.json", broken.name, "examination-teacher.jsonl", "manifest.json"):
        assert name in told


async def test_a_verdict_of_another_form_is_none(home: Home) -> None:
    mine = add_adapter(home, None)
    card = home.models / "adapters" / mine.adapter / "card.json"
    card.write_text(card.read_text().replace('"verdict": null', '"verdict": {"passed": "perhaps"}'))
    add_night(home, "refused", candidates=[mine])
    found = await look(home)
    assert found.night is not None
    assert found.night.candidates[0].verdict is None
    assert any(mine.adapter in note for note in found.notes)


async def test_a_name_that_leads_elsewhere_reads_nothing(home: Home) -> None:
    (home.data / "manifest.json").write_text('{"train": 7, "categories": {"a/1/text": 7}}')
    add_night(home, "promoted", datasets={"whole": ".."})
    found = await look(home)
    assert found.night is not None
    assert (found.night.learnt, found.notes) == (None, [])
