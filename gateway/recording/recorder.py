"""The recorder: traces on their way to the recording process, off the response path.

Owns the bounded queue, the process that redacts and writes, and what happens when that process dies or cannot write:
what it has not told to be on disk is sent again. Knows nothing of SQL, redaction or HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

import msgspec
import structlog

from distill.outcome import Outcome
from distill.store.listing import Wanted
from distill.store.store import TraceStore
from distill.trace import Trace
from gateway.errors import StartError, TracesBusy
from gateway.recording.frames import Forgetting, Heard, Orders, framed, unframed
from gateway.recording.spool import traces_in

if TYPE_CHECKING:
    from distill.redact.redactor import Redactor

_log = structlog.get_logger("recorder")

_SENT_TOGETHER = 256
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds until a process that died is started again
_START_SECONDS = 10.0  # a start waits so long for the process, and then goes on without
_LAST_SECONDS = 20.0  # for the process to write what it was sent, when the gateway stops
_SEEN_SECONDS = 2.0  # how long a reader waits for a trace that is on its way
_FORGET_SECONDS = 30.0  # how long it is waited for that traces are forgotten
_LINE_BYTES = 64 * 1024 * 1024  # of what the process tells: the ids of all that is forgotten at once

_heard = msgspec.json.Decoder(Heard).decode


class RecorderStatus(msgspec.Struct, frozen=True):
    """`waiting`: not yet on disk; `spooled`: on disk, but not yet in the store; `dropped`: lost, as too many waited."""

    waiting: int
    written: int
    spooled: int
    dropped: int
    error: str


class _Waiting(msgspec.Struct, frozen=True):
    """A frame, the ids of the trace in it (of anything else: none), and who waits for what is forgotten by it."""

    frame: bytes
    ids: tuple[str, ...] = ()
    forgotten: asyncio.Future[dict[str, str]] | None = None


class Recorder:
    """Takes traces without ever waiting; they are sent within `flush` seconds.

    Whatever happens to store or process costs traces at worst, never an answer: up to `limit` bytes wait in memory,
    what comes on top is counted as dropped.
    """

    def __init__(self, orders: Orders, *, limit: int = 64 * 1024 * 1024, flush: float = 0.02) -> None:
        self._orders = orders
        self._limit = limit
        self._flush = flush
        self._waiting: deque[_Waiting] = deque()  # what nobody has told to be on disk, oldest first
        self._sent = 0  # of these, how many the process that runs has been sent
        self._bytes = 0
        self._something = asyncio.Event()
        self._landed = asyncio.Condition()
        self._listening = asyncio.Event()  # a process has told that it reads
        self._store: TraceStore | None = None
        self._redactor: Redactor | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._written = self._spooled = self._dropped = 0
        self._error = ""

    async def start(self) -> None:
        """Raises StartError for a store that cannot be used."""
        path = self._orders.store
        try:
            self._store = await TraceStore.open(path, cleaned=self._redacted)
        except sqlite3.Error as error:
            raise StartError(
                f"the trace store {path} cannot be opened ({error}): move it away to start anew"
            ) from error
        self._task = asyncio.create_task(self._live(), name="recorder")
        with contextlib.suppress(TimeoutError):  # what is promised holds from the first answer on
            await asyncio.wait_for(self._listening.wait(), _START_SECONDS)

    async def stop(self) -> None:
        """Have everything written that waits, for a while, and close."""
        self._stopping = True
        self._something.set()
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._task, _LAST_SECONDS)
        if self._waiting:
            _log.error("traces lost", count=len(self._waiting), error=self._error)
        if self._store is not None:
            await self._store.close()

    def put(self, item: Trace | Outcome) -> None:
        """A trace, or an outcome of one, to be kept."""
        if self._bytes > self._limit:
            self._dropped += 1
            return
        ids = (item.id, item.wire_id) if isinstance(item, Trace) else ()
        self._add(_Waiting(framed(item), ids))

    async def forget(self, names: Sequence[str]) -> dict[str, str]:
        """Forget traces and those that go on from them, also those that are on their way; the ids of all that are gone,
        with those that clients saw.

        Raises TracesBusy where that takes too long; it is done as soon as it can be.
        """
        forgotten: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
        self._add(_Waiting(framed(Forgetting(list(names))), forgotten=forgotten))
        try:
            return await asyncio.wait_for(forgotten, _FORGET_SECONDS)
        except TimeoutError as error:
            raise TracesBusy from error

    async def get(self, trace_id: str) -> Trace | None:
        """The trace of that id, or of that id as the client saw it, as it is kept. One on its way is waited for, for a
        moment."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SEEN_SECONDS), self._landed:
                await self._landed.wait_for(lambda: self._on_its_way(trace_id) is None)
        if (found := await self.store.get(trace_id)) is not None:
            return found
        if self._spooled and (found := await asyncio.to_thread(self._in_spool, trace_id)) is not None:
            return found
        held = self._on_its_way(trace_id)
        return await asyncio.to_thread(self._opened, held.frame) if held is not None else None

    async def last_of(self, conversation: str, client: str | None) -> Trace | None:
        """A conversation's latest trace; None as the client means any. The name is as the client said it, which may be
        another than the one that is kept."""
        all_of_now = self._written + len(self._waiting)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SEEN_SECONDS), self._landed:
                await self._landed.wait_for(lambda: self._written >= all_of_now)
        for name in dict.fromkeys((conversation, self._cleaner().text(conversation))):
            if found := await self.store.listed(Wanted(conversation=name, client=client), limit=1):
                return await self.store.get(found[0].id)
        return None

    @property
    def status(self) -> RecorderStatus:
        return RecorderStatus(len(self._waiting), self._written, self._spooled, self._dropped, self._error)

    @property
    def store(self) -> TraceStore:
        """For reading; only between start and stop."""
        assert self._store is not None
        return self._store

    def _add(self, waiting: _Waiting) -> None:
        self._waiting.append(waiting)
        self._bytes += len(waiting.frame)
        self._something.set()

    def _on_its_way(self, trace_id: str) -> _Waiting | None:
        return next((held for held in self._waiting if trace_id in held.ids), None)

    def _in_spool(self, trace_id: str) -> Trace | None:
        return next((t for t in traces_in(self._orders.spool) if trace_id in (t.id, t.wire_id)), None)

    def _opened(self, frame: bytes) -> Trace | None:
        item = unframed(frame)
        return self._redacted(item) if isinstance(item, Trace) else None

    def _redacted(self, trace: Trace) -> Trace:
        """For the traces of an older store, and those that are looked at on their way; the recording process does that
        of all others."""
        return self._cleaner().trace(trace)

    def _cleaner(self) -> Redactor:
        """Redaction here, made when it is first asked for: a gateway seldom needs it."""
        if self._redactor is None:
            from distill.redact.key import key_at
            from distill.redact.redactor import Redactor

            self._redactor = Redactor(key_at(self._orders.key))
        return self._redactor

    async def _live(self) -> None:
        """A process as long as the gateway runs: another when one dies."""
        pause = _FIRST_PAUSE
        while True:
            before = self._written
            try:
                await self._run_process()
            except OSError as error:  # the machine has no room for another process just now
                self._error = f"the recording process cannot be started: {error}"
            went_on = self._written > before
            if self._stopping and not (went_on and self._waiting):
                return
            pause = _FIRST_PAUSE if went_on else min(pause * 2, _LONGEST_PAUSE)
            self._error = self._error or "the recording process ended, and is started again"
            _log.error("recording process ended", again_in=pause)
            await asyncio.sleep(pause)

    async def _run_process(self) -> None:
        """One process, from its start to its end."""
        command = [sys.executable, "-m", "gateway.recording.process", self._orders.text]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=_LINE_BYTES)
        assert process.stdin is not None
        self._sent = 0
        sending = asyncio.create_task(self._send(process.stdin))
        try:
            await self._hear(process)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            process.stdin.close()
            await process.wait()

    async def _send(self, pipe: asyncio.StreamWriter) -> None:
        """Send what waits, as it comes; the pipe is closed when the gateway stops."""
        with contextlib.suppress(ConnectionError):
            while True:
                while some := list(islice(self._waiting, self._sent, self._sent + _SENT_TOGETHER)):
                    self._sent += len(some)
                    pipe.writelines([waiting.frame for waiting in some])
                    await pipe.drain()
                if self._stopping:
                    pipe.close()
                    return
                await self._something.wait()
                self._something.clear()
                if not self._stopping:
                    await asyncio.sleep(self._flush)

    async def _hear(self, process: asyncio.subprocess.Process) -> None:
        """What the process tells, until it ends."""
        assert process.stdout is not None
        done = 0
        async for line in process.stdout:
            heard = _heard(line)
            self._listening.set()
            self._spooled = heard.spooled
            if heard.error and heard.error != self._error:
                _log.error("traces cannot be written", path=str(self._orders.store), error=heard.error)
            self._error = heard.error
            async with self._landed:
                for _ in range(heard.done - done):
                    landed = self._waiting.popleft()
                    self._bytes -= len(landed.frame)
                    if landed.forgotten is not None and not landed.forgotten.done():
                        landed.forgotten.set_result(heard.forgotten)
                self._sent -= heard.done - done
                self._written += heard.done - done
                done = heard.done
                self._landed.notify_all()
