"""Learning paused by an operator: nights end at once while it is.

Owns data/paused.json. Knows nothing of nights. A file that cannot be read pauses, too, until somebody looks at it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from distill.atomic import write_atomically

_FILE = "paused.json"


class Pause(msgspec.Struct, frozen=True):
    """Unix seconds; `until` is None where learning goes on only when it is resumed."""

    since: float
    until: float | None = None


def pause(data: Path, now: float, until: float | None = None) -> None:
    """Learn nothing until then, whatever was said before."""
    write_atomically(data / _FILE, msgspec.json.encode(Pause(now, until)) + b"\n")


def resume(data: Path, now: float) -> bool:
    """Learn again; whether learning was paused."""
    was = bool(paused(data, now))
    (data / _FILE).unlink(missing_ok=True)
    return was


def paused(data: Path, now: float) -> str:
    """The sentence that says that learning is paused; "" where it is not."""
    try:
        found = msgspec.json.decode((data / _FILE).read_bytes(), type=Pause)
        end = told(found.until) if found.until is not None else ""
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, OverflowError, msgspec.DecodeError) as error:
        unread = f"{data / _FILE} cannot be read: {error}"
        return f"learning is paused, since {unread}; `nightschool resume-learning` ends that"
    if found.until is None:
        return "learning is paused: `nightschool resume-learning` ends that"
    if found.until <= now:
        return ""
    return f"learning is paused until {end}: `nightschool resume-learning` ends that before"


def told(moment: float) -> str:
    """A moment in local time."""
    return datetime.fromtimestamp(moment, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
