"""The recorder: traces on their way to the store, off the response path.

Owns the bounded queue, the batching and what happens when the store cannot take them. Knows nothing of SQL or HTTP.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import OrderedDict
from pathlib import Path

import msgspec
import structlog

from distill.store import TraceStore
from distill.trace import Trace
from gateway.errors import StartError

_log = structlog.get_logger("recorder")

_BATCH = 200
_RETRY_SECONDS = 1.0


class RecorderStatus(msgspec.Struct, frozen=True):
    waiting: int
    written: int
    dropped: int
    error: str


class Recorder:
    """Takes traces without ever waiting; one task writes them in batches within `flush` seconds.

    A store that is locked or full costs traces, never an answer: up to `limit` wait for it, the others are counted
    as dropped.
    """

    def __init__(self, path: Path, *, limit: int = 5000, flush: float = 0.1) -> None:
        self._path = path
        self._limit = limit
        self._flush = flush
        self._waiting: OrderedDict[str, Trace] = OrderedDict()
        self._something = asyncio.Event()
        self._store: TraceStore | None = None
        self._task: asyncio.Task[None] | None = None
        self._written = 0
        self._dropped = 0
        self._error = ""

    async def start(self) -> None:
        try:
            self._store = await TraceStore.open(self._path)
        except sqlite3.Error as error:
            raise StartError(
                f"the trace store {self._path} cannot be opened ({error}): move it away to start anew"
            ) from error
        self._task = asyncio.create_task(self._write_forever(), name="recorder")

    async def stop(self) -> None:
        """Write what waits, once, and close."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        while self._waiting and await self._write_batch():
            pass
        if self._waiting:
            _log.error("traces lost", count=len(self._waiting), error=self._error)
        if self._store is not None:
            await self._store.close()

    def put(self, trace: Trace) -> None:
        if len(self._waiting) >= self._limit:
            self._dropped += 1
            return
        self._waiting[trace.id] = trace
        self._something.set()

    async def get(self, trace_id: str) -> Trace | None:
        if trace_id in self._waiting:
            return self._waiting[trace_id]
        return await self._store.get(trace_id) if self._store is not None else None

    @property
    def status(self) -> RecorderStatus:
        return RecorderStatus(len(self._waiting), self._written, self._dropped, self._error)

    async def _write_forever(self) -> None:
        while True:
            await self._something.wait()
            self._something.clear()
            await asyncio.sleep(self._flush)
            while self._waiting:
                if not await self._write_batch():
                    await asyncio.sleep(_RETRY_SECONDS)

    async def _write_batch(self) -> bool:
        """Whether the oldest waiting traces were written; they wait on if not."""
        batch = [trace for _, trace in zip(range(_BATCH), self._waiting.values(), strict=False)]
        if self._store is None:
            return False
        try:
            await asyncio.shield(self._store.insert(batch))
        except sqlite3.Error as error:
            if not self._error:
                _log.error("traces cannot be written", path=str(self._path), error=str(error))
            self._error = str(error)
            return False
        self._error = ""
        self._written += len(batch)
        for trace in batch:
            self._waiting.pop(trace.id, None)
        return True
