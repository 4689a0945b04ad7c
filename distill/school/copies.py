"""Copies of repositories that the exploring agent works on: of installed packages, and of any folder.

Owns which files are copied, the copies' names, and that a copy stays what it is called: nights read results again on
it. Knows nothing of questions.
"""

from __future__ import annotations

import keyword
import os
import re
import shutil
import stat
from collections.abc import Iterator, Sequence, Set
from contextlib import suppress
from pathlib import Path

import msgspec

from distill.errors import RepositoryError
from distill.generate.repositories import MAX_FILE_BYTES, digest, snapshot
from distill.school.unfinished import unfinished
from distill.snapshots import kept_aside

_MADE = frozenset({"node_modules", "__pycache__", "venv", "site-packages", "build", "dist", "target"})
_PACKAGES = ("*/__init__.py", "src/*/__init__.py")
_VERSION = re.compile(r"[-_.]v?\d[\w.]*$")
_LOOKED_AT = 200_000  # entries of a folder: what comes after them in the order of names is left out
_FILES, _BYTES = 2000, 20_000_000  # of one folder
_HEAD = 8192  # bytes that tell text from anything else


class Repository(msgspec.Struct, frozen=True):
    """A copy to explore: `digest` names its files' content."""

    name: str
    root: Path
    digest: str


def copied(wanted: Sequence[str], copies: Path, reserved: Set[str]) -> list[Repository]:
    """A copy below `copies` of each that is wanted: a folder by its path, an installed package by its name, either with
    another name before it as NAME=FOLDER.

    Raises RepositoryError for what is not there or has no text files, for two of one name, and for what examinations
    ask about.
    """
    named: dict[str, tuple[str, str]] = {}
    for one in wanted:
        name, source = _named(one)
        if examined := _examined(name, source, {_plain(other) for other in reserved}):
            raise RepositoryError(
                f"{one} is {examined}, which examinations ask about: what was learnt says nothing there"
            )
        if name in named:
            raise RepositoryError(f"{named[name][0]} and {one} would both be called {name}: say {name}_2={source}")
        named[name] = (one, source)
    return [_copy(name, source, copies) for name, (_, source) in named.items()]


def _examined(name: str, source: str, reserved: Set[str]) -> str:
    """What of the reserved it is, by its name or that of its folder, or as a package inside of it; '' for none."""
    folder = Path(source)
    inner = [path.parent.name for pattern in _PACKAGES for path in folder.glob(pattern)] if folder.is_dir() else []
    named = (_plain(one) for one in (name, folder.resolve().name, *inner))
    return next((one for one in named if one in reserved), "")


def _plain(name: str) -> str:
    """A name without its version, and however its words are joined."""
    return re.sub(r"[-_.]+", "_", _VERSION.sub("", name)).lower()


def _named(wanted: str) -> tuple[str, str]:
    """The name of a copy and where it comes from: a folder's path, or a package."""
    name, equals, rest = wanted.partition("=")
    if equals and name.isidentifier():
        return name, _named(rest)[1]
    if not wanted or not Path(wanted).is_dir():
        if os.sep in wanted or not wanted:
            raise RepositoryError(f"There is no folder {wanted}.")
        return wanted, wanted
    name = re.sub(r"\W", "_", Path(wanted).resolve().name, flags=re.ASCII)
    name = f"_{name}" if not name.isidentifier() or keyword.iskeyword(name) else name
    return name, wanted


def _copy(name: str, source: str, copies: Path) -> Repository:
    """The copy, made all at once. One that is there with the same files stays, one with others is put aside."""
    with unfinished(copies) as work:
        made = _of_folder(Path(source), work / name) if Path(source).is_dir() else _of_package(source, work, name)
        content = digest(made)
        target = copies / name
        if not (target.is_dir() and digest(target) == content):
            if target.exists():
                _put_aside(target)
            made.rename(target)
    return Repository(name, target, content)


def _put_aside(copy: Path) -> None:
    """What was explored before the repository changed stays, since its traces do."""
    aside = kept_aside(copy, digest(copy))
    if aside.exists():
        shutil.rmtree(copy)
    else:
        copy.rename(aside)


def _of_package(package: str, work: Path, name: str) -> Path:
    made = snapshot(package, work)
    return made if made.name == name else made.rename(work / name)


def _of_folder(source: Path, target: Path) -> Path:
    target.mkdir()
    total = count = 0
    for path in _texts(source):
        with suppress(OSError):
            content = path.read_bytes()
            if count == _FILES or total + len(content) > _BYTES:
                break
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
            total, count = total + len(content), count + 1
    if not count:
        raise RepositoryError(f"The folder {source} has no text files.")
    return target


def _texts(source: Path) -> Iterator[Path]:
    """Text files in a steady order. Nothing hidden, nothing that tools made, nothing behind a symbolic link."""
    seen = 0
    for folder, below, names in os.walk(source):
        below[:] = sorted(name for name in below if not name.startswith(".") and name not in _MADE)
        seen += len(names)
        if seen > _LOOKED_AT:
            return
        for name in sorted(names):
            path = Path(folder, name)
            if not name.startswith(".") and _is_text(path):
                yield path


def _is_text(path: Path) -> bool:
    try:
        str(path).encode()  # a name that is no text cannot be told to anybody
        told = path.lstat()
        if not stat.S_ISREG(told.st_mode) or told.st_size > MAX_FILE_BYTES:
            return False
        with path.open("rb") as file:
            return b"\0" not in file.read(_HEAD)
    except (OSError, UnicodeError):
        return False
