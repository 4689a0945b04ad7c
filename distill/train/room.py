"""Room: what a run needs on the disk, and that it is there before anything is trained. Owns these figures alone."""

from __future__ import annotations

import shutil
from pathlib import Path

from distill.errors import DatasetError

_CHECKPOINTS = 3  # two that are kept and one being written
_COPIES = 4  # of an adapter's size in a checkpoint: itself, two running means of its gradient, and the best one so far
_LEFT = 2  # the adapter of the run and the one that is published
_LINE = 512  # bytes that a step's line takes at most


def disk_needed(adapter: int, steps: int) -> int:
    """Bytes that a run of so many steps takes at most, of an adapter that takes so many."""
    return adapter * (_CHECKPOINTS * _COPIES + _LEFT) + steps * _LINE


def check_disk(folder: Path, needed: int) -> None:
    """Raises DatasetError where the disk has not enough left for a run in this folder, which may be under way."""
    held = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    free = shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.exists())).free
    if free + held < needed:
        raise DatasetError(
            f"the run needs {needed / 1e6:,.1f} MB in {folder}, and there are {(free + held) / 1e6:,.1f} MB: "
            "free some, choose another folder, or lower rank or layers"
        )
