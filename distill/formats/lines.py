"""Lines of files from elsewhere, and what of them cannot be read.

Owns how a file is opened (never through a link), how long a line may be, and how a fault is told. Knows nothing of
formats. Nothing here raises: what cannot be read comes as a BadLine.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec

from distill.nesting import bounded

LINE_BYTES = 64 << 20  # of the longest line, and of the longest file that is one JSON document
_LINK = "a link, which is not followed"
_SKIPPED_BYTES = 1 << 20  # read at once of a line that is too long

# What decoding and converting raise for input that is not what it should be: broken JSON and UTF-8, wrong types,
# nesting beyond the stack, numbers and times beyond their range.
UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError, ArithmeticError)

T = TypeVar("T")


class BadLine(msgspec.Struct, frozen=True):
    """What was not taken, and why. `line` counts from 1; 0 stands for the whole file."""

    file: str
    line: int
    reason: str


class Unreadable(ValueError):
    """It is JSON, and not what its format says; the message tells what is wrong."""


def shown(path: Path | str) -> str:
    """A path, or a part of one, as text that can be written; a name may be bytes that are no text."""
    return str(path).encode(errors="replace").decode()


def reason_of(error: Exception) -> str:
    """What decoding or converting complained of, for people."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeError):
        return "not valid UTF-8"
    return str(error)[:300] or type(error).__name__


def open_plain(path: Path) -> BinaryIO:
    """The file itself: no link, pipe or device in its place. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is no plain file")
    return os.fdopen(descriptor, "rb")


def lines(path: Path) -> Iterator[tuple[int, bytes] | BadLine]:
    """The lines of a file with their numbers, as they are."""
    try:
        with open_plain(path) as file:
            number = 0
            while line := file.readline(LINE_BYTES + 1):
                number += 1
                if len(line) > LINE_BYTES:
                    while line and not line.endswith(b"\n"):
                        line = file.readline(_SKIPPED_BYTES)
                    yield BadLine(shown(path), number, f"longer than {LINE_BYTES >> 20} MB")
                else:
                    yield number, line
    except OSError as error:
        yield BadLine(shown(path), 0, f"cannot be read: {error.strerror or error}")


def records(path: Path, decoder: msgspec.json.Decoder[T]) -> Iterator[tuple[int, T] | BadLine]:
    """The lines of a JSONL file, decoded; blank ones are passed over."""
    for line in lines(path):
        if isinstance(line, BadLine):
            yield line
        elif not line[1].isspace():
            yield _decoded(path, *line, decoder)


def _decoded(path: Path, number: int, line: bytes, decoder: msgspec.json.Decoder[T]) -> tuple[int, T] | BadLine:
    try:
        with bounded():
            return number, decoder.decode(line)
    except UNREADABLE as error:
        return BadLine(shown(path), number, reason_of(error))


def guarded(path: Path, number: int, found: Iterable[T]) -> Iterator[T | BadLine]:
    """What is made of a line, up to where that fails."""
    try:
        yield from found
    except UNREADABLE as error:
        yield BadLine(shown(path), number, reason_of(error))


def document(path: Path, decoder: msgspec.json.Decoder[T]) -> T | BadLine:
    """A file that is one JSON document."""
    try:
        with open_plain(path) as file:
            content = file.read(LINE_BYTES + 1)
    except OSError as error:
        return BadLine(shown(path), 0, f"cannot be read: {error.strerror or error}")
    if len(content) > LINE_BYTES:
        return BadLine(shown(path), 0, f"longer than {LINE_BYTES >> 20} MB")
    found = _decoded(path, 0, content, decoder)
    return found if isinstance(found, BadLine) else found[1]


def files(folder: Path, pattern: str) -> Iterator[Path | BadLine]:
    """The files below a folder whose names fit, in the order of their paths.

    A link is listed and not followed, nor is a folder that lies behind one or behind "..".
    """

    def complain(error: OSError) -> None:
        faults.append(BadLine(shown(error.filename), 0, f"cannot be read: {error.strerror}"))

    faults: list[BadLine] = []
    if _elsewhere(folder):
        yield BadLine(shown(folder), 0, _LINK)
        return
    for parent, folders, names in os.walk(folder, onerror=complain):
        folders.sort()
        for link in [name for name in folders if Path(parent, name).is_symlink()]:
            yield BadLine(shown(Path(parent, link)), 0, _LINK)
        for path in sorted(Path(parent, name) for name in names):
            if path.match(pattern):
                yield BadLine(shown(path), 0, _LINK) if path.is_symlink() else path
        yield from faults
        faults.clear()
    yield from faults


def _elsewhere(folder: Path) -> bool:
    try:
        return folder.resolve() != folder
    except (OSError, RuntimeError):  # links that go round in a circle
        return True


def moment(told: str | float | None, otherwise: float) -> float:
    """Unix seconds out of ISO 8601 or a number; `otherwise` where it tells no time that there is.

    A time without a zone is this machine's.
    """
    try:
        seconds = datetime.fromisoformat(told).timestamp() if isinstance(told, str) else float(told or 0)
    except (ValueError, ArithmeticError, OSError):
        return otherwise
    return seconds if 0 < seconds < 1e11 else otherwise


def written_at(path: Path) -> float:
    """When a file was last written, in Unix seconds: the time of what it tells, where it tells no other; 0 if it is
    gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
