"""Unfinished work in the folder of datasets: one night at a time is at it, and what a killed one left is deleted.

Owns the lock, which the system lifts when its holder ends, however it ends. Knows nothing of what is being made.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from distill.errors import DatasetError

COLLECTED = ".collected-"  # what the filters let through
BUILDING = ".building-"
_LOCK = ".lock"


@contextmanager
def alone(datasets: Path) -> Iterator[None]:
    """Be the only one who makes datasets in this folder. What others left is gone. Raises DatasetError where another
    is at it."""
    datasets.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (datasets / _LOCK).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DatasetError(f"another night is at work in {datasets}") from None
        for prefix in (COLLECTED, BUILDING):
            for folder in datasets.glob(f"{prefix}*"):
                shutil.rmtree(folder, ignore_errors=True)
        yield


def drop_unfinished(datasets: Path) -> None:
    """Delete what a night that was killed left; nothing where one is at work."""
    if datasets.is_dir():
        with suppress(DatasetError), alone(datasets):
            pass
