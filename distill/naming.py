"""Names of folders that come from files which anybody may have written. Knows nothing of what the folders hold."""

from __future__ import annotations

from pathlib import Path


def is_one(name: str) -> bool:
    """Whether it names one folder, and none elsewhere."""
    return bool(name) and Path(name).name == name and not name.startswith(".") and "\0" not in name
