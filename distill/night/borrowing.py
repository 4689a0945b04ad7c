"""Borrowing: memory that models of the gateway give up while training needs it, kept by renewing.

Owns the lease and when it is given back for a while. Knows nothing of what is done with the memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from distill.day import Day, DayError

_SECONDS = 30.0  # that a dead night holds its memory at most: with a model to load, the day is back in a minute
_TICK = 2.0  # seconds between two looks, at whether somebody was turned away and whether it is quiet


class GaveWay(Exception):
    """Somebody asks for a model that the borrowed memory leaves no room for."""


class Lent:
    """Memory that is lent. `wanted`: since it was, a request was turned away for want of it."""

    wanted = False


@asynccontextmanager
async def borrowed(day: Day, size: int, every: float = _TICK) -> AsyncIterator[Lent]:
    """So many bytes, for as long as the block lasts, renewed `every` so many seconds. A night that dies loses them by
    itself. Raises DayError."""
    lease, lent = await day.lease(size, _SECONDS), Lent()
    before = await day.renew(lease)

    async def keep() -> None:
        nonlocal lease, before
        while True:
            await asyncio.sleep(every)
            try:
                refused = await day.renew(lease)
                lent.wanted = lent.wanted or refused > before
            except DayError:  # the gateway was started anew, or too busy for too long
                with suppress(DayError):
                    lease = await day.lease(size, _SECONDS)
                    before = await day.renew(lease)

    keeper = asyncio.create_task(keep())
    try:
        yield lent
    finally:
        keeper.cancel()
        with suppress(asyncio.CancelledError, DayError):
            await keeper
        with suppress(DayError):  # it ends by itself
            await day.give_back(lease)


async def quiet(day: Day, seconds: float) -> None:
    """Wait until nobody asked for anything for so long. Raises DayError."""
    while True:
        idle = (await day.status()).get("idle_seconds")
        if idle is None or float(idle) >= seconds:
            return
        await asyncio.sleep(_TICK)
