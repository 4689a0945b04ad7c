"""Forgetting from outside the gateway: what is meant, and where it is gone from.

Owns that a gateway that runs is told, so that it drops what it holds in memory too. Knows nothing of arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from distill.lineage import adapters_that_saw
from distill.store.listing import Wanted
from distill.store.store import TraceStore
from gateway.settings import Home

_ALL = 2**31


class Forgotten(msgspec.Struct, frozen=True):
    """How many traces are gone, and the adapters that learnt from them, with from how many."""

    traces: int
    adapters: dict[str, int]


async def chosen(
    store: TraceStore, names: Sequence[str], conversation: str, client: str | None, until: float | None
) -> list[str]:
    """The traces that are meant, and those that go on from them."""
    found: list[str] = []
    for name in names:
        if (trace := await store.get(name)) is not None:
            found.append(trace.id)
    if conversation or client is not None or until is not None:
        wanted = Wanted(conversation=conversation, client=client, until=until)
        found += [summary.id for summary in await store.listed(wanted, _ALL)]
    return list(await store.with_those_after(found))


async def forget_all(url: str, home: Home, names: Sequence[str]) -> Forgotten:
    """Forget traces, by the gateway if one runs on this home, else here. Raises sqlite3.Error or DayError."""
    adapters = adapters_that_saw(names, home.data, home.models)
    from distill.day import Day
    from gateway.processes.child import answers

    if await answers(url, home.data):
        async with Day.of_home(url, home.data) as day:
            return Forgotten(len(await day.forget(names)), adapters)
    async with await TraceStore.open(home.data / "traces.db") as store:
        gone = await store.forget(names)
    drop_prefixes(home.data)
    return Forgotten(gone, adapters)


def drop_prefixes(data: Path) -> None:
    """Delete the prefixes that engines keep on disk, all of them: they do not tell whose they are."""
    for prefix in (data / "prefixes").glob("*.safetensors"):
        prefix.unlink(missing_ok=True)
