"""How names, shares and times of a morning are written. Owns words alone."""

from __future__ import annotations

from datetime import UTC, datetime

from distill.night.diary import STAGES, Record
from distill.statistics import Share


def readable(text: object) -> str:
    """Any text on one line, without what would steer a terminal."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in str(text)).split())


def short(text: object, limit: int) -> str:
    whole = readable(text)
    return whole if len(whole) <= limit else f"{whole[: limit - 1]}…"


def called(adapter: str) -> str:
    """An adapter, or what serves where there is none."""
    return adapter or "the base"


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def points(difference: float) -> str:
    """A difference of two shares."""
    return f"{100 * difference:+.1f} points"


def bounded(share: Share | None) -> str:
    if share is None or not share.of:
        return "–"
    return f"{percent(share.share)} ({100 * share.low:.0f}–{100 * share.high:.0f})"


def count(number: int, one: str) -> str:
    return f"{number:,} {one if number == 1 else f'{one}s'}"


def moment(seconds: float) -> str:
    """A time of the diary's, in this machine's time zone."""
    return f"{datetime.fromtimestamp(seconds, UTC).astimezone():%Y-%m-%d %H:%M}"


def since(iso: str) -> str:
    """A time as files have it, like `moment`; as it stands where it is none."""
    try:
        return moment(datetime.fromisoformat(iso).timestamp())
    except (ValueError, OverflowError, OSError):
        return readable(iso)


def span(seconds: float) -> str:
    """A length of time, roughly."""
    size = abs(seconds)
    if size < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if size < 7_200 else f"{seconds / 3_600:.1f} h"


def probability(value: float) -> str:
    """A p-value or level as a share."""
    return "less than 0.001 %" if value < 1e-5 else f"{100 * value:.2g} %"


def stage_of(record: Record) -> str:
    """The stage at which a night is, or was cut short."""
    return next((stage for stage in STAGES if stage not in record.stages), STAGES[-1])
