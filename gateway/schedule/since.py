"""Since when a home has a schedule, in data/schedule.json: only what came later can have been missed.

Owns that file. Knows nothing of how the schedule is kept.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from distill.atomic import write_atomically

_FILE = "schedule.json"


class _Mark(msgspec.Struct):
    since: float  # Unix seconds


def begin(data: Path, now: float) -> None:
    """From now on, unless there is one already."""
    if since(data) is None:
        data.mkdir(parents=True, exist_ok=True)
        write_atomically(data / _FILE, msgspec.json.encode(_Mark(now)) + b"\n")


def since(data: Path) -> float | None:
    """None: there is none."""
    try:
        return msgspec.json.decode((data / _FILE).read_bytes(), type=_Mark).since
    except (OSError, msgspec.MsgspecError):
        return None


def end(data: Path) -> None:
    (data / _FILE).unlink(missing_ok=True)
