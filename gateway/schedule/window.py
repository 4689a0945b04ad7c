"""The hours in which a night may begin: local times, made into moments.

Owns that arithmetic, over midnight, over changes of the clock and of the zone. A window is the time from the first
minute at which the clock shows its beginning, or goes past it, to its end; on a day on which the clock never shows any
of it there is none, and where the clock is put back and shows some of it twice, the first time counts. Pure: the moment
and the zone are arguments. Knows nothing of nights.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo

import msgspec

_FORM = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_AROUND = range(-3, 4)  # days
_MINUTE = timedelta(minutes=1)


class Window(msgspec.Struct, frozen=True):
    """From one moment to another, in Unix seconds."""

    begins: float
    ends: float

    @property
    def seconds(self) -> float:
        return self.ends - self.begins


class Hours(msgspec.Struct, frozen=True):
    """From a time of day until the next time that it is `until`."""

    at: time
    until: time

    def current(self, now: float, zone: tzinfo) -> Window | None:
        """The window that it is now; None: it is none."""
        return next((one for one in self._around(now, zone) if one.begins <= now < one.ends), None)

    def passed(self, now: float, zone: tzinfo) -> Window | None:
        """The last window that is over."""
        return max((one for one in self._around(now, zone) if one.ends <= now), key=_beginning, default=None)

    def coming(self, now: float, zone: tzinfo) -> Window | None:
        """The next window to begin."""
        return min((one for one in self._around(now, zone) if one.begins > now), key=_beginning, default=None)

    def _around(self, now: float, zone: tzinfo) -> Iterator[Window]:
        today = datetime.fromtimestamp(now, zone).date()
        for day in (today + timedelta(days=days) for days in _AROUND):
            last = day if self.at < self.until else day + timedelta(days=1)
            found = Window(_moment(day, self.at, zone), _moment(last, self.until, zone))
            if found.begins < found.ends:
                yield found


def time_of(text: str) -> time:
    """The time of day that "HH:MM" tells. Raises ValueError."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"must be a time of day from 00:00 to 23:59, such as 01:00, not '{text}'")
    return time(int(found[1]), int(found[2]))


def hours(at: str, until: str) -> Hours:
    """Raises ValueError."""
    return Hours(time_of(at), time_of(until))


def local(moment: float, zone: tzinfo) -> str:
    """The time of day at a moment."""
    return f"{datetime.fromtimestamp(moment, zone):%H:%M}"


def _beginning(window: Window) -> float:
    return window.begins


def _moment(day: date, at: time, zone: tzinfo) -> float:
    """The first moment at which the clock of that day shows a time, or is past it because it was put forward."""
    wanted = datetime.combine(day, at)
    while True:
        found = wanted.replace(tzinfo=zone).timestamp()
        if datetime.fromtimestamp(found, zone).replace(tzinfo=None, fold=0) == wanted:
            return found
        wanted += _MINUTE


def next_half_hour(now: float, zone: tzinfo) -> float:
    """The next moment at which the clock shows a full or a half hour."""
    shown = datetime.fromtimestamp(now, zone)
    into = timedelta(minutes=shown.minute % 30, seconds=shown.second, microseconds=shown.microsecond)
    return (shown.astimezone(UTC) + timedelta(minutes=30) - into).timestamp()
