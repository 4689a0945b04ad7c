"""When a night is due, and the one line that says why none is."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from gateway.schedule.conditions import Answer
from gateway.schedule.due import Due, Known, NotDue, due
from gateway.sections import NightSettings
from tests.gateway.schedule.test_window import utc

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
HOUR = 3600.0
NIGHT = NightSettings()
KNOWN = Known(utc("2026-12-02 01:00"), BERLIN, None, utc("2026-12-01 02:00"), None, 10_000.0, 50)  # 02:00 there


def found(settings: NightSettings = NIGHT, **known: Any) -> Due | NotDue:
    moments = {key: utc(value) if isinstance(value, str) else value for key, value in known.items()}
    return due(settings, msgspec.structs.replace(KNOWN, **moments))


def why(settings: NightSettings = NIGHT, **known: Any) -> str:
    decided = found(settings, **known)
    assert isinstance(decided, NotDue)
    assert "\n" not in decided.reason
    return decided.reason


def test_a_night_is_due_in_its_window_with_what_is_left_of_it() -> None:
    assert found() == Due(5 * HOUR)
    assert found(last_ended=None) == Due(5 * HOUR)
    assert found(now="2026-12-02 05:30") == Due(HOUR / 2)
    assert found(msgspec.structs.replace(NIGHT, at="23:00", until="02:30")) == Due(HOUR / 2)


def test_a_night_of_this_window_is_not_repeated() -> None:
    assert why(last_ended="2026-12-02 00:10") == "the night of these hours ended at 01:10"
    assert why(last_ended="2026-12-02 00:00") == "the night of these hours ended at 01:00"
    assert found(last_ended="2026-12-01 23:59") == Due(5 * HOUR)


@pytest.mark.parametrize(
    ("now", "seconds"), [("2026-03-29 00:00", 5 * HOUR), ("2026-10-24 23:00", 7 * HOUR), ("2026-03-30 12:00", 0)]
)
def test_the_night_of_a_change_of_the_clock_is_one_night(now: str, seconds: float) -> None:
    ended = {"now": now, "last_ended": "2026-03-30 01:00" if not seconds else "2026-01-01 00:00"}
    assert found(**ended) == Due(seconds) if seconds else why(**ended)
    if seconds:  # the second time that the clock shows 02:30, in autumn
        assert "ended" in why(now=utc(now) + 2.5 * HOUR, last_ended=utc(now) + 1.5 * HOUR)


def test_outside_of_its_hours_none_is_due() -> None:
    assert why(now="2026-12-01 14:12") == "it is 15:12, and nights begin from 01:00 to 07:00"
    assert "nights begin" in why(now="2026-12-01 14:12", last_ended=None)


def test_a_window_that_was_missed_is_made_up_for() -> None:
    at_nine = "2026-12-02 08:00"
    assert found(now=at_nine) == Due(6 * HOUR)
    assert "nights begin" in why(now=at_nine, last_ended="2026-12-02 02:00")
    assert "nights begin" in why(now=at_nine, last_ended="2026-12-02 07:00")  # made up for already
    assert found(now="2026-03-29 09:00", last_ended="2026-03-01 02:00") == Due(5 * HOUR)
    assert "nights begin" in why(msgspec.structs.replace(NIGHT, catch_up=False), now=at_nine)
    assert "night.idle" in why(now=at_nine, idle=10.0)


def test_only_what_came_after_the_schedule_can_have_been_missed() -> None:
    at_nine = "2026-12-02 08:00"
    for ended in (None, "2026-11-01 02:00"):
        assert "nights begin" in why(now=at_nine, last_ended=ended, since="2026-12-02 03:00")
        assert found(now=at_nine, last_ended=ended, since="2026-12-01 20:00") == Due(6 * HOUR)


def test_who_travels_has_the_hours_of_where_he_is() -> None:
    """A night in Berlin, and then to New York: its hours there are another night's."""
    ended, now = "2026-12-02 04:00", "2026-12-02 05:30"
    assert "ended" in why(now=now, last_ended=ended)
    assert "it is 00:30" in why(now=now, last_ended=ended, zone=NEW_YORK)
    assert found(now="2026-12-02 06:30", last_ended=ended, zone=NEW_YORK) == Due(5.5 * HOUR)


def test_the_rest_has_to_be_right() -> None:
    assert why(new=49) == "49 traces are new since the last night, and night.new wants 50"
    assert why(idle=899.6) == "the last request was 900 s ago, and night.idle wants 900 s without one"
    assert found(idle=900.0) == found(idle=None) == Due(5 * HOUR)
    no, unknown, yes = Answer(False, "it burns"), Answer(None, "who knows"), Answer(True, "all is well")
    assert found(conditions=[yes, unknown]) == Due(5 * HOUR)
    assert why(conditions=[unknown, yes, no]) == "it burns"
    assert found(msgspec.structs.replace(NIGHT, idle=0.0, new=0), idle=0.0, new=0) == Due(5 * HOUR)
