"""Where traces wait on disk while the store cannot take them.

Owns files of JSON lines, each trace redacted. Knows nothing of SQL.
"""

from __future__ import annotations

import contextlib
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
        if folder.is_dir():
            for left in folder.glob(f"*{_PART}"):
                left.unlink(missing_ok=True)
        self.waiting = sum(_count(path) for path in _files(folder))

    def add(self, items: Sequence[Item]) -> None:
        """Append. Raises OSError, and then nothing was added."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        files = _files(self._folder)
        path = files[-1] if files else self._folder / "00000000.jsonl"
        if files and path.stat().st_size > _FILE_BYTES:
            path = self._folder / f"{int(path.stem) + 1:08}.jsonl"
        lines = b"".join(_encode(_line(item)) + b"\n" for item in items)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as file:
            size = file.tell()
            try:
                file.write(lines)
                file.flush()
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(size)
                raise
        self.waiting += len(items)

    def oldest(self) -> tuple[Path, list[Item]] | None:
        """The oldest file and what is in it; None when nothing waits. A line that was cut off is left out."""
        files = _files(self._folder)
        return (files[0], [item for item, _ in _read(files[0])]) if files else None

    def remove(self, path: Path) -> None:
        """What was in the file is in the store."""
        path.unlink(missing_ok=True)
        self._recount()

    def forget(self, names: Collection[str], ends: Collection[End]) -> dict[str, str]:
        """Take out these traces, those that go on from them or from where `ends` are, and what is known of any of them;
        the ids of those there were, with the ids that clients saw. Raises OSError; then some may still be there."""
        named, after, gone = set(names), set(ends), dict[str, str]()
        for path in _files(self._folder):
            kept = []
            for item, line in _read(path):
                if isinstance(item, Trace) and _is_meant(item, named, after):
                    gone[item.id] = item.wire_id
                elif not (isinstance(item, Outcome) and item.trace in named | gone.keys()):
                    kept.append(line + b"\n")
            _rewrite(path, kept)
        self._recount()
        return gone

    def _recount(self) -> None:
        self.waiting = sum(_count(left) for left in _files(self._folder))


def traces_in(folder: Path) -> Iterator[Trace]:
    """The traces that wait in a spool, oldest first, also while another process takes them from there."""
    for path in _files(folder):
        with contextlib.suppress(FileNotFoundError):
            yield from (item for item, _ in _read(path) if isinstance(item, Trace))


def _is_meant(trace: Trace, named: set[str], after: set[End]) -> bool:
    """Whether a trace is one of those, or goes on from one; then its end is added to theirs."""
    parts = cut(trace)
    if trace.id not in named and after.isdisjoint((name, trace.client) for name in parts.before):
        return False
    after.add((parts.head, trace.client))
    return True


def _read(path: Path) -> Iterator[tuple[Item, bytes]]:
    """What is in a file, and its lines."""
    for line in path.read_bytes().splitlines():
        with contextlib.suppress(msgspec.DecodeError):
            item = _decode(line).item
            if item is not None:
                yield item, line


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
    return path.read_bytes().count(b"\n")
