"""Replacing a file whole. Knows nothing of what is in it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def settle(folder: Path) -> None:
    """See that the files of a folder are on the disk, before its name says that it is whole."""
    for path in (*folder.rglob("*"), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file so that a reader sees the old or the new one, never a part, whatever dies meanwhile.

    The new file is its owner's alone (mode 0600).
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
