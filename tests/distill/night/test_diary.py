"""The diary of nights: what is written down, what is gone on with, and what a killed writer leaves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from distill.night.diary import RECORD, STAGES, Candidate, Diary, Done, NightElsewhere, NightStopped, Record, UnderWay

DAY = 86_400.0


def under_way(diary: Diary, record: Record, until: str | None = None) -> UnderWay:
    return UnderWay(diary, record, until, lambda: 7)  # type: ignore[arg-type]


def test_a_night_that_was_cut_short_is_gone_on_with(tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    first = diary.begin("inputs", 12, "a1", 1000.0)
    first.datasets = {"whole": "d1"}
    diary.write(first)
    again = Diary(tmp_path).begin("inputs", 99, "a2", 5000.0)
    assert (again.name, again.watermark, again.served, again.datasets) == (first.name, 12, "a1", {"whole": "d1"})


@pytest.mark.parametrize(
    ("inputs", "later"), [("others", 10.0), ("inputs", 1.5 * DAY + 1)], ids=["settings", "days later"]
)
def test_another_one_is_begun_where_that_makes_no_sense(tmp_path: Path, inputs: str, later: float) -> None:
    diary = Diary(tmp_path)
    first = diary.begin("inputs", 12, "", 1000.0)
    second = diary.begin(inputs, 99, "", 1000.0 + later)
    assert (second.watermark, second.name != first.name) == (99, True)
    given_up = next(one for one in diary.newest_first() if one.name == first.name)
    assert (given_up.outcome, given_up.ended) == ("abandoned", 1000.0 + later)
    assert diary.last_ended() is None


def test_a_night_that_ended_is_not_gone_on_with(tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    diary.end(diary.begin("inputs", 12, "", 1000.0), "refused", "no better", 2000.0)
    last = diary.last_ended()
    assert last is not None
    assert (last.outcome, last.reason) == ("refused", "no better")
    assert diary.begin("inputs", 20, "", 3000.0).watermark == 20


def test_a_night_of_another_machine_is_left_alone_while_it_is_heard_of(tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    theirs = diary.begin("inputs", 12, "", 1000.0)
    theirs.host = "elsewhere"
    diary.write(theirs)
    file = tmp_path / theirs.name / RECORD
    os.utime(file, (5000.0, 5000.0))
    with pytest.raises(NightElsewhere, match="the machine elsewhere is at a night of this home"):
        diary.begin("inputs", 13, "", 5100.0)
    assert diary.begin("inputs", 13, "", 5000.0 + 7300).name == theirs.name  # nothing was heard of it


def test_stages_are_written_down_as_they_end(tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    night = under_way(diary, diary.begin("inputs", 1, "", 0.0))
    with night.stage("label"):
        assert not night.over("label")
    (read,) = diary.newest_first()
    assert list(read.stages) == ["label"]
    assert read.stages["label"].memory == 7
    with night.stage("train"):
        night.saw(5)
        night.saw(70)
        night.saw(6)
    assert night.record.stages["train"].memory == 70
    with pytest.raises(ValueError, match="broken"), night.stage("filter"):
        raise ValueError("broken")
    assert not night.over("filter")


@pytest.mark.parametrize("stage", STAGES[:-1])
def test_it_stops_after_the_stage_that_is_named_and_keeps_it(tmp_path: Path, stage: str) -> None:
    diary = Diary(tmp_path)
    night = under_way(diary, diary.begin("inputs", 1, "", 0.0), stage)
    with pytest.raises(NightStopped, match=f"stopped after '{stage}'"):
        _through(night)
    (read,) = diary.newest_first()
    assert list(read.stages) == list(STAGES[: STAGES.index(stage) + 1])  # type: ignore[arg-type]
    assert diary.begin("inputs", 2, "", 1.0).name == read.name


def _through(night: UnderWay) -> None:
    for stage in STAGES:
        with night.stage(stage):
            pass


def test_verdicts_are_counted_by_what_was_asked(tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    for number, (questions, verdict) in enumerate([("q1", {"passed": True}), ("q1", None), ("q2", {"passed": False})]):
        record = diary.begin("inputs", number, "", number * 10.0)
        record.questions, record.candidates = questions, [Candidate("a", "r", "d", verdict=verdict)]
        diary.end(record, "refused", "", number * 10.0 + 5)
    assert [diary.verdicts_on(name) for name in ("q1", "q2", "q3")] == [1, 1, 0]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1]", b'{"name":"other"}'], ids=repr)
def test_a_damaged_record_is_passed_over(tmp_path: Path, content: bytes) -> None:
    diary = Diary(tmp_path)
    kept = diary.begin("inputs", 1, "", 0.0)
    (tmp_path / "20990101T000000Z-00000000").mkdir()
    (tmp_path / "20990101T000000Z-00000000" / RECORD).write_bytes(content)
    assert [one.name for one in diary.newest_first()] == [kept.name]


def test_a_disk_that_is_full_hides_no_reason(tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    night = under_way(diary, diary.begin("inputs", 1, "", 0.0))
    (tmp_path / night.record.name).rename(tmp_path / "moved")
    night.cut_short("the disk is full")  # does not raise
    assert night.record.reason == "the disk is full"


def test_one_that_was_killed_after_its_promotion_did_promote(tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    first = diary.begin("inputs", 12, "a1", 1000.0)
    first.candidates = [Candidate("a2", "run", "d1", "a1", 0, {"passed": True})]
    diary.write(first)
    diary.begin("others", 20, "a2", 2000.0)
    last = diary.last_ended()
    assert last is not None
    assert (last.name, last.outcome, last.chosen, last.serves) == (first.name, "promoted", "a2", "a2")


def test_one_that_was_killed_while_its_adapter_was_on_trial_has_a_canary(tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    first = diary.begin("inputs", 12, "a1", 1000.0)
    first.candidates = [Candidate("a2", "run", "d1", "a1", 0, {"passed": True})]
    diary.write(first)
    diary.begin("others", 20, "a1", 2000.0, {"a2"})
    last = diary.last_ended()
    assert last is not None
    assert (last.name, last.outcome, last.chosen, last.serves) == (first.name, "canary", "a2", "a1")


def test_a_night_under_a_clock_that_ran_ahead_counts_no_more_once_that_is_set(tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    for began in (1000.0, 9000.0):
        night = diary.begin("inputs", 1, "", began)
        night.stages = {"filter": Done(began, 1.0)}
        diary.end(night, "nothing", "", began + 10)
    last = diary.last_ended(3000.0)
    assert last is not None
    assert (last.began, diary.last_began(None, 3000.0)) == (1000.0, 1000.0)


def test_there_is_nothing_after_the_last_stage_to_stop_before(tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    last = under_way(diary, diary.begin("inputs", 1, "", 1000.0), STAGES[-1])
    with last.stage(STAGES[-1]):
        pass
    last.end("promoted", "")


def test_a_night_that_ended_keeps_its_reason(tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    at_work = under_way(diary, diary.begin("inputs", 1, "", 1000.0))
    at_work.end("refused", "no better")
    at_work.cut_short("the disk is full")
    assert [one.reason for one in diary.newest_first()] == ["no better"]


@pytest.mark.parametrize(
    ("outcome", "stages", "counts"),
    [
        ("nothing", ["label"], True),
        ("doubted", ["label"], True),
        ("partial", ["label"], False),  # its time was over before it looked
        ("partial", ["label", "filter"], True),
        ("abandoned", ["label"], False),
    ],
)
def test_only_a_night_that_looked_at_what_came_counts(
    tmp_path: Path, outcome: Any, stages: list[str], counts: bool
) -> None:
    diary = Diary(tmp_path)
    night = diary.begin("inputs", 1, "", 1000.0)
    night.stages = {name: Done(1500.0, 1.0) for name in stages}
    diary.end(night, outcome, "", 2000.0)
    assert diary.last_began(diary.begin("inputs", 2, "", 3000.0), 3000.0) == (1000.0 if counts else 0.0)


_TWO = (("a2", "a1"), ("a3", ""))  # one trained further, one from the base


def judged(diary: Diary, outcome: str = "refused", *, passed: bool = False, **more: object) -> None:
    record = diary.begin("inputs", 1, "a1", 1000.0)
    record.datasets, record.outcome = {"whole": "d1"}, outcome  # type: ignore[assignment]
    record.candidates = [Candidate(name, "run", "d1", parent, 0, {"passed": passed}) for name, parent in _TWO]
    record.ended = 2000.0
    for name, value in more.items():
        setattr(record, name, value)
    diary.write(record)


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({}, True),
        ({"passed": True}, False),  # and was not put to work, by a pin: it may be now
        ({"outcome": "promoted"}, False),
        ({"served": "a0"}, False),
        ({"inputs": "others"}, False),
        ({"datasets": {"whole": "d2"}}, False),
        ({"steps": {"run": 7}}, False),  # it had time for a part only
        ({"steps": {"run": -1}}, False),  # and for this one for nothing
    ],
    ids=str,
)
def test_the_same_is_not_judged_twice(tmp_path: Path, more: dict[str, Any], found: bool) -> None:
    diary = Diary(tmp_path)
    judged(diary, **more)
    now = Record("now", 3000.0, 1, "inputs", "a1", datasets={"whole": "d1"})
    assert bool(diary.judged_before(now, 7)) is found
    assert not diary.judged_before(now, 1)  # each night has one from the base


def test_a_night_s_own_candidates_say_nothing_of_what_was_due(tmp_path: Path) -> None:
    """Killed once it had examined the one from the base that was due, it goes on with it."""
    diary = Diary(tmp_path)
    judged(diary, candidates=[Candidate("a2", "run", "d1", "a1", 0, {"passed": False})])
    now = diary.begin("inputs", 1, "a1", 3000.0)
    now.datasets = {"whole": "d1"}
    assert not diary.judged_before(now, 2)
    now.candidates = [Candidate("a3", "run", "d1", "", 0, {"passed": True})]
    diary.write(now)
    assert not diary.judged_before(now, 2)
