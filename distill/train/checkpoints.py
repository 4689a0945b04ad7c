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
            mx.save_safetensors(str(work / _ADAPTER), dict(sorted(adapter.items())))
            mx.save_safetensors(str(work / _OPTIMIZER), dict(sorted(optimizer.items())))
            for file in (work / _ADAPTER, work / _OPTIMIZER):
                _sync(file)
            write_atomically(work / _STATE, msgspec.json.encode(state))
            place = self._folder / f"{state.step:08d}"
            shutil.rmtree(place, ignore_errors=True)
            work.rename(place)
            _sync(self._folder)
        for old in self._steps()[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    def last(self) -> Kept | None:
        """The newest one that can be read."""
        for place in reversed(self._steps()):
            try:
                state = msgspec.json.decode((place / _STATE).read_bytes(), type=State)
                tensors = [
                    dict(cast(dict[str, mx.array], mx.load(str(place / name)))) for name in (_ADAPTER, _OPTIMIZER)
                ]
                mx.eval(tensors)
            except (OSError, ValueError, RuntimeError):
                continue
            return Kept(state, *tensors)
        return None

    def keep_best(self, step: int, adapter: Mapping[str, mx.array]) -> None:
        """The adapter after a step, until a better one comes."""
        with unfinished(self._folder) as work:
            mx.save_safetensors(str(work / _ADAPTER), dict(sorted(adapter.items())))
            _sync(work / _ADAPTER)
            place = self._folder / f"{_BEST}{step:08d}"
            shutil.rmtree(place, ignore_errors=True)
            work.rename(place)
        for old in sorted(self._folder.glob(f"{_BEST}*"))[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    def best(self, step: int) -> dict[str, mx.array]:
        return dict(cast(dict[str, mx.array], mx.load(str(self._folder / f"{_BEST}{step:08d}" / _ADAPTER))))

    def clear(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _steps(self) -> list[Path]:
        return sorted(place for place in self._folder.glob("*") if place.name.isdigit())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
