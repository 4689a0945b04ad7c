"""The recording process: reads traces from its standard input, redacts them, writes them to the store.

Owns the order redact, keep, tell. It ends when its input does, which it reads to the end: a gateway that is killed
takes nothing with it that it has sent. Knows nothing of who sends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence

import msgspec

from distill.outcome import Outcome
from distill.redact.key import key_at
from distill.redact.redactor import Redactor
from distill.trace import Trace
from gateway.recording.frames import FORGETTING, Forgetting, Heard, Item, Orders, opened, read_frame
from gateway.recording.keeping import AGAIN, REFUSAL, Keeping, words

_BATCH = 200
_QUEUED_BYTES = 64 * 1024 * 1024  # read and not yet written; then the gateway has to wait
_QUIET = 0.25  # seconds without a trace, after which searches are prepared
_ASLEEP = 300.0  # seconds between two looks at what may wait, while there is nothing
_TIDY = 3600.0  # seconds between two looks at what is too old
_LAST_TRIES = 5  # to write what is left, once nobody sends any more


class Recording:
    """What is sent, on its way to where it is kept."""

    def __init__(self, orders: Orders, redactor: Redactor) -> None:
        self._redactor = redactor
        self._keeping = Keeping(orders, redactor.trace, self._tell)
        self._queue: asyncio.Queue[tuple[bytes, bytes] | None] = asyncio.Queue()
        self._queued = 0
        self._room = asyncio.Event()
        self._room.set()
        self._done = 0
        self._over = False  # the input has ended
        self._last_tries = 0  # since then
        self._patience = _QUIET  # how long another trace is waited for before what may wait is done
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
            await self._keeping.close()

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
            forgotten = await self._settled(await self._redacted(frames))
            if forgotten is None:
                return False
            self._patience = _QUIET
            self._done += len(frames)
            self._queued -= sum(len(body) for _, body in frames)
            self._room.set()
            self._tell(forgotten)
        elif not ended:
            await self._at_leisure()
        return not ended

    async def _frames(self) -> tuple[list[tuple[bytes, bytes]], bool]:
        """What waits, up to a batch, or to what is to be forgotten; nothing when it stays quiet for a moment."""
        frames: list[tuple[bytes, bytes]] = []
        try:
            async with asyncio.timeout(self._patience):
                first = await self._queue.get()
        except TimeoutError:
            return [], False
        while first is not None:
            frames.append(first)
            if first[0] == FORGETTING or self._queue.empty() or len(frames) >= _BATCH:
                return frames, False
            first = self._queue.get_nowait()
        return frames, True

    async def _redacted(self, frames: Sequence[tuple[bytes, bytes]]) -> list[Item]:
        items: list[Item] = []
        for kind, body in frames:
            try:
                item = opened(kind, body)
            except (msgspec.DecodeError, KeyError) as error:  # of this program's own making: told, and passed over
                self._keeping.error = f"a trace could not be read: {error}"
                continue
            items.append(self._cleaned(item))
            await asyncio.sleep(0)  # the pipe is read meanwhile
        return items

    def _cleaned(self, item: Item) -> Item:
        if isinstance(item, Trace):
            return self._redactor.trace(item)
        return self._redactor.outcome(item) if isinstance(item, Outcome) else item

    async def _settled(self, items: list[Item]) -> dict[str, str] | None:
        """Keep what is to be kept, then forget what is to be forgotten, which is the last if there is any; the traces
        that are gone. None where the disk takes nothing and nobody sends any more."""
        kept = [item for item in items if not isinstance(item, Forgetting)]
        while kept and not await self._keeping.keep(kept):
            if not await self._may_try_again():
                return None
        last = items[-1] if items else None
        if not isinstance(last, Forgetting):
            return {}
        while (gone := await self._keeping.forget(last.traces)) is None:
            if not await self._may_try_again():
                return None
        return gone

    async def _may_try_again(self) -> bool:
        """After a while, unless it was tried often enough since the input ended."""
        await asyncio.sleep(AGAIN)
        self._last_tries += self._over
        return self._last_tries < _LAST_TRIES

    async def _at_leisure(self) -> None:
        """What may wait: the spool, searches, traces that are too old."""
        keeping = self._keeping
        await keeping.unspool()
        try:
            while (more := await keeping.index_some()) and self._queue.empty():
                pass
            self._patience = _QUIET if more else AGAIN if keeping.waiting else _ASLEEP
            if time.monotonic() > self._tidy_at:
                self._tidy_at = time.monotonic() + _TIDY
                await keeping.tidy()
        except REFUSAL as error:
            keeping.say(words(error))
            await asyncio.sleep(AGAIN)

    def _tell(self, forgotten: dict[str, str] | None = None) -> None:
        keeping = self._keeping
        heard = Heard(done=self._done, spooled=keeping.waiting, error=keeping.error, forgotten=forgotten or {})
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
