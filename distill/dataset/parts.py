"""Parts: the files of a dataset, written in the order of their lines' digests whatever order the lines come in. Owns
the files on disk; knows nothing of what is in a line.
"""

from __future__ import annotations

import os
import shutil
from array import array
from collections.abc import Callable
from pathlib import Path

import numpy as np

from distill.atomic import settle

DIGITS = 16  # of a dataset's name


class Part:
    """A file that is being written. Lines lie in a heap beside it until all are there; two numbers each are held."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._heap = path.with_suffix(".heap")
        self._file = self._heap.open("wb")
        self._keys = array("Q")
        self._sizes = array("Q")

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: int, line: bytes) -> None:
        self._keys.append(key)
        self._sizes.append(len(line))
        self._file.write(line)

    def close(self) -> None:
        self._file.close()

    def finish(self, see: Callable[[bytes], None]) -> None:
        """Write the file, and show it to `see` line by line."""
        self._file.close()
        sizes = np.array(self._sizes, np.int64)
        begins = np.cumsum(sizes) - sizes
        heap = os.open(self._heap, os.O_RDONLY)
        try:
            with self._path.open("wb") as file:
                for line in np.argsort(np.array(self._keys, np.uint64), kind="stable").tolist():
                    content = os.pread(heap, int(sizes[line]), int(begins[line]))
                    see(content)
                    file.write(content)
        finally:
            os.close(heap)
        self._heap.unlink()


def put(made: Path, folder: Path) -> None:
    """Give a finished dataset its name, unless one of that name is whole already. What has its name is complete."""
    if not (folder / "manifest.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        settle(made)
        made.rename(folder)
