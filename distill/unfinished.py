"""Unfinished folders: where something is made before it gets its name all at once. Knows nothing of what is made."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = ".unfinished-"
_ABANDONED = 3600.0  # seconds after which nobody is at work in one


@contextmanager
def unfinished(parent: Path) -> Iterator[Path]:
    """A folder beside those that are finished; what was not renamed out of it goes at the end. What others left when
    they died goes, too."""
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _ABANDONED:
                shutil.rmtree(left, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
