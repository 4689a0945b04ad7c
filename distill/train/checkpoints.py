"""Checkpoints: where a run stands, on disk, so that a run that was killed goes on from there.

Owns the folders: each appears whole, by being renamed. Knows nothing of how a run goes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, cast

import mlx.core as mx
import msgspec

from distill.atomic import write_atomically
from distill.train.record import Look
from distill.unfinished import unfinished

_ADAPTER, _OPTIMIZER, _STATE = "adapter.safetensors", "optimizer.safetensors", "state.json"
_BEST = "best-"
_KEPT = 2  # so that a disk that lost the last one costs little


class State(msgspec.Struct, frozen=True):
    """`step` is the last one done, `seconds` after the beginning; `slowed` says how often the learning rate was halved
    after a loss that was no number."""

    step: int = 0
    seconds: float = 0.0
    slowed: int = 0
    looks: list[Look] = []


class Kept(NamedTuple):
    """A checkpoint as it was read."""

    state: State
    adapter: dict[str, mx.array]
    optimizer: dict[str, mx.array]


class Checkpoints:
    """The checkpoints of one run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, state: State, adapter: Mapping[str, mx.array], optimizer: Mapping[str, mx.array]) -> None:
        """There when this returns. Raises OSError when it does not fit on the disk; those before it stay."""
        with unfinished(self._folder) as work:
            _write(work / _ADAPTER, adapter)
            _write(work / _OPTIMIZER, optimizer)
            write_atomically(work / _STATE, msgspec.json.encode(state))
            self._put(work, f"{state.step:08d}")
        for old in self._steps()[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    def last(self) -> Kept | None:
        """The newest one that can be read."""
        for place in reversed(self._steps()):
            try:
                state = msgspec.json.decode((place / _STATE).read_bytes(), type=State)
                tensors = [_read(place / name) for name in (_ADAPTER, _OPTIMIZER)]
            except (OSError, ValueError, RuntimeError):
                continue
            return Kept(state, *tensors)
        return None

    def keep_best(self, step: int, adapter: Mapping[str, mx.array]) -> None:
        """The adapter after a step, until a better one comes."""
        with unfinished(self._folder) as work:
            _write(work / _ADAPTER, adapter)
            self._put(work, f"{_BEST}{step:08d}")
        for old in sorted(self._folder.glob(f"{_BEST}*"))[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    def best(self, step: int) -> dict[str, mx.array]:
        """The adapter that was kept after a step."""
        return _read(self._folder / f"{_BEST}{step:08d}" / _ADAPTER)

    def clear(self) -> None:
        """None are left: the run is done."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _put(self, work: Path, name: str) -> None:
        """Give a folder that is whole its name, in place of one that has it."""
        shutil.rmtree(self._folder / name, ignore_errors=True)
        work.rename(self._folder / name)
        _sync(self._folder)

    def _steps(self) -> list[Path]:
        return sorted(place for place in self._folder.glob("*") if place.name.isdigit())


def _write(file: Path, tensors: Mapping[str, mx.array]) -> None:
    mx.save_safetensors(str(file), dict(sorted(tensors.items())))
    _sync(file)


def _read(file: Path) -> dict[str, mx.array]:
    tensors = dict(cast(dict[str, mx.array], mx.load(str(file))))
    mx.eval(tensors)
    return tensors


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
