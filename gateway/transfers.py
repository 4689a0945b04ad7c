"""Traces in and out of files: what an import and an export do with the store.

Owns that what comes in is redacted and may teach nothing until it is taken. Knows nothing of the forms of files, which
are `distill.formats`', or of what is printed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from distill.formats import find, write
from distill.formats.lines import BadLine
from distill.redact.key import key_at
from distill.redact.redactor import Redactor
from distill.store.store import TraceStore
from distill.trace import Trace

_BATCH = 200
_SHOWN = 20  # bad lines that are told one by one: a file may have a hundred million

WRITERS: dict[str, Callable[[Iterable[Iterable[Trace]]], Iterator[bytes]]] = {
    "traces": lambda conversations: write.traces(trace for traces in conversations for trace in traces),
    "openai": write.openai,
    "trl": write.trl,
    "plan": write.plan,
}


class Imported(msgspec.Struct):
    """What an import did so far: traces read, of these new ones, and how many lines were left out, the first of them
    in `shown`."""

    read: int = 0
    new: int = 0
    bad: int = 0
    shown: list[BadLine] = []

    def leave_out(self, line: BadLine) -> None:
        self.bad += 1
        if len(self.shown) < _SHOWN:
            self.shown.append(line)


async def take_in(path: Path, form: str, data: Path, told: Callable[[Imported], None]) -> Imported:
    """Read a file or folder into the store; `told` hears after each batch. Raises FormatError or sqlite3.Error."""
    redactor, done = Redactor(key_at(data / "redact.key")), Imported()
    batch: list[Trace] = []
    async with await TraceStore.open(data / "traces.db", cleaned=redactor.trace) as store:
        for found in find.read(path, form or find.detect(path)):
            if isinstance(found, BadLine):
                done.leave_out(found)
                continue
            batch.append(redactor.trace(found))
            if len(batch) == _BATCH:
                await _insert(store, batch, done)
                told(done)
                batch = []
        await _insert(store, batch, done)
    return done


async def lines_of(store: TraceStore, form: str) -> AsyncIterator[bytes]:
    """All conversations in one of the forms, a line at a time; one conversation is in memory."""
    async for traces in store.conversations():
        for line in WRITERS[form]([traces]):
            yield line


async def _insert(store: TraceStore, batch: list[Trace], done: Imported) -> None:
    if batch:
        done.new += await store.insert(batch)
        done.read += len(batch)
