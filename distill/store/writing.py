"""Traces into the store.

Owns what is inserted for a trace, and that a message which is there already is not stored again. Knows nothing of
queues, of redaction or of who reads.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Any, TypeVar

import aiosqlite
import msgspec

from distill.outcome import Outcome
from distill.store.parts import Parts, cut, movable, packed, shared, teachable
from distill.store.reading import served_ids
from distill.store.transaction import rows, rows_of, writing
from distill.trace import Trace

DAY = 86400
Kept = TypeVar("Kept", bound=Trace | Outcome)

_REMEMBERED = 512  # turns whose token ids are at hand for the turn after them

_TRACE = f"INSERT INTO traces VALUES ({','.join('?' * 22)})"
_DAY = """
INSERT INTO days VALUES (?,?,?,?,?,?,?,?,?,?)
ON CONFLICT DO UPDATE SET traces = traces + excluded.traces, seconds = seconds + excluded.seconds,
    prompt_tokens = prompt_tokens + excluded.prompt_tokens,
    completion_tokens = completion_tokens + excluded.completion_tokens
"""
_CONVERSATION = """
INSERT INTO conversations VALUES (?,?,?,?,?)
ON CONFLICT DO UPDATE SET last = excluded.last, traces = traces + excluded.traces
"""


class Writer:
    """Inserts into one store. Not for two tasks at once."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self._ids: OrderedDict[int, list[int]] = OrderedDict()

    async def insert(self, traces: Sequence[Trace]) -> int:
        """Insert traces in one transaction; how many were new. One whose id is known is left as it is.

        Raises sqlite3.Error; then none of them is there.
        """
        async with writing(self._connection):
            return await self.insert_within(traces)

    async def insert_within(self, traces: Sequence[Trace]) -> int:
        """As insert, within the transaction that is open."""
        known = await rows_of(self._connection, "SELECT id FROM traces WHERE id IN (?)", [t.id for t in traces])
        seen = {name for (name,) in known}
        new = list({trace.id: trace for trace in traces if trace.id not in seen}.values())
        if new:
            await self._insert(new)
        return len(new)

    async def _insert(self, traces: list[Trace]) -> None:
        first = await self._next()
        parts = [cut(trace) for trace in traces]
        before = await self._parents(traces, parts, first)
        numbers = range(first, first + len(traces))
        run = self._connection.executemany
        blobs: dict[bytes, tuple[bytes, int, bytes]] = {}
        links: dict[bytes, tuple[bytes, bytes, bytes]] = {}
        for seq, part in zip(numbers, parts, strict=True):
            for name, body in part.blobs.items():
                blobs.setdefault(name, (name, seq, body))
            for link in part.links:
                links[link.name] = (link.name, link.parent, link.blob)
        await run("INSERT OR IGNORE INTO blobs (digest, first, body) VALUES (?,?,?)", list(blobs.values()))
        await run("INSERT OR IGNORE INTO links VALUES (?,?,?)", list(links.values()))
        listed = [
            _row(seq, trace, part, before.get(seq, (0, ""))[1])
            for seq, trace, part in zip(numbers, traces, parts, strict=True)
        ]
        await run(_TRACE, listed)
        await run("INSERT INTO bodies VALUES (?,?)", [(s, p.rest) for s, p in zip(numbers, parts, strict=True)])
        await self._insert_served(numbers, traces, {seq: parent for seq, (parent, _) in before.items()})
        await run(_CONVERSATION, _conversations(numbers, traces))
        await run(_DAY, days_of(traces))

    async def _next(self) -> int:
        """The next trace's number: above any that there ever was, so that a watermark never goes back."""
        found = await rows(self._connection, "SELECT seq FROM sqlite_sequence WHERE name = 'traces'")
        return int(found[0][0]) + 1 if found else 1

    async def _parents(self, traces: list[Trace], parts: list[Parts], first: int) -> dict[int, tuple[int, str]]:
        """For each trace that goes on from another, by number: that one's number and id."""
        wanted = list({name for part in parts for name in part.before})
        query = "SELECT head, client, seq, id FROM traces WHERE head IN (?) ORDER BY seq"
        known = {
            (head, client): (seq, name) for head, client, seq, name in await rows_of(self._connection, query, wanted)
        }
        found: dict[int, tuple[int, str]] = {}
        for seq, (trace, part) in enumerate(zip(traces, parts, strict=True), start=first):
            at = next((known[name, trace.client] for name in part.before if (name, trace.client) in known), None)
            if at is not None:
                found[seq] = at
            known[part.head, trace.client] = (seq, trace.id)
        return found

    async def _insert_served(self, numbers: range, traces: list[Trace], before: dict[int, int]) -> None:
        kept: list[tuple[Any, ...]] = []
        for seq, trace in zip(numbers, traces, strict=True):
            if trace.served is None:
                continue
            base = before.get(seq, 0)
            known = await self._known(base, kept)
            prompt, completion = trace.served.prompt, trace.served.completion
            keep = shared(known, prompt)
            kept.append((seq, base if keep else 0, keep, packed(prompt[keep:]), packed(completion)))
            self._remember(seq, [*prompt, *completion])
        await self._connection.executemany("INSERT INTO served VALUES (?,?,?,?,?)", kept)

    async def _known(self, seq: int, waiting: list[tuple[Any, ...]]) -> list[int]:
        """What the model had read and said by the end of a turn, as token ids; empty where that is not known."""
        if not seq or seq in self._ids or any(row[0] == seq for row in waiting):
            return self._ids.get(seq, [])
        found = (await served_ids(self._connection, [seq])).get(seq)
        return [*found.prompt, *found.completion] if found is not None else []

    def _remember(self, seq: int, ids: list[int]) -> None:
        self._ids[seq] = ids
        if len(self._ids) > _REMEMBERED:
            self._ids.popitem(last=False)


async def let_teach(connection: aiosqlite.Connection, names: Sequence[str]) -> int:
    """From now on these traces may be learnt from; how many could not before. Raises sqlite3.Error."""
    query = "SELECT seq, body FROM traces JOIN bodies USING (seq) WHERE teach = 0 AND id IN (?)"
    async with writing(connection):
        found = await rows_of(connection, query, list(names))
        changed = [(teachable(body), seq) for seq, body in found]
        await connection.executemany("UPDATE bodies SET body = ? WHERE seq = ?", changed)
        await rows_of(connection, "UPDATE traces SET teach = 1 WHERE seq IN (?)", [seq for seq, _ in found])
    return len(found)


async def let_leave(connection: aiosqlite.Connection, names: Sequence[str], allowed: bool) -> None:
    """From now on these traces may be shown to models on other machines, or may not. Raises sqlite3.Error."""
    query = "SELECT seq, body FROM traces JOIN bodies USING (seq) WHERE id IN (?)"
    async with writing(connection):
        found = await rows_of(connection, query, list(names))
        changed = [(movable(body, allowed), seq) for seq, body in found]
        await connection.executemany("UPDATE bodies SET body = ? WHERE seq = ?", changed)


def days_of(traces: Sequence[Trace], sign: int = 1) -> list[tuple[Any, ...]]:
    """Rows that add traces to the sums of their days (UTC), or with -1 take them away."""
    counts: Counter[tuple[Any, ...]] = Counter()
    sums: dict[tuple[Any, ...], list[float]] = {}
    for trace in traces:
        decision, usage = trace.decision, trace.usage
        key = (int(trace.created // DAY), trace.client, trace.wire, decision.arm, decision.reason, trace.state)
        counts[key] += sign
        total = sums.setdefault(key, [0.0, 0, 0])
        total[0] += sign * trace.seconds.get("total", 0.0)
        total[1] += sign * (usage.prompt_tokens if usage is not None else 0)
        total[2] += sign * (usage.completion_tokens if usage is not None else 0)
    return [(*key, count, *sums[key]) for key, count in counts.items()]


def _conversations(numbers: range, traces: list[Trace]) -> list[tuple[Any, ...]]:
    found: dict[tuple[str, str], list[int]] = {}
    for seq, trace in zip(numbers, traces, strict=True):
        found.setdefault((trace.client, trace.conversation), []).append(seq)
    return [(*key, seqs[0], seqs[-1], len(seqs)) for key, seqs in found.items()]


def _row(seq: int, trace: Trace, part: Parts, parent: str) -> tuple[Any, ...]:
    decision, usage = trace.decision, trace.usage
    return (
        seq,
        trace.id,
        trace.created,
        trace.client,
        trace.conversation,
        trace.turn,
        parent or trace.parent,
        trace.wire,
        trace.wire_id,
        trace.state,
        decision.arm,
        decision.reason,
        trace.model,
        int(trace.teach),
        trace.redacted,
        trace.seconds.get("total"),
        usage.prompt_tokens if usage is not None else None,
        usage.completion_tokens if usage is not None else None,
        part.said,
        part.head,
        part.tools,
        part.answer,
    )


def encodable(kept: Kept) -> Kept:
    """A trace or an outcome as UTF-8 can hold it: lone surrogates become "?". The same object where there are none."""
    try:
        msgspec.json.encode(kept)
    except UnicodeEncodeError:
        return msgspec.convert(_plain(msgspec.to_builtins(kept)), type(kept))
    return kept


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
