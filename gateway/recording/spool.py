"""Where traces wait on disk while the store cannot take them.

Owns files of JSON lines, each trace redacted. Knows nothing of SQL.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import msgspec

from distill.outcome import Outcome
from distill.store.parts import cut
from distill.trace import Trace
from gateway.recording.frames import Forgetting, Item

_FILE_BYTES = 16 * 1024 * 1024  # of one file; then another is begun
_PART = ".part"  # of a file that is written anew

End = tuple[bytes, str]
"""Where a trace ends: the name of its request's last link, and the client."""


class _Line(msgspec.Struct, frozen=True, omit_defaults=True):
    trace: Trace | None = None
    outcome: Outcome | None = None
    forgetting: Forgetting | None = None

    @property
    def item(self) -> Item | None:
        return self.trace or self.outcome or self.forgetting


_decode = msgspec.json.Decoder(_Line).decode
_encode = msgspec.json.Encoder().encode


class Spool:
    """Traces, outcomes and what is to be forgotten of the store, in files of a folder, oldest first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read_bytes = 0  # of the oldest file
        if folder.is_dir():
            for left in folder.glob(f"*{_PART}"):
                left.unlink(missing_ok=True)
        self.waiting = sum(_count(path) for path in _files(folder))

    def add(self, items: Sequence[Item]) -> None:
        """Append. Raises OSError, and then nothing was added."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lines = b"".join(_encode(_line(item)) + b"\n" for item in items)
        with _alone(self._folder):
            files = _files(self._folder)
            path = files[-1] if files else self._folder / "00000000.jsonl"
            if files and path.stat().st_size > _FILE_BYTES:
                path = self._folder / f"{int(path.stem) + 1:08}.jsonl"
            _append(path, lines)
        self.waiting += len(items)

    def oldest(self) -> tuple[Path, list[Item]] | None:
        """The oldest file and what is in it; None when nothing waits. A line that was cut off is left out."""
        files = _files(self._folder)
        if not files:
            self.waiting = 0
            return None
        content = files[0].read_bytes()
        self._read_bytes = len(content)
        return files[0], [item for item, _ in _items(content)]

    def remove(self, path: Path) -> None:
        """What was in the file when it was read is in the store. It stays where another process has added to it."""
        with _alone(self._folder), contextlib.suppress(FileNotFoundError):  # which another process took there too
            if path.stat().st_size == self._read_bytes:
                self.waiting -= _count(path)
                path.unlink()

    def forget(self, names: Collection[str], ends: Collection[End]) -> dict[str, str]:
        """Take out these traces, those that go on from them or from where `ends` are, and what is known of any of them;
        the ids of those there were, with the ids that clients saw. Raises OSError; then some may still be there."""
        named, after, gone = set(names), set(ends), dict[str, str]()
        if not self._folder.is_dir():
            return gone
        with _alone(self._folder):
            for path in _files(self._folder):
                kept = []
                for item, line in _items(path.read_bytes()):
                    if isinstance(item, Trace) and _is_meant(item, named, after):
                        gone[item.id] = item.wire_id
                    elif not (isinstance(item, Outcome) and item.trace in named | gone.keys()):
                        kept.append(line + b"\n")
                _rewrite(path, kept)
        self.waiting = sum(_count(left) for left in _files(self._folder))
        return gone


def traces_in(folder: Path) -> Iterator[Trace]:
    """The traces that wait in a spool, oldest first, also while another process takes them from there."""
    for path in _files(folder):
        with contextlib.suppress(FileNotFoundError):
            yield from (item for item, _ in _items(path.read_bytes()) if isinstance(item, Trace))


def _is_meant(trace: Trace, named: set[str], after: set[End]) -> bool:
    """Whether a trace is one of those, or goes on from one; then its end is added to theirs."""
    parts = cut(trace)
    if trace.id not in named and after.isdisjoint((name, trace.client) for name in parts.before):
        return False
    after.add((parts.head, trace.client))
    return True


def _items(content: bytes) -> Iterator[tuple[Item, bytes]]:
    """What is in a file, and its lines."""
    for line in content.splitlines():
        with contextlib.suppress(msgspec.DecodeError):
            item = _decode(line).item
            if item is not None:
                yield item, line


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While no other process changes the files: a second gateway on this home, or a command."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _append(path: Path, lines: bytes) -> None:
    """All of the lines, behind one that a crash cut off, or, where that raises OSError, none."""
    with open(path, "ab", buffering=0, opener=_for_its_owner) as file:
        size = file.tell()
        left = memoryview(lines if _ended(path, size) else b"\n" + lines)
        try:
            while left:
                left = left[file.write(left) :]
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(size)
            raise


def _for_its_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _ended(path: Path, size: int) -> bool:
    """Whether a file's last line is whole."""
    with path.open("rb") as file:
        file.seek(max(0, size - 1))
        return file.read(1) in (b"", b"\n")


def _rewrite(path: Path, lines: list[bytes]) -> None:
    """So that a file holds these lines, or, after a crash, still those it had."""
    part = path.with_suffix(_PART)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.writelines(lines)
    part.replace(path)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl")) if folder.is_dir() else []


def _line(item: Item) -> _Line:
    if isinstance(item, Trace):
        return _Line(trace=item)
    return _Line(outcome=item) if isinstance(item, Outcome) else _Line(forgetting=item)


def _count(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.read_bytes().count(b"\n")
    return 0
