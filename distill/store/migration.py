"""A store of an older schema brought up to date.

Owns what the older schemas looked like. Knows nothing of what is done with traces.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import aiosqlite
import msgspec

from distill.store.schema import OLDER, SCHEMA_VERSION, StoreError, create, version
from distill.store.transaction import rows, writing
from distill.store.writing import Writer
from distill.trace import Trace

_STEP = 500


async def migrate(connection: aiosqlite.Connection, path: Path, cleaned: Callable[[Trace], Trace] | None) -> None:
    """Make the tables, or take over those of schema 1, all in one transaction.

    Raises StoreError, also for an older store where nobody cleans its traces: they were kept as they were.
    """
    if await version(connection, path) == SCHEMA_VERSION:
        return
    async with writing(connection):
        found = await version(connection, path)  # another process may have been faster
        if found == 0:
            await create(connection)
        elif cleaned is None:
            raise StoreError(OLDER.format(path))
        elif found == 1:
            await _from_1(connection, path, cleaned)


async def _from_1(connection: aiosqlite.Connection, path: Path, cleaned: Callable[[Trace], Trace]) -> None:
    """Schema 1 had one table, with each trace whole as JSON."""
    await connection.execute("ALTER TABLE traces RENAME TO traces_1")
    await connection.execute("DROP INDEX IF EXISTS traces_by_conversation")
    await create(connection)
    writer, last = Writer(connection), 0
    while found := await rows(
        connection, "SELECT seq, body FROM traces_1 WHERE seq > ? ORDER BY seq LIMIT ?", [last, _STEP]
    ):
        try:
            await writer.insert_within([cleaned(msgspec.json.decode(body, type=Trace)) for _, body in found])
        except msgspec.DecodeError as error:
            raise StoreError(f"{path} holds a damaged trace ({error}): move the file away to start anew") from error
        last = found[-1][0]
    await connection.execute("DROP TABLE traces_1")
