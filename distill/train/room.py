"""Room: what a run needs on the disk, and that it is there before anything is trained. Owns these figures alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import mlx.nn as nn
from mlx.utils import tree_flatten

from distill.errors import DatasetError

_CHECKPOINTS = 3  # two that are kept and one being written
_COPIES = 3  # of an adapter in a checkpoint: itself, and two running means of its gradient
_LEFT = 2  # the adapter of the run and the one that is published
_LINE = 512  # bytes that a step's line takes at most


def disk_needed(model: nn.Module, steps: int) -> int:
    """Bytes that a run of so many steps takes at most, for a model with its adapter on."""
    adapter = int(sum(array.nbytes for _, array in tree_flatten(model.trainable_parameters())))
    return adapter * (_CHECKPOINTS * (_COPIES + 1) + _LEFT) + steps * _LINE


def check_disk(folder: Path, needed: int) -> None:
    """Raises DatasetError where the disk has not enough left."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DatasetError(
            f"the run needs {needed / 1e6:,.0f} MB in {folder}, and the disk has {free / 1e6:,.0f} MB left: free some, "
            "or lower rank or layers"
        )
