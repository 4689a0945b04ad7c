"""The trace store as its users see it.

Owns the life of the connection. What is done with it is written in the modules beside this one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from types import TracebackType

import aiosqlite
import msgspec

from distill.outcome import Outcome
from distill.store import checks, forgetting, listing, schema
from distill.store.listing import ALL, Sum, Summary, Wanted
from distill.store.migration import migrate
from distill.store.reading import traces_where
from distill.store.transaction import rows, rows_of, writing
from distill.store.writing import Writer, let_leave, let_teach
from distill.trace import Trace

_outcome = msgspec.json.Decoder(Outcome).decode
_encode = msgspec.json.Encoder().encode
_TOGETHER = 64  # conversations read in one go


class Answered(msgspec.Struct, frozen=True):
    """What became of one request, without its texts. `seconds` from the request to its end; None: not known."""

    arm: str
    reason: str
    state: str
    seconds: float | None


class TraceStore:
    """Traces in one SQLite file. `seq` grows with every insert: a watermark is the last `seq` that was read."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self._writer = Writer(connection)

    @classmethod
    async def open(
        cls, path: Path, busy_seconds: float = 2.0, cleaned: Callable[[Trace], Trace] | None = None
    ) -> TraceStore:
        """Open or make the store; one of an older schema is brought up to date, its traces as `cleaned` gives them.

        Raises StoreError for a file of a newer version, or of an older one without `cleaned`; sqlite3.Error for one
        that is broken.
        """
        connection = await schema.connected(path, busy_seconds)
        try:
            await migrate(connection, path, cleaned)
        except BaseException:
            await connection.close()
            raise
        return cls(connection)

    @classmethod
    async def open_to_read(cls, path: Path, busy_seconds: float = 2.0) -> TraceStore:
        """Open a store that another process may be writing; this one cannot change it.

        Raises StoreError for a file of another version, sqlite3.Error for one that is missing or broken.
        """
        connection = await schema.connected_to_read(path, busy_seconds)
        try:
            if await schema.version(connection, path) != schema.SCHEMA_VERSION:
                raise schema.StoreError(schema.OLDER.format(path))
        except BaseException:
            await connection.close()
            raise
        return cls(connection)

    async def insert(self, traces: Sequence[Trace]) -> int:
        """Insert traces in one transaction; how many were new. One whose id is known stays as it is.

        Raises sqlite3.Error; then none of them is there.
        """
        return await self._writer.insert(traces)

    async def get(self, trace_id: str) -> Trace | None:
        """A trace by its id, or the newest by the id that the client saw."""
        for condition in ("WHERE t.id = ?", "WHERE t.wire_id = ? AND t.wire_id <> '' ORDER BY t.seq DESC LIMIT 1"):
            if found := await traces_where(self._connection, condition, [trace_id]):
                return found[0][1]
        return None

    async def after(self, watermark: int, limit: int = 1000, until: int | None = None) -> list[tuple[int, Trace]]:
        """Up to `limit` traces, oldest first, with `watermark` < seq ≤ `until`."""
        last = until if until is not None else 2**62
        condition = "WHERE t.seq > ? AND t.seq <= ? ORDER BY t.seq LIMIT ?"
        return await traces_where(self._connection, condition, [watermark, last, limit])

    async def conversation(self, name: str, client: str | None = None) -> list[Trace]:
        """The traces of one conversation, oldest first."""
        condition, values = "WHERE t.conversation = ?", [name]
        if client is not None:
            condition, values = condition + " AND t.client = ?", [name, client]
        return [trace for _, trace in await traces_where(self._connection, condition + " ORDER BY t.seq", values)]

    async def conversations(self, until: int | None = None) -> AsyncIterator[list[Trace]]:
        """Every conversation as its traces up to the number `until`, in the order in which conversations began."""
        last = until if until is not None else 2**62
        query = "SELECT first, client, name FROM conversations WHERE first > ? AND first <= ? ORDER BY first LIMIT ?"
        at = 0
        while found := await rows(self._connection, query, [at, last, _TOGETHER]):
            at = found[-1][0]
            for _, client, name in found:
                condition = "WHERE t.conversation = ? AND t.client = ? AND t.seq <= ? ORDER BY t.seq"
                traces = await traces_where(self._connection, condition, [name, client, last])
                yield [trace for _, trace in traces]

    async def listed(self, wanted: Wanted = ALL, limit: int = 50) -> list[Summary]:
        """The newest traces that are wanted, newest first."""
        return await listing.listed(self._connection, wanted, limit)

    async def search(self, text: str, wanted: Wanted = ALL, limit: int = 50) -> list[Summary]:
        """The newest traces that brought a message with all these words, newest first."""
        return await listing.search(self._connection, text, wanted, limit)

    async def sums(self, since_day: int = 0) -> list[Sum]:
        """How many traces there are of each kind, by day."""
        return await listing.sums(self._connection, since_day)

    async def took(self, since_day: int) -> list[tuple[int, str, float]]:
        """Day, arm and seconds of each request since a day that a model answered to its end, in no order."""
        return await listing.took(self._connection, since_day)

    async def index_some(self) -> bool:
        """Prepare some more of what came lately for searches; whether there is still more."""
        return await listing.index_some(self._connection)

    async def add_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """What is known of traces from now on; told twice it counts once, and of a trace that is not there, as it was
        forgotten meanwhile, nothing is kept. Raises sqlite3.Error."""
        found = [(o.trace, o.kind, o.at, o.client, _encode(o)) for o in outcomes]
        query = (
            "INSERT OR IGNORE INTO outcomes (trace, kind, at, client, body) "
            "SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM traces WHERE id = ?1)"
        )
        if found:
            async with writing(self._connection):
                await self._connection.executemany(query, found)

    async def outcomes(self, traces: Sequence[str]) -> list[Outcome]:
        """What is known of these traces, in the order in which it was told."""
        query = "SELECT id, body FROM outcomes WHERE trace IN (?)"
        return [_outcome(body) for _, body in sorted(await rows_of(self._connection, query, list(traces)))]

    async def let_teach(self, names: Sequence[str]) -> int:
        """From now on these traces may be learnt from; how many could not before. Raises sqlite3.Error."""
        return await let_teach(self._connection, names)

    async def known(self, names: Sequence[str]) -> set[str]:
        """Which of these ids belong to traces that are in the store."""
        return {
            name for (name,) in await rows_of(self._connection, "SELECT id FROM traces WHERE id IN (?)", list(names))
        }

    async def let_leave(self, names: Sequence[str], allowed: bool) -> None:
        """From now on these traces may be shown to models on other machines, or may not. Raises sqlite3.Error."""
        await let_leave(self._connection, names, allowed)

    async def with_those_after(self, names: Sequence[str]) -> dict[str, str]:
        """The traces of these ids that there are, and those that go on from them, with the ids that clients saw."""
        return await forgetting.with_those_after(self._connection, names)

    async def oldest(self, until: float | None, keep_bytes: int | None) -> list[str]:
        """The traces that are older than a Unix time, or too many for so many bytes."""
        return await forgetting.oldest(self._connection, until, keep_bytes)

    async def forget(self, names: Sequence[str]) -> int:
        """Delete traces and what only they hold; how many there were. Raises sqlite3.Error."""
        return await forgetting.forget(self._connection, names)

    async def believed(self, now: float) -> float:
        """The time, in Unix seconds, as far as a clock that says `now` is believed. Raises sqlite3.Error."""
        return await forgetting.believed(self._connection, now)

    async def empty_log(self) -> bool:
        """Have nothing of what was forgotten stay in the write-ahead log; whether no reader kept that from it."""
        return await forgetting.empty_log(self._connection)

    def faults(self) -> AsyncIterator[str]:
        """What is wrong with the store, in a sentence each."""
        return checks.faults(self._connection)

    async def backup(self, target: Path) -> Path:
        """Copy the store as it is now. Raises StoreError for a file that is there already."""
        return await checks.copied(self._connection, target)

    async def answered_since(self, moment: float) -> list[Answered]:
        """What became of the requests that came at `moment` (Unix seconds) or later, in no order."""
        query = "SELECT arm, reason, state, seconds FROM traces WHERE created >= ?"
        return [Answered(*row) for row in await rows(self._connection, query, [moment])]

    async def count(self) -> int:
        return await self._number("SELECT count(*) FROM bodies")

    async def size(self) -> int:
        """Bytes in use."""
        return await forgetting.size_of(self._connection)

    async def watermark(self) -> int:
        """The `seq` of the newest trace, 0 for an empty store."""
        return await self._number("SELECT coalesce(max(seq), 0) FROM traces")

    async def close(self) -> None:
        await self._connection.close()

    async def __aenter__(self) -> TraceStore:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def _number(self, query: str) -> int:
        return int((await rows(self._connection, query))[0][0])
