"""Facts kept on disk, so that a repository that was read once is not read again.

Owns the files that hold them: where they are, their form, and how many are kept. What is kept are facts without texts:
those are read from the repository when somebody asks. A file that is damaged is as good as none.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections import Counter
from contextlib import suppress
from functools import cache
from importlib.metadata import version as version_of
from pathlib import Path

import msgspec

from distill.atomic import write_atomically
from distill.digest import combined_digest
from distill.facts.collecting import Limits, collect, contents
from distill.facts.languages import DECLARING
from distill.facts.records import Facts
from distill.facts.texts import Texts

FORMAT = 1  # raised whenever a fact gets another field or another meaning
_CHECKSUM = hashlib.sha256().digest_size
_SUFFIX = ".facts"
_FOLDER = "facts"  # below data/
_ABANDONED = 3600.0  # seconds after which nobody is at work on an unfinished file


class Cache:
    """In a folder of its own, which is made when needed; of at most `kept` states of repositories, and `room` bytes."""

    def __init__(self, folder: Path, limits: Limits | None = None, kept: int = 200, room: int = 1_000_000_000) -> None:
        self._folder = folder
        self._limits = limits or Limits()
        self._kept = kept
        self._room = room

    @classmethod
    def of_data(cls, data: Path) -> Cache:
        """That of a data folder."""
        return cls(data / _FOLDER)

    def facts(self, root: Path, version: str = "") -> Facts:
        """The facts of a folder. `version` names all that is in it: the commit that was unpacked there, or a digest of
        the files; without one, the files are read for a digest. Whoever names a version answers for it."""
        path = self._path(version or content_version(root, self._limits))
        known = _read(path)
        if known is None:
            known = collect(root, limits=self._limits)
            with suppress(OSError):  # what cannot be kept is read again
                self._write(path, msgspec.structs.replace(known, texts={}))
            return known
        with suppress(OSError):
            os.utime(path)
        return msgspec.structs.replace(known, repository=root.name, texts=Texts(root, known.files))

    def _path(self, version: str) -> Path:
        limits = msgspec.json.encode(self._limits).decode()
        return self._folder / f"{combined_digest([version, limits, _read_by()])}{_SUFFIX}"

    def _write(self, path: Path, facts: Facts) -> None:
        """All at once. Raises OSError."""
        body = msgspec.msgpack.encode(facts)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, hashlib.sha256(body).digest() + body)
        self._make_room()

    def _make_room(self) -> None:
        """Remove what was not used for longest, and what was begun and left. Raises OSError."""
        used: list[tuple[float, Path, int]] = []
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):
                told = path.stat()
                if path.suffix == _SUFFIX:
                    used.append((told.st_mtime, path, told.st_size))
                elif time.time() - told.st_mtime > _ABANDONED:
                    path.unlink()
        left = self._room
        for at, (_, path, size) in enumerate(sorted(used, reverse=True)):
            left -= size
            if at >= self._kept or left < 0:
                path.unlink(missing_ok=True)


def content_version(root: Path, limits: Limits | None = None) -> str:
    """A digest of all that facts are made from: what is listed, and what is in the files within the limits."""
    listed: dict[str, list[str]] = {}
    passed: Counter[str] = Counter()
    parts = [
        f"{path} {hashlib.sha256(content).hexdigest()}"
        for path, content in contents(root, limits or Limits(), listed, passed)
    ]
    return combined_digest([*parts, msgspec.json.encode([listed, sorted((+passed).items())]).decode()])


def _read(path: Path) -> Facts | None:
    try:
        content = path.read_bytes()
        if hashlib.sha256(content[_CHECKSUM:]).digest() != content[:_CHECKSUM]:
            return None
        return msgspec.msgpack.decode(content[_CHECKSUM:], type=Facts)
    except (OSError, msgspec.MsgspecError):
        return None


@cache
def _read_by() -> str:
    """What read the facts: another version may find others."""
    packages = sorted(DECLARING - {"tsx"})  # which is in typescript's
    grammars = [f"{name} {version_of(f'tree-sitter-{name}')}" for name in packages]
    return f"{FORMAT}, python {sys.version_info.major}.{sys.version_info.minor}, {', '.join(grammars)}"
