"""Each alarm with a morning that raises it and one that does not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from distill.examination.scores import score
from distill.night.diary import Candidate, Done, Noise, Outcome, Record
from gateway.morning.alarms import LOW_DISK, alarms
from gateway.morning.morning import DayTraffic, Diversity, Examined, Morning, Night, Saved, Serving
from router.certificate import Proven
from tests.gateway.morning.evenings import DAY, NOW, marks, verdict_on

PLENTY = int(LOW_DISK * 10)


def night(
    outcome: Outcome = "promoted", reason: str = "", *, ago: float = 0.2, goes_on: bool = False, **more: Any
) -> Night:
    record = Record("n", NOW - ago * DAY, 1, "i", outcome=outcome, reason=reason)
    record.ended = NOW - ago * DAY + 60 if outcome else None
    record.stages = {"label": Done(1.0, 1.0), "filter": Done(1.0, 1.0)}
    candidates = more.pop("candidates", [])
    record.chosen = candidates[0].adapter if candidates else ""
    return Night(record, 5, goes_on, candidates, **more)


def morning(last: Night | None = None, **more: Any) -> Morning:
    given: dict[str, Any] = {
        "nights": [last] if last is not None else [],
        "serving": Serving("small-1"),
        "canary": None,
        "days": [],
        "saved": Saved(),
        "disk_free": PLENTY,
        **more,
    }
    return Morning(at=NOW, night=last, **given)


def day(requests: int = 100, teacher: int = 100, teacher_failed: int = 0) -> DayTraffic:
    return DayTraffic("2026-11-26", requests, 0, teacher_failed, teacher, teacher_failed, 0.0, {}, 0.0, 0)


def examined(called: int, needless: int, served: tuple[int, int] | None = (20, 0)) -> Examined:
    old = score(marks(10, *served)) if served is not None else None
    return Examined("small-2", "", 0, False, 50, verdict_on(marks(30, called, needless)), old)


def test_a_good_morning_has_none() -> None:
    assert alarms(morning(night(candidates=[examined(20, 0)]), days=[day()])) == []
    assert alarms(morning()) == []


@pytest.mark.parametrize(
    ("last", "told"),
    [
        (night("", "disk full", goes_on=True), "cut short during 'train': disk full. Started again, it goes on"),
        (night("", "disk full", ago=2), "too old to be gone on with"),
        (night("", goes_on=True), "not over: it is at 'train' still, or was stopped or killed"),
        (night("partial", "its time was over during 'train'"), "cut short: its time was over during 'train'"),
    ],
    ids=["trouble", "long ago", "killed", "no time"],
)
def test_a_night_that_was_cut_short(last: Night, told: str) -> None:
    assert any(told in one for one in alarms(morning(last)))


@pytest.mark.parametrize("outcome", ["promoted", "canary", "refused", "nothing", "doubted"])
def test_one_that_ended_was_not(outcome: Outcome) -> None:
    assert alarms(morning(night(outcome))) == []


def test_conversations_that_are_too_long() -> None:
    last = night()
    last.record.candidates = [Candidate("small-2", "r", "d", wanted=20, too_long=2)]
    assert alarms(morning(last)) == []
    last.record.candidates = [Candidate("small-2", "r", "d", wanted=20, too_long=3)]
    [told] = alarms(morning(last))
    assert "small-2 was not trained on 3 of 20 conversations" in told
    assert "night.recipe.max_tokens" in told


def test_an_examination_that_is_chance() -> None:
    last = night()
    last.record.noise = Noise(12, 1)
    assert alarms(morning(last)) == []
    last.record.noise = Noise(12, 2)
    assert "answered 2 of 12 questions otherwise" in alarms(morning(last))[0]


def test_what_a_night_doubts() -> None:
    (told,) = alarms(morning(night("refused"), doubted={"20261126T010000Z-0a": 61}))
    assert told.startswith("Nights leave out 61 traces that 20261126T010000Z-0a doubts.")
    assert "`nightschool trust 20261126T010000Z-0a`" in told


def test_nights_refused_in_a_row() -> None:
    (told,) = alarms(morning(night("refused", "too few"), refused=3))
    assert "last 3 nights" in told
    assert "too few" in told
    (later,) = alarms(morning(night("nothing", "nothing came"), refused=4))
    assert later == "The last 4 nights that came to a verdict were refused."
    assert alarms(morning(night("refused", "too few"), refused=2)) == []


def test_other_turns_with_calls_than_before() -> None:
    before = Diversity(100, 2.0, 0.3)
    (more,) = alarms(morning(night(learnt=Diversity(100, 2.5, 0.3), before=before)))
    assert "more turns with calls" in more
    (fewer,) = alarms(morning(night(learnt=Diversity(100, 1.5, 0.3), before=before)))
    assert "fewer turns with calls" in fewer
    assert alarms(morning(night(learnt=Diversity(100, 2.3, 0.3), before=before))) == []
    assert alarms(morning(night(learnt=Diversity(100, 9.0, 0.3), before=None))) == []


def test_another_share_without_tools_than_before() -> None:
    def of(before: float, now: float) -> list[str]:
        return alarms(morning(night(learnt=Diversity(100, 2.0, now), before=Diversity(100, 2.0, before))))

    (told,) = of(0.3, 0.4)
    assert "40 %" in told
    assert "30 %" in told
    assert len(of(0.4, 0.3)) == 1
    assert of(0.3, 0.34) == []
    assert of(0.01, 0.05) == []  # a fifth of next to nothing


def test_calls_left_out_where_they_are_needed_or_made_where_not() -> None:
    (left_out,) = alarms(morning(night(candidates=[examined(10, 0)])))
    assert "less often where one is needed" in left_out
    assert "100 % before, 50 % now" in left_out
    (needless,) = alarms(morning(night(candidates=[examined(20, 12)])))
    assert "more often where none is needed" in needless
    assert alarms(morning(night(candidates=[examined(18, 2)]))) == []
    assert alarms(morning(night(candidates=[examined(10, 12, served=None)]))) == []


def test_a_certificate_that_was_withdrawn() -> None:
    (told,) = alarms(morning(serving=Serving("small-1", broken="9 of 20 were worse")))
    assert "withdrawn: 9 of 20 were worse" in told
    (again,) = alarms(
        morning(serving=Serving("small-1", broken="drift", certified={"call": Proven(0.8, 200, 2, 400, 0.001)}))
    )
    assert "earned another one" in again
    (other,) = alarms(morning(serving=Serving("small-1", teacher="large")))
    assert "another teacher (large)" in other
    assert alarms(morning(serving=Serving("small-1", certified={"call": Proven(0.8, 200, 2, 400, 0.001)}))) == []


def test_a_disk_that_is_nearly_full() -> None:
    (told,) = alarms(morning(disk_free=int(LOW_DISK) - 1))
    assert "5.0 GB are free" in told
    assert alarms(morning(disk_free=int(LOW_DISK))) == []


def test_a_teacher_that_fails() -> None:
    (told,) = alarms(morning(days=[day(), day(teacher=100, teacher_failed=30)]))
    assert "30 of the 200 requests" in told
    assert (
        alarms(morning(days=[day(teacher_failed=90), day(), day(teacher_failed=4)])) == []
    )  # what is long ago is over
    assert alarms(morning(days=[day(teacher=4, teacher_failed=2)])) == []  # chance
    (down,) = alarms(morning(up=True, teacher_down=True))
    assert "cannot be reached now" in down


def test_learning_that_is_paused() -> None:
    (told,) = alarms(morning(night(ago=4), days=[day()] * 7, paused="learning is paused: resume it"))
    assert told == "Learning is paused: resume it."


def test_days_without_a_night() -> None:
    asked, quiet = day(), msgspec.structs.replace(day(), requests=0)
    (told,) = alarms(morning(night(ago=4), days=[asked] * 7))
    assert "No night began for 4 days" in told
    assert alarms(morning(night(ago=4), days=[asked] * 3 + [quiet] * 4)) == []
    assert alarms(morning(night(ago=1.5), days=[asked] * 7)) == []


def test_an_adapter_that_should_serve_and_cannot() -> None:
    told = alarms(morning(serving=Serving("", missing_adapter="small-2")))
    assert told == [
        "small-2 should serve and cannot be loaded, so the base does: put its folder back, or say `nightschool "
        "rollback base`."
    ]
