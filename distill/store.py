"""The trace store: SQLite, and the only place that holds SQL.

Owns the schema and how traces are written and read. Knows nothing of queues, HTTP or what a trace is used for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import aiosqlite
import msgspec

from distill.errors import DistillError
from distill.trace import Trace

SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE traces (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    created REAL NOT NULL,
    conversation TEXT NOT NULL,
    turn INTEGER NOT NULL,
    state TEXT NOT NULL,
    arm TEXT NOT NULL,
    reason TEXT NOT NULL,
    teach INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX traces_by_conversation ON traces (conversation, seq);
"""


class StoreError(DistillError):
    """The trace store is damaged or made by a newer version."""


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

    @classmethod
    async def open(cls, path: Path, busy_seconds: float = 2.0) -> TraceStore:
        """Open or make the store. Raises StoreError for a file of a newer version, sqlite3.Error for a broken one.

        WAL with synchronous=NORMAL: a committed batch survives the death of the process, which is what is promised;
        a power cut may take the last batches, never the file. FULL would wait for the disk at every batch.
        """
        connection = await aiosqlite.connect(path, timeout=busy_seconds)
        try:
            await connection.execute("PRAGMA journal_mode=WAL")
            await connection.execute("PRAGMA synchronous=NORMAL")
            await _migrate(connection, path)
        except BaseException:
            await connection.close()
            raise
        return cls(connection)

    @classmethod
    async def open_to_read(cls, path: Path, busy_seconds: float = 2.0) -> TraceStore:
        """Open a store that another process may be writing; this one cannot change it.

        Raises StoreError for a file of a newer version, sqlite3.Error for one that is missing or broken.
        """
        connection = await aiosqlite.connect(_read_only(path), uri=True, timeout=busy_seconds)
        try:
            await _version(connection, path)
        except BaseException:
            await connection.close()
            raise
        return cls(connection)

    async def insert(self, traces: Sequence[Trace]) -> None:
        """Insert traces in one transaction. A trace whose id is known replaces the older one."""
        rows = [_row(trace) for trace in traces]
        try:
            await self._connection.executemany("INSERT OR REPLACE INTO traces VALUES (NULL,?,?,?,?,?,?,?,?,?)", rows)
            await self._connection.commit()
        except BaseException:
            await self._connection.rollback()
            raise

    async def get(self, trace_id: str) -> Trace | None:
        rows = await self._bodies("SELECT seq, body FROM traces WHERE id = ?", trace_id)
        return rows[0][1] if rows else None

    async def after(self, watermark: int, limit: int = 1000, until: int | None = None) -> list[tuple[int, Trace]]:
        """Up to `limit` traces, oldest first, with `watermark` < seq ≤ `until`."""
        last = until if until is not None else 2**62
        return await self._bodies(
            "SELECT seq, body FROM traces WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?", watermark, last, limit
        )

    async def conversation(self, conversation: str) -> list[Trace]:
        """The traces of one conversation, oldest first."""
        rows = await self._bodies("SELECT seq, body FROM traces WHERE conversation = ? ORDER BY seq", conversation)
        return [trace for _, trace in rows]

    async def answered_since(self, moment: float) -> list[Answered]:
        """What became of the requests that came at `moment` (Unix seconds) or later, in no order."""
        query = (
            "SELECT arm, reason, state, json_extract(CAST(body AS TEXT), '$.seconds.total') "
            "FROM traces WHERE created >= ?"
        )
        async with self._connection.execute(query, (moment,)) as cursor:
            return [Answered(*row) async for row in cursor]

    async def count(self) -> int:
        return await self._number("SELECT count(*) FROM traces")

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

    async def _bodies(self, query: str, *values: object) -> list[tuple[int, Trace]]:
        async with self._connection.execute(query, values) as cursor:
            return [(seq, msgspec.json.decode(body, type=Trace)) async for seq, body in cursor]

    async def _number(self, query: str) -> int:
        async with self._connection.execute(query) as cursor:
            row = await cursor.fetchone()
        return int(row[0]) if row else 0


def _read_only(path: Path) -> str:
    return path.absolute().as_uri() + "?mode=ro"


def _row(trace: Trace) -> tuple[object, ...]:
    decision = trace.decision
    return (
        trace.id,
        trace.created,
        trace.conversation,
        trace.turn,
        trace.state,
        decision.arm,
        decision.reason,
        int(trace.teach),
        msgspec.json.encode(trace),
    )


async def _version(connection: aiosqlite.Connection, path: Path) -> int:
    """The schema of a store, 0 for an empty file. Raises StoreError for one that this program does not know."""
    async with connection.execute("PRAGMA user_version") as cursor:
        row = await cursor.fetchone()
    version = int(row[0]) if row else 0
    if version > SCHEMA_VERSION:
        raise StoreError(f"{path} was made by a newer version of Nightschool (schema {version})")
    return version


async def _migrate(connection: aiosqlite.Connection, path: Path) -> None:
    if await _version(connection, path) == 0:
        await connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
