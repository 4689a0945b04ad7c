"""A transaction of the trace store: all of it or nothing.

Owns begin, commit and rollback. Knows nothing of tables.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiosqlite

_MARKS = 500  # values in one statement; SQLite's own limit is 999 in old builds


@asynccontextmanager
async def writing(connection: aiosqlite.Connection) -> AsyncIterator[None]:
    """The block's statements together. Raises sqlite3.OperationalError where another process writes for too long."""
    await connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        await connection.execute("COMMIT")
    except BaseException:
        await connection.execute("ROLLBACK")
        raise


async def rows(connection: aiosqlite.Connection, query: str, values: Iterable[Any] = ()) -> list[Any]:
    return list(await connection.execute_fetchall(query, tuple(values)))


async def rows_of(connection: aiosqlite.Connection, query: str, values: Sequence[Any]) -> list[Any]:
    """The rows of a query that holds one `(?)` for any number of values."""
    found: list[Any] = []
    for at in range(0, len(values), _MARKS):
        some = values[at : at + _MARKS]
        found += await rows(connection, query.replace("(?)", f"({','.join('?' * len(some))})"), some)
    return found
