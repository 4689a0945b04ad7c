"""The time zone that this machine's clock shows. Owns where it is looked up; what it is used for, others know."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

_FILE = Path("/etc/localtime")


def local_zone(named: str, file: Path = _FILE) -> tzinfo:
    """The zone that TZ names as `named`; else, with all its changes of the clock, the one of the system's file. Where
    neither can be read, what the clock shows now, for good."""
    name = named.removeprefix(":")
    try:
        if name and not name.startswith("/"):
            return ZoneInfo(name)
        with (Path(name) if name else file).open("rb") as content:
            return ZoneInfo.from_file(content)
    except (OSError, ValueError, KeyError):
        return datetime.now(UTC).astimezone().tzinfo or UTC
