"""The recording process: reads traces from its standard input, redacts them, writes them to the store.

Owns the order redact, store, tell; what cannot be stored waits in the spool. It ends when its input does, which it
reads to the end: a gateway that is killed takes nothing with it that it has sent. Knows nothing of who sends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Sequence

import msgspec

from distill.errors import DistillError
from distill.outcome import Outcome
from distill.redact.key import key_at
from distill.redact.redactor import Redactor
from distill.store.store import TraceStore
from distill.trace import Trace
from gateway.recording.frames import Heard, Item, Orders, opened, read_frame
from gateway.recording.spool import Spool

_BATCH = 200
_QUEUED_BYTES = 64 * 1024 * 1024  # read and not yet written; then the gateway has to wait
_AGAIN = 1.0  # seconds until a store that refused is tried again
_QUIET = 0.25  # seconds without a trace, after which searches are prepared
_ASLEEP = 300.0  # seconds between two looks at what may wait, while there is nothing
_TIDY = 3600.0  # seconds between two looks at what is too old
_BUSY = 0.1  # seconds that another writer is waited for: longer than that, and the spool keeps the promise
_LAST_TRIES = 5  # to write what is left, once nobody sends any more


class Recording:
    """One store, and what waits for it."""

    def __init__(self, orders: Orders, redactor: Redactor) -> None:
        self._orders = orders
        self._redactor = redactor
        self._spool = Spool(orders.spool)
        self._store: TraceStore | None = None
        self._queue: asyncio.Queue[tuple[bytes, bytes] | None] = asyncio.Queue()
        self._queued = 0
        self._room = asyncio.Event()
        self._room.set()
        self._done = 0
        self._over = False  # the input has ended
        self._patience = _QUIET  # how long another trace is waited for before what may wait is done
        self._error = ""
        self._retry_at = 0.0
        self._tidy_at = time.monotonic() + 60.0

    async def run(self) -> None:
        """Until the input has ended and everything is written, or cannot be."""
        reading = asyncio.create_task(self._read())
        self._tell()
        try:
            while await self._step():
                pass
        finally:
            reading.cancel()
            if self._store is not None:
                await self._store.close()

    async def _read(self) -> None:
        stream = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), sys.stdin)
        while (frame := await read_frame(stream)) is not None:
            self._queue.put_nowait(frame)
            self._queued += len(frame[1])
            if self._queued > _QUEUED_BYTES:
                self._room.clear()
                await self._room.wait()
        self._over = True
        self._queue.put_nowait(None)

    async def _step(self) -> bool:
        """Take what is there and keep it. False when the input has ended."""
        frames, ended = await self._frames()
        if frames:
            items = await self._redacted(frames)
            tries = 0
            while not await self._kept(items):
                tries += self._over
                if tries == _LAST_TRIES:
                    return False
                await asyncio.sleep(_AGAIN)
            self._patience = _QUIET
            self._done += len(frames)
            self._queued -= sum(len(body) for _, body in frames)
            self._room.set()
            self._tell()
        elif not ended:
            await self._at_leisure()
        return not ended

    async def _frames(self) -> tuple[list[tuple[bytes, bytes]], bool]:
        """What waits, up to a batch; nothing when it stays quiet for a moment."""
        frames: list[tuple[bytes, bytes]] = []
        try:
            async with asyncio.timeout(self._patience):
                first = await self._queue.get()
        except TimeoutError:
            return [], False
        while first is not None:
            frames.append(first)
            if self._queue.empty() or len(frames) >= _BATCH:
                return frames, False
            first = self._queue.get_nowait()
        return frames, True

    async def _redacted(self, frames: Sequence[tuple[bytes, bytes]]) -> list[Item]:
        items: list[Item] = []
        for kind, body in frames:
            try:
                item = opened(kind, body)
            except (msgspec.DecodeError, KeyError) as error:  # of this program's own making: told, and passed over
                self._error = f"a trace could not be read: {error}"
                continue
            items.append(self._redactor.trace(item) if isinstance(item, Trace) else self._redactor.outcome(item))
            await asyncio.sleep(0)  # the pipe is read meanwhile
        return items

    async def _kept(self, items: list[Item]) -> bool:
        """Whether the items are on disk: in the store, else in the spool."""
        if not self._spool.waiting and await self._stored(items):
            return True
        try:
            self._spool.add(items)
        except OSError as error:
            self._say(f"traces can be written neither to the store nor beside it: {error}")
            return await self._stored(items) if not self._spool.waiting else False
        await self._unspool()
        return True

    async def _stored(self, items: list[Item]) -> bool:
        if time.monotonic() < self._retry_at:
            return False
        try:
            store = await self._opened()
            await store.insert([item for item in items if isinstance(item, Trace)])
            await store.add_outcomes([item for item in items if isinstance(item, Outcome)])
        except (sqlite3.Error, DistillError, OSError) as error:
            self._retry_at = time.monotonic() + _AGAIN
            self._say(str(error) or type(error).__name__)
            return False
        self._error = ""
        return True

    async def _opened(self) -> TraceStore:
        if self._store is None:
            self._store = await TraceStore.open(self._orders.store, _BUSY, self._redactor.trace)
        return self._store

    async def _unspool(self) -> None:
        """Bring what waits beside the store into it, file by file, as long as it takes them."""
        while (oldest := self._spool.oldest()) is not None:
            path, items = oldest
            for at in range(0, len(items), _BATCH):
                if not await self._stored(items[at : at + _BATCH]):
                    return
            self._spool.remove(path)
            self._tell()

    async def _at_leisure(self) -> None:
        """What may wait: the spool, searches, traces that are too old."""
        if self._spool.waiting:
            await self._unspool()
        try:
            store = await self._opened()
            while (more := await store.index_some()) and self._queue.empty():
                pass
            self._patience = _QUIET if more else _AGAIN if self._spool.waiting else _ASLEEP
            if time.monotonic() > self._tidy_at:
                self._tidy_at = time.monotonic() + _TIDY
                await self._tidy(store)
        except (sqlite3.Error, DistillError, OSError) as error:
            self._say(str(error) or type(error).__name__)
            await asyncio.sleep(_AGAIN)

    async def _tidy(self, store: TraceStore) -> None:
        days, size = self._orders.keep_days, self._orders.keep_bytes
        until = time.time() - days * 86400 if days else None
        gone = await store.oldest(until, size or None)
        if gone:
            await store.forget(gone)

    def _say(self, error: str) -> None:
        if error != self._error:
            self._error = error
            self._tell()

    def _tell(self) -> None:
        heard = Heard(done=self._done, spooled=self._spool.waiting, error=self._error)
        with contextlib.suppress(OSError):  # nobody listens any more; what was sent is written all the same
            os.write(sys.stdout.fileno(), msgspec.json.encode(heard) + b"\n")


def main() -> None:
    """Run with orders as JSON in the first argument."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends with its input, and not before
    orders = Orders.read(sys.argv[1])
    asyncio.run(Recording(orders, Redactor(key_at(orders.key))).run())


if __name__ == "__main__":
    main()
