"""The requests under way: counted, waited for, and ended when their time is over.

Owns who is inside, and the two ends of a request's time: its own deadline, and that of the gateway when it closes.
Knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import structlog

from gateway.errors import OverTime, ShuttingDown

_log = structlog.get_logger("underway")
_LAST_WORDS = 2.0  # seconds for requests that were ended to say so to their clients


class UnderWay:
    """All requests of one gateway. From `close` on nobody else comes in."""

    def __init__(self) -> None:
        self._inside: set[asyncio.Event] = set()  # one for each request, set when it has ended
        self._limits: set[asyncio.Timeout] = set()
        self._closes: float | None = None  # on the event loop's clock
        self._quiet_since = 0.0  # on the same clock, while nobody is inside

    @property
    def closing(self) -> bool:
        return self._closes is not None

    @property
    def quiet_for(self) -> float:
        """For how many seconds nobody was inside."""
        return 0.0 if self._inside else asyncio.get_running_loop().time() - self._quiet_since

    def check_open(self) -> None:
        """Raises ShuttingDown when nobody is let in any more; who comes back afterwards finds the next gateway."""
        if self._closes is not None:
            left = self._closes - asyncio.get_running_loop().time()
            raise ShuttingDown(retry_after=max(1.0, left))

    @contextmanager
    def entered(self) -> Iterator[None]:
        """A request is inside while the block lasts."""
        ended = asyncio.Event()
        self._inside.add(ended)
        try:
            yield
        finally:
            self._inside.discard(ended)
            self._quiet_since = asyncio.get_running_loop().time()
            ended.set()

    @asynccontextmanager
    async def until(self, deadline: float | None) -> AsyncIterator[None]:
        """End the block with OverTime at `deadline` on the event loop's clock (None: never), or with ShuttingDown when
        the gateway cannot wait for it any longer. Such blocks must not lie within each other."""
        limit = asyncio.timeout_at(deadline)
        try:
            async with limit:
                self._limits.add(limit)
                yield
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise (ShuttingDown() if self._is_over() else OverTime()) from error
        finally:
            self._limits.discard(limit)

    async def those_now(self) -> None:
        """Return when all requests that are inside now have ended."""
        for ended in list(self._inside):
            await ended.wait()

    async def close(self, seconds: float) -> None:
        """Let nobody in any more. Who is inside after so many seconds is ended, with a moment to tell its client."""
        loop = asyncio.get_running_loop()
        self._closes = loop.time() + seconds
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.those_now()
        if not self._inside:
            return
        _log.warning("requests are ended", requests=len(self._inside))
        for limit in [limit for limit in self._limits if not limit.expired()]:
            limit.reschedule(loop.time())
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                await self.those_now()

    def _is_over(self) -> bool:
        return self._closes is not None and asyncio.get_running_loop().time() >= self._closes
