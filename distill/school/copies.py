"""Copies of repositories that the exploring agent works on: of installed packages, and of any folder.

Owns which files are copied, the copies' names, and that a copy stays what it is called: nights read results again on
it. Knows nothing of questions.
"""

from __future__ import annotations

import keyword
import os
import re
import shutil
from collections.abc import Iterator, Sequence, Set
from pathlib import Path

import msgspec

from distill.errors import RepositoryError
from distill.facts.contents import content_of, is_binary
from distill.facts.records import Passed
from distill.generate.repositories import MAX_FILE_BYTES, digest, snapshot
from distill.snapshots import ARCHIVES, kept_aside
from distill.unfinished import unfinished

_MADE = frozenset({"node_modules", "__pycache__", "venv", "site-packages", "build", "dist", "target"})
_PACKAGES = ("*/__init__.py", "src/*/__init__.py")
_VERSION = re.compile(r"[-_.]v?\d[\w.]*$")


class Limits(msgspec.Struct, frozen=True):
    """Of one copy: files and their bytes; names of files that are looked at, altogether and of one folder the first."""

    files: int = 2000
    total_bytes: int = 20_000_000
    names: int = 200_000
    folder_names: int = 20_000


class Repository(msgspec.Struct, frozen=True):
    """A copy to explore: `digest` names its files' content."""

    name: str
    root: Path
    digest: str


def copied(wanted: Sequence[str], copies: Path, reserved: Set[str], limits: Limits | None = None) -> list[Repository]:
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
        if name == ARCHIVES:
            raise RepositoryError(f"{one} cannot be called {name}, as another folder there is: say {name}_2={source}")
        if name in named:
            raise RepositoryError(f"{named[name][0]} and {one} would both be called {name}: say {name}_2={source}")
        named[name] = (one, source)
    return [_copy(name, source, copies, limits or Limits()) for name, (_, source) in named.items()]


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


def _copy(name: str, source: str, copies: Path, limits: Limits) -> Repository:
    """The copy, made all at once. One that is there with the same files stays, one with others is put aside."""
    with unfinished(copies) as work:
        made = (
            _of_folder(Path(source), work / name, limits) if Path(source).is_dir() else _of_package(source, work, name)
        )
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


def _of_folder(source: Path, target: Path, limits: Limits) -> Path:
    target.mkdir()
    total = count = 0
    for path in _plain_names(source, limits):
        content = content_of(path, MAX_FILE_BYTES)
        if isinstance(content, Passed) or is_binary(content):
            continue
        if count == limits.files or total + len(content) > limits.total_bytes:
            break
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(content)
        total, count = total + len(content), count + 1
    if not count:
        raise RepositoryError(f"The folder {source} has no text files.")
    return target


def _plain_names(source: Path, limits: Limits) -> Iterator[Path]:
    """Files in a steady order. Nothing hidden, nothing that tools made, no name that is no text."""
    seen = 0
    for folder, below, names in os.walk(source):
        below[:] = sorted(name for name in below if _is_told(name) and name not in _MADE)
        told = sorted(filter(_is_told, names))[: limits.folder_names]
        seen += len(told)
        if seen > limits.names:
            return
        yield from (Path(folder, name) for name in told)


def _is_told(name: str) -> bool:
    """Whether a name can be told to anybody, and is no hidden one."""
    try:
        return bool(name.encode()) and not name.startswith(".")
    except UnicodeError:
        return False
