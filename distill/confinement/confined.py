"""Confined: lines on snapshots, each run once. Owns remembering what was printed, as far as that is of use.

A snapshot does not change while there is a `Confined` that has run a line on it.
"""

from __future__ import annotations

import functools
from pathlib import Path

from distill.confinement.inside import UNCONFINED
from distill.confinement.running import Bounds, Printed, run
from distill.confinement.ways import Way

_REMEMBERED = 256  # lines: a conversation's turn up again in each of its trajectories


class Confined:
    """Runs lines in a way that was proven."""

    def __init__(self, way: Way, bounds: Bounds | None = None) -> None:
        self._way = way
        self._bounds = bounds or Bounds()
        self._run = functools.lru_cache(_REMEMBERED)(self._run_once)

    def place(self, root: Path, wanted: str) -> str:
        """Where a line finds the snapshot; `wanted` is where it believes it to be."""
        return self._way.place(root, wanted)

    def printed(self, root: Path, wanted: str, below: str, line: str) -> Printed | None:
        """What a line prints in the snapshot's folder `below`; None where it was not run, or not to its end."""
        return self._run(root, self.place(root, wanted), below, line)

    def _run_once(self, root: Path, place: str, below: str, line: str) -> Printed | None:
        try:
            printed = run(self._way.argv(root, place, below, line, self._bounds), self._bounds)
        except (OSError, ValueError):  # a NUL or a surrogate in an argument
            return None
        return None if printed is None or printed.status == UNCONFINED else printed
