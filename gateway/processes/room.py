"""The memory that local models share with the night: who may be in it, and who gives way.

Owns the arithmetic and the order in which models give way. Knows of a process only what it takes, whether it runs or is
about to, how long it has been idle, and how to stop it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from gateway.errors import MemoryLeased, NoRoom

_log = structlog.get_logger("room")

_PAUSE = 0.2  # seconds without work after which a tenant may be stopped: whoever it started for is about to ask
_TICK = 0.1  # seconds between two looks at who has become idle
_GRACE = 10.0  # seconds that answers under way get before the night takes their model's memory
_RETRY = 10.0  # what a client is told


class Tenant(Protocol):
    """A process as the room sees it."""

    @property
    def name(self) -> str: ...

    @property
    def memory_bytes(self) -> int: ...

    @property
    def start_seconds(self) -> float: ...

    @property
    def wanted(self) -> bool:
        """Whether it runs, is about to, or has not quite ended."""

    def idle_since(self, now: float) -> float:
        """Seconds without work; 0 while it has some."""

    def want(self) -> None: ...
    async def stop(self) -> None: ...


class Room:
    """`budget` in bytes, for all tenants and what `leased` tells; 0: no limit is kept. A tenant of 0 bytes is not
    counted."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._turn = asyncio.Lock()  # first come, first served
        self._heir: Tenant | None = None  # who waits for the others' memory
        self.tenants: list[Tenant] = []
        self.leased: Callable[[], int] = lambda: 0
        self.refused = 0  # requests that were turned away since the night has the memory that they wanted

    def yields(self, tenant: Tenant) -> bool:
        """Whether another one waits for memory, so that this one should take on nothing new."""
        return self._heir is not None and self._heir is not tenant

    async def make(self, tenant: Tenant) -> None:
        """Return when the tenant runs or has been told to: others were stopped as soon as they were idle.

        Raises MemoryLeased where the night has the memory, NoRoom where others were busy for too long.
        """
        async with self._turn:
            if tenant.wanted or self._fits(tenant):
                tenant.want()
                return
            self._heir = tenant
            try:
                async with asyncio.timeout(tenant.start_seconds):
                    while not self._fits(tenant):
                        self._refuse_leased(tenant)
                        if not await self._stop_one(tenant, idle=_PAUSE):
                            await asyncio.sleep(_TICK)
            except TimeoutError as error:
                raise NoRoom(retry_after=_RETRY) from error
            except MemoryLeased:
                self.refused += 1
                raise
            finally:
                self._heir = None
            tenant.want()

    async def make_from_idle(self, tenant: Tenant, seconds: float) -> None:
        """As `make`, without waiting: only who has been idle for so long gives way. Raises MemoryLeased or NoRoom."""
        async with self._turn:
            while not (tenant.wanted or self._fits(tenant)):
                self._refuse_leased(tenant)
                if not await self._stop_one(tenant, idle=seconds):
                    raise NoRoom(retry_after=_RETRY)
            tenant.want()

    async def give_way(self) -> None:
        """Make good on what was lent: who is idle stops at once, the others when they are, or after a while anyway."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _GRACE
        async with self._turn:
            while self._budget and self._taken() > self._budget:
                if await self._stop_one(None, idle=_PAUSE):
                    continue
                if loop.time() < until:
                    await asyncio.sleep(_TICK)
                elif not await self._stop_one(None, idle=-1.0):
                    return

    def _fits(self, tenant: Tenant) -> bool:
        needed = 0 if tenant.wanted else tenant.memory_bytes
        return not self._budget or not tenant.memory_bytes or self._taken() + needed <= self._budget

    def _taken(self) -> int:
        return self.leased() + sum(tenant.memory_bytes for tenant in self.tenants if tenant.wanted)

    def _refuse_leased(self, tenant: Tenant) -> None:
        leased = self.leased()
        if leased and leased + tenant.memory_bytes > self._budget:
            raise MemoryLeased(retry_after=_RETRY)

    async def _stop_one(self, but: Tenant | None, idle: float) -> bool:
        """Stop whoever has been idle longest, and longer than `idle`; whether there was one."""
        now = asyncio.get_running_loop().time()
        others = [t for t in self.tenants if t.wanted and t.memory_bytes and t is not but]
        waited = {id(tenant): tenant.idle_since(now) for tenant in others}
        ready: Sequence[Tenant] = [tenant for tenant in others if waited[id(tenant)] > idle]
        if not ready:
            return False
        chosen = max(ready, key=lambda tenant: waited[id(tenant)])
        _log.info("makes room", process=chosen.name, for_process=but.name if but else "the night")
        await chosen.stop()
        return True
