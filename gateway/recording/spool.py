"""Where traces wait on disk while the store cannot take them.

Owns files of JSON lines, each trace redacted. Knows nothing of SQL.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from distill.outcome import Outcome
from distill.trace import Trace

_FILE_BYTES = 16 * 1024 * 1024  # of one file; then another is begun


class _Line(msgspec.Struct, frozen=True, omit_defaults=True):
    trace: Trace | None = None
    outcome: Outcome | None = None


_decode = msgspec.json.Decoder(_Line).decode
_encode = msgspec.json.Encoder().encode


class Spool:
    """Traces and outcomes in files of a folder, oldest first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.waiting = sum(_count(path) for path in self._files())

    def add(self, items: list[Trace | Outcome]) -> None:
        """Append. Raises OSError, and then nothing was added."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        files = self._files()
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

    def oldest(self) -> tuple[Path, list[Trace | Outcome]] | None:
        """The oldest file and what is in it; None when nothing waits. A line that was cut off is left out."""
        files = self._files()
        if not files:
            return None
        items: list[Trace | Outcome] = []
        for line in files[0].read_bytes().splitlines():
            with contextlib.suppress(msgspec.DecodeError):
                held = _decode(line)
                items += [item for item in (held.trace, held.outcome) if item is not None]
        return files[0], items

    def remove(self, path: Path) -> None:
        """What was in the file is in the store."""
        path.unlink()
        self.waiting = sum(_count(left) for left in self._files())

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.jsonl")) if self._folder.is_dir() else []


def _line(item: Trace | Outcome) -> _Line:
    return _Line(trace=item) if isinstance(item, Trace) else _Line(outcome=item)


def _count(path: Path) -> int:
    return path.read_bytes().count(b"\n")
