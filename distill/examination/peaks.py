"""Peak memory of arms, kept beside their sheets. Knows nothing of who measures it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from distill.atomic import write_atomically

_FILE = "memory.json"


def peaks(folder: Path) -> dict[str, int | None]:
    """Bytes by arm, as far as they were told."""
    try:
        return msgspec.json.decode((folder / _FILE).read_bytes(), type=dict[str, int | None])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return {}


def remember_peak(folder: Path, arm: str, size: int | None) -> None:
    """The most that any part of the examination saw: an engine that was started again in between has forgotten it."""
    known = peaks(folder)
    sizes = [one for one in (known.get(arm), size) if one is not None]
    write_atomically(folder / _FILE, msgspec.json.encode({**known, arm: max(sizes, default=None)}))
