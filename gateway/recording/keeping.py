"""Where traces are kept: in the store, and while that takes none, beside it in the spool.

Owns the order in which they get there, and that what is forgotten is gone from both, and from datasets, and does not
come back. Knows nothing of pipes, of who sends, or of how anything is redacted.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
import time
from collections.abc import Callable, Sequence, Set
from typing import TYPE_CHECKING

from distill.errors import DistillError
from distill.outcome import Outcome
from distill.store.parts import cut
from distill.store.store import TraceStore
from distill.trace import Trace
from gateway.recording.frames import Forgetting, Item, Orders
from gateway.recording.spool import End, Spool

if TYPE_CHECKING:
    from distill.dataset import Origin

AGAIN = 1.0  # seconds until a store that refused is tried again
REFUSAL = (sqlite3.Error, DistillError, OSError)  # what a store says that takes nothing

_BATCH = 200
_LOOK = 86400.0  # seconds until all datasets are read again
_DOUBT = 86400.0  # seconds for which a clock that leapt ahead is not asked again
_BUSY = 0.1  # seconds that another writer is waited for: longer than that, and the spool keeps the promise


def words(error: Exception) -> str:
    return str(error) or type(error).__name__


class Keeping:
    """One store, and what waits for it. Older traces in it are brought up to date as `cleaned` gives them; `changed`
    hears when there is something new in `waiting` or `error`. Not for two tasks at once."""

    def __init__(
        self, orders: Orders, cleaned: Callable[[Trace], Trace], changed: Callable[[], None] = lambda: None
    ) -> None:
        self._orders = orders
        self._cleaned = cleaned
        self._changed = changed
        self._spool = Spool(orders.spool)
        self._store: TraceStore | None = None
        self._retry_at = 0.0
        self._doubts_until = 0.0  # nothing is too old
        self._datasets_at = 0.0  # when they are looked through again for what is too old
        self._log_left = True  # something forgotten may be in the store's log, also since another process
        self.error = ""
        """What is wrong, empty while nothing is."""

    @property
    def waiting(self) -> int:
        """How much waits beside the store."""
        return self._spool.waiting

    async def keep(self, items: Sequence[Item]) -> bool:
        """Whether the items are on disk now: in the store, else in the spool."""
        if not self._spool.waiting and await self._stored(items):
            return True
        try:
            self._spool.add(items)
        except OSError as error:
            self.say(f"traces can be written neither to the store nor beside it: {error}")
            await self.unspool()
            return await self._stored(items) if not self._spool.waiting else False
        await self.unspool()
        return True

    async def forget(self, names: Sequence[str]) -> dict[str, str] | None:
        """Delete traces, those that go on from them, and what is known of them; their ids, with those that clients saw.

        While the store takes nothing, what waits in the spool is gone, and the rest will be as soon as it does. None
        where not even that can be written down.
        """
        self._retry_at = 0.0
        await self.unspool()
        known = await self._those_after(names)
        known |= await self._only_learnt({*names} - {*known})
        forgetting: list[Item] = [Forgetting([*dict.fromkeys([*names, *known])])]
        if not self._spool.waiting and await self._stored(forgetting):
            return known
        with contextlib.suppress(OSError):  # what cannot leave them now will with the rest
            await self._forget_in_datasets([*names, *known])
        try:
            gone = self._spool.forget(names, await self._ends(list(known)))
            self._spool.add(forgetting)
        except OSError as error:
            self.say(f"traces cannot be forgotten: {error}")
            return None
        return known | gone

    async def unspool(self) -> None:
        """Bring what waits beside the store into it, file by file, as long as it takes them."""
        try:
            await self._unspool()
        except OSError as error:
            self.say(f"what waits beside the store cannot be brought into it: {error}")

    async def _unspool(self) -> None:
        while time.monotonic() >= self._retry_at and (oldest := self._spool.oldest()) is not None:
            path, items = oldest
            for at in range(0, len(items), _BATCH):
                if not await self._stored(items[at : at + _BATCH]):
                    return
            self._spool.remove(path)
            self._changed()

    async def settle_some(self) -> bool:
        """Have nothing that was forgotten stay in the store's log, and prepare some more of what came lately for
        searches; whether there is still more. Raises a REFUSAL."""
        store = await self._opened()
        if self._log_left:
            self._log_left = not await store.empty_log()
        return await store.index_some()

    async def tidy(self) -> None:
        """Forget what is too old, also in datasets, or too much. Raises a REFUSAL."""
        days, size = self._orders.keep_days, self._orders.keep_bytes
        store = await self._opened()
        if days and time.monotonic() >= self._doubts_until and (old := await self._too_old(store, days)):
            await self._forget(store, old)
        if size and (surplus := await store.oldest(None, size)):
            await store.forget(surplus)
            self._log_left = True

    async def _too_old(self, store: TraceStore, days: float) -> list[str]:
        """By a clock that leapt ahead: what is too old by the little of it that is believed, and no more for a day, in
        which somebody may set it right."""
        now = time.time()
        believed = await store.believed(now)
        if believed < now:
            self._doubts_until = time.monotonic() + _DOUBT
        limit = believed - days * 86400
        old = await store.oldest(limit, None)
        if time.monotonic() >= self._datasets_at:
            old += await self._in_datasets(lambda origin: 0 < origin.created < limit)
            self._datasets_at = time.monotonic() + _LOOK
        return old

    def say(self, error: str) -> None:
        """Something is wrong."""
        if error != self.error:
            self.error = error
            self._changed()

    async def close(self) -> None:
        if self._store is not None:
            await self._store.close()

    async def _stored(self, items: Sequence[Item]) -> bool:
        if time.monotonic() < self._retry_at:
            return False
        try:
            store = await self._opened()
            for _, some in itertools.groupby(items, lambda item: isinstance(item, Forgetting)):
                await self._put(store, list(some))
        except REFUSAL as error:
            self._retry_at = time.monotonic() + AGAIN
            self.say(words(error))
            return False
        self.error = ""
        return True

    async def _opened(self) -> TraceStore:
        if self._store is None:
            self._store = await TraceStore.open(self._orders.store, _BUSY, self._cleaned)
        return self._store

    async def _those_after(self, names: Sequence[str]) -> dict[str, str]:
        """Of what is in the store; one that is locked can be read."""
        with contextlib.suppress(*REFUSAL):
            return await (await self._opened()).with_those_after(names)
        return {}

    async def _only_learnt(self, names: Set[str]) -> dict[str, str]:
        """Of what had to make room in the store but is in datasets still; no client's ids are known of it."""
        found = await self._in_datasets(lambda origin: not names.isdisjoint(origin.traces)) if names else []
        return {name: "" for name in found if name in names}

    async def _in_datasets(self, meant: Callable[[Origin], bool]) -> list[str]:
        if not self._orders.datasets.is_dir():
            return []
        from distill.dataset import traces_where  # with numpy, which traces have no other use for

        return await asyncio.to_thread(traces_where, self._orders.datasets, meant)

    async def _ends(self, names: Sequence[str]) -> set[End]:
        """Where these traces of the store end, so that those that go on from them are found in the spool."""
        found: set[End] = set()
        with contextlib.suppress(*REFUSAL):
            store = await self._opened()
            for name in names:
                if (trace := await store.get(name)) is not None:
                    found.add((cut(trace).head, trace.client))
        return found

    async def _put(self, store: TraceStore, items: list[Item]) -> None:
        """Raises a REFUSAL; what is done again then changes nothing."""
        await store.insert([item for item in items if isinstance(item, Trace)])
        await store.add_outcomes([item for item in items if isinstance(item, Outcome)])
        names = [name for item in items if isinstance(item, Forgetting) for name in item.traces]
        if names:
            await self._forget(store, [*dict.fromkeys([*names, *await store.with_those_after(names)])])

    async def _forget(self, store: TraceStore, names: list[str]) -> None:
        """From the datasets first: as long as the store has a trace, it can be forgotten once more."""
        await self._forget_in_datasets(names)
        await store.forget(names)
        self._log_left = True

    async def _forget_in_datasets(self, names: list[str]) -> None:
        if self._orders.datasets.is_dir():
            from distill.dataset import forget_in

            await asyncio.to_thread(forget_in, self._orders.datasets, names)
