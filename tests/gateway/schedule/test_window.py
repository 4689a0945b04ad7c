"""The hours of a night: over midnight, over changes of the clock, in another zone."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gateway.schedule.window import Window, hours, local, next_half_hour, time_of
from gateway.schedule.zone import local_zone

BERLIN, NEW_YORK, SAMOA = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("Pacific/Apia")
NIGHT = hours("01:00", "07:00")


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def window(begins: str, ends: str) -> Window:
    return Window(utc(begins), utc(ends))


def test_a_window_is_current_from_its_first_moment_to_before_its_last() -> None:
    expected = window("2026-12-01 00:00", "2026-12-01 06:00")
    for moment in ("2026-12-01 00:00", "2026-12-01 03:12", "2026-12-01 05:59:59"):
        assert NIGHT.current(utc(moment), BERLIN) == expected
    for moment in ("2026-11-30 23:59:59", "2026-12-01 06:00", "2026-12-01 12:00"):
        assert NIGHT.current(utc(moment), BERLIN) is None
    assert NIGHT.passed(utc("2026-12-01 05:00"), BERLIN) == window("2026-11-30 00:00", "2026-11-30 06:00")
    assert NIGHT.passed(utc("2026-12-01 06:00"), BERLIN) == expected
    assert NIGHT.coming(utc("2026-12-01 00:00"), BERLIN) == window("2026-12-02 00:00", "2026-12-02 06:00")


@pytest.mark.parametrize("moment", ["2026-12-01 22:30", "2026-12-01 23:30", "2026-12-02 03:00"])
def test_it_may_go_over_midnight(moment: str) -> None:
    late = hours("23:00", "04:30")
    assert late.current(utc(moment), BERLIN) == window("2026-12-01 22:00", "2026-12-02 03:30")
    assert late.current(utc("2026-12-01 21:59"), BERLIN) is None
    assert late.passed(utc("2026-12-01 21:59"), BERLIN) == window("2026-11-30 22:00", "2026-12-01 03:30")


@pytest.mark.parametrize(
    ("at", "until", "begins", "ends"),
    [
        ("01:00", "07:00", "2026-03-29 00:00", "2026-03-29 05:00"),  # five hours
        ("02:30", "04:00", "2026-03-29 01:00", "2026-03-29 02:00"),  # 02:30 is never shown: from 03:00 on
        ("01:00", "02:30", "2026-03-29 00:00", "2026-03-29 01:00"),
        ("23:00", "07:00", "2026-03-28 22:00", "2026-03-29 05:00"),
    ],
)
def test_the_clock_is_put_forward(at: str, until: str, begins: str, ends: str) -> None:
    found = hours(at, until).current(utc("2026-03-29 00:59") if at != "02:30" else utc("2026-03-29 01:00"), BERLIN)
    assert found == window(begins, ends)
    assert hours(at, until).current(utc(ends), BERLIN) is None


def test_hours_that_the_clock_leaves_out_are_no_window_that_day() -> None:
    left_out = hours("02:10", "02:50")
    assert left_out.passed(utc("2026-03-29 12:00"), BERLIN) == window("2026-03-28 01:10", "2026-03-28 01:50")
    assert left_out.coming(utc("2026-03-28 12:00"), BERLIN) == window("2026-03-30 00:10", "2026-03-30 00:50")


@pytest.mark.parametrize(
    ("at", "until", "begins", "ends"),
    [
        ("01:00", "07:00", "2026-10-24 23:00", "2026-10-25 06:00"),  # seven hours
        ("02:15", "02:45", "2026-10-25 00:15", "2026-10-25 00:45"),  # shown twice: the first time
        ("02:30", "03:00", "2026-10-25 00:30", "2026-10-25 02:00"),
        ("23:00", "02:30", "2026-10-24 21:00", "2026-10-25 00:30"),
    ],
)
def test_the_clock_is_put_back(at: str, until: str, begins: str, ends: str) -> None:
    assert hours(at, until).current(utc("2026-10-25 00:29") if at < "02:20" or at > "20" else utc(begins), BERLIN) == (
        window(begins, ends)
    )
    assert hours(at, until).current(utc(ends), BERLIN) is None
    assert hours(at, until).current(utc(ends) + 3599, BERLIN) is None


def test_in_another_zone_the_same_hours_are_others() -> None:
    moment = utc("2026-12-01 03:00")
    assert NIGHT.current(moment, BERLIN) is not None
    assert NIGHT.current(moment, NEW_YORK) is None
    assert NIGHT.coming(moment, NEW_YORK) == window("2026-12-01 06:00", "2026-12-01 12:00")
    assert NIGHT.passed(moment, NEW_YORK) == window("2026-11-30 06:00", "2026-11-30 12:00")
    assert (local(moment, BERLIN), local(moment, NEW_YORK)) == ("04:00", "22:00")


def test_a_day_that_a_zone_left_out_has_no_window() -> None:
    assert NIGHT.coming(utc("2011-12-29 18:00"), SAMOA) == window("2011-12-30 11:00", "2011-12-30 17:00")


@pytest.mark.parametrize(
    ("now", "zone", "expected"),
    [
        ("2026-12-01 03:00", "Europe/Berlin", "2026-12-01 03:30"),
        ("2026-12-01 03:29:59", "Europe/Berlin", "2026-12-01 03:30"),
        ("2026-12-01 03:10", "Asia/Kathmandu", "2026-12-01 03:15"),  # a quarter of an hour beside the others
        ("2026-10-25 00:45", "Europe/Berlin", "2026-10-25 01:00"),
    ],
)
def test_the_next_half_hour_is_that_of_the_clock(now: str, zone: str, expected: str) -> None:
    assert next_half_hour(utc(now), ZoneInfo(zone)) == utc(expected)


@pytest.mark.parametrize("text", ["", "1:00", "24:00", "07:60", "7", "01:00:00", " 01:00", "01:00\n", "٠١:٠٠"])
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a time of day"):
        time_of(text)


def test_the_zone_is_that_of_the_environment_or_of_the_machine(tmp_path: Path) -> None:
    file = next(Path(folder, "Europe/Berlin") for folder in ("/usr/share/zoneinfo", "/var/db/timezone/zoneinfo"))
    link = tmp_path / "localtime"
    link.symlink_to(file)
    spring, autumn = utc("2026-03-29 12:00"), utc("2026-10-25 12:00")
    for zone in (local_zone("", link), local_zone(":Europe/Berlin"), local_zone(str(file))):
        assert (local(spring, zone), local(autumn, zone)) == ("14:00", "13:00")
    assert local_zone("America/New_York", link) == NEW_YORK
    for named, where in (("CET-1CEST,M3.5.0", link), ("", tmp_path / "none"), ("../../etc", link)):
        assert local_zone(named, where).utcoffset(None) is not None
