"""Digests of files and folders. Owns how content becomes a name; knows nothing of what the content means."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from pathlib import Path


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_digest(folder: Path, suffixes: Collection[str]) -> str:
    """One SHA-256 over the files of a folder, not those below, whose names end so: their names and contents."""
    files = [path for path in sorted(folder.iterdir()) if path.suffix in suffixes]
    return combined_digest(f"{path.name}={file_digest(path)}" for path in files)


def combined_digest(parts: Iterable[str]) -> str:
    """One SHA-256 over several texts, each ended, so that no two lists give the same bytes."""
    joined = hashlib.sha256()
    for part in parts:
        joined.update(part.encode() + b"\0")
    return joined.hexdigest()
