"""Forgetting from outside the gateway: what is meant, and where it is gone from.

Owns that a gateway that runs is told, so that it drops what it holds in memory too. Knows nothing of arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from distill.dataset import Origin, traces_where
from distill.lineage import adapters_that_saw
from distill.store.listing import ALL, Wanted
from distill.store.store import TraceStore
from distill.trace import Trace
from gateway.errors import StartError
from gateway.recording.frames import Orders
from gateway.recording.keeping import Keeping
from gateway.recording.spool import traces_in
from gateway.settings import Home

_ALL = 2**31


class Forgotten(msgspec.Struct, frozen=True):
    """How many traces are gone, and the adapters that learnt from them, with from how many."""

    traces: int
    adapters: dict[str, int]


async def chosen(store: TraceStore, data: Path, names: Sequence[str], wanted: Wanted) -> list[str]:
    """The traces that are meant, in the store, still in the spool or only in datasets, and those of the store that go
    on from them: by their ids or, where they are known, those of answers, or, unless `wanted` says nothing, by that."""
    by_kind = wanted != ALL
    found = [trace.id for name in names if (trace := await store.get(name)) is not None]
    if by_kind:
        found += [summary.id for summary in await store.listed(wanted, _ALL)]
    waiting = [
        trace.id
        for trace in traces_in(data / "spool")
        if trace.id in names or trace.wire_id in names or (by_kind and _fits(trace, wanted))
    ]
    learnt = traces_where(data / "datasets", lambda origin: _fits(origin, wanted)) if by_kind else []
    if missing := {*names} - {*found, *waiting}:
        named = traces_where(data / "datasets", lambda origin: not missing.isdisjoint(origin.traces))
        learnt += [name for name in named if name in missing]
    return list(dict.fromkeys([*await store.with_those_after(found), *waiting, *learnt]))


async def forget_all(url: str, home: Home, names: Sequence[str]) -> Forgotten:
    """Forget traces, by the gateway if one runs on this home, else here. Raises DayError or StartError."""
    adapters = adapters_that_saw(names, home.data, home.models)
    from distill.day import Day
    from distill.redact.key import key_at
    from distill.redact.redactor import Redactor
    from gateway.processes.child import answers

    if await answers(url, home.data):
        async with Day.of_home(url, home.data) as day:
            return Forgotten(len(await day.forget(names)), adapters)
    orders = Orders.of(home.data)
    keeping = Keeping(orders, Redactor(key_at(orders.key)).trace)
    try:
        gone = await keeping.forget(names)
    finally:
        await keeping.close()
    if gone is None:
        raise StartError(f"the traces cannot be forgotten: {keeping.error}")
    drop_prefixes(home.data)
    return Forgotten(len(gone), adapters)


def drop_prefixes(data: Path) -> None:
    """Delete the prefixes that engines keep on disk, all of them: they do not tell whose they are."""
    for prefix in (data / "prefixes").glob("*.safetensors"):
        prefix.unlink(missing_ok=True)


def _fits(trace: Trace | Origin, wanted: Wanted) -> bool:
    """Whether a trace, or what an example tells of its traces, is of the conversation, of the client and from before
    the time that is wanted."""
    return (
        wanted.conversation in ("", trace.conversation)
        and wanted.client in (None, trace.client)
        and (wanted.until is None or 0 < trace.created < wanted.until)
    )
