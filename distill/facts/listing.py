"""The files of a folder in a steady order, however many there are.

Owns the walk: what is listed, what is passed over, and how many names are held at a time. Opens no file. Symbolic links
are not followed, and `.git` is not looked into.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from distill.facts.records import Passed


class Folder(msgspec.Struct, frozen=True):
    """`path` below the root ("." for the root); `files` are its plain files, sorted; `entries` is None where not all of
    them can be told."""

    path: str
    files: list[str]
    entries: list[str] | None


def folders(root: Path, held: int, most: int, passed: Counter[str]) -> Iterator[Folder]:
    """Every folder, each before those in it, by name. Of one folder, at most `held` files and `held` folders are told,
    the first ones; after `most` entries no further folder is looked into. What is passed over is counted in `passed`.
    """
    waiting = ["."]
    seen = 0
    while waiting:
        path = waiting.pop()
        if seen >= most:
            passed[Passed.FOLDERS] += 1
            continue
        look = _Look(held)
        try:
            look.into(root / path)
        except OSError:
            passed[Passed.UNREADABLE] += 1
            continue
        seen += look.seen
        passed.update(look.passed())
        yield Folder(path, look.files.sorted(), look.entries())
        prefix = "" if path == "." else f"{path}/"
        waiting += [f"{prefix}{name}" for name in reversed(look.below.sorted())]


class _Smallest:
    """The first names of many in their order, with no more than twice as many held."""

    def __init__(self, held: int) -> None:
        self.count = 0
        self._held = held
        self._names: list[str] = []

    def add(self, name: str) -> None:
        self.count += 1
        self._names.append(name)
        if len(self._names) >= 2 * self._held + 1000:
            self._names = self.sorted()

    def sorted(self) -> list[str]:
        return sorted(self._names)[: self._held]

    @property
    def left(self) -> int:
        return max(0, self.count - self._held)


class _Look:
    """What one folder holds."""

    def __init__(self, held: int) -> None:
        self.files, self.below, self._others = _Smallest(held), _Smallest(held), _Smallest(held)
        self._odd = self._special = 0

    def into(self, folder: Path) -> None:
        """Raises OSError."""
        with os.scandir(folder) as entries:
            for entry in entries:
                self._sort(entry)

    def _sort(self, entry: os.DirEntry[str]) -> None:
        if not _is_utf8(entry.name):
            self._odd += 1
        elif entry.is_file(follow_symlinks=False):
            self.files.add(entry.name)
        elif entry.is_dir(follow_symlinks=False):
            if entry.name != ".git":
                self.below.add(entry.name)
        elif not entry.is_symlink():
            self._special += 1
            self._others.add(entry.name)
        elif not entry.is_dir():
            self._others.add(entry.name)

    @property
    def seen(self) -> int:
        return self.files.count + self.below.count + self._others.count + self._odd

    def entries(self) -> list[str] | None:
        if self._odd or any(names.left for names in (self.files, self.below, self._others)):
            return None
        return sorted([*self.files.sorted(), *self._others.sorted(), *(f"{name}/" for name in self.below.sorted())])

    def passed(self) -> dict[str, int]:
        return {
            Passed.ODD_NAME: self._odd,
            Passed.SPECIAL: self._special,
            Passed.FILES: self.files.left,
            Passed.FOLDERS: self.below.left,
        }


def _is_utf8(name: str) -> bool:
    if name.isascii():
        return True
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
