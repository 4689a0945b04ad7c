"""Whether a store is whole, and a copy of it while it is in use.

Knows nothing of what to do about damage.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import aiosqlite

from distill.store.parts import digest_of
from distill.store.reading import traces_where
from distill.store.schema import StoreError
from distill.store.transaction import rows

_STEP = 500
_MISSING = {  # what every row of a table needs elsewhere
    "a trace's text is missing": "id FROM traces WHERE seq NOT IN (SELECT seq FROM bodies)",
    "a message of a conversation is missing": "hex(name) FROM links WHERE blob NOT IN (SELECT digest FROM blobs)",
    "a conversation has a hole": "hex(name) FROM links WHERE parent <> x'' AND parent NOT IN (SELECT name FROM links)",
    "token ids hang on a trace that is gone": "seq FROM served WHERE base AND base NOT IN (SELECT seq FROM served)",
}


async def faults(connection: aiosqlite.Connection) -> AsyncIterator[str]:
    """What is wrong with the store, in a sentence each: the file, what is missing, texts that have changed."""
    try:
        for (said,) in await rows(connection, "PRAGMA integrity_check(20)"):
            if said != "ok":
                yield f"the file is damaged: {said}"
        for told, query in _MISSING.items():
            for (name,) in await rows(connection, f"SELECT {query} LIMIT 20"):
                yield f"{told}: {name}"
        async for told in _damaged_blobs(connection):
            yield told
        async for told in _damaged_traces(connection):
            yield told
    except sqlite3.DatabaseError as error:
        yield f"the file is damaged: {error}"


async def _damaged_blobs(connection: aiosqlite.Connection) -> AsyncIterator[str]:
    last = 0
    while found := await rows(
        connection, "SELECT id, digest, CAST(body AS BLOB) FROM blobs WHERE id > ? ORDER BY id LIMIT ?", [last, _STEP]
    ):
        for number, digest, body in found:
            if digest not in (digest_of(b"message", body), digest_of(b"tools", body)):
                yield f"a text is not what it was: {number}"
        last = found[-1][0]


async def _damaged_traces(connection: aiosqlite.Connection) -> AsyncIterator[str]:
    last = 0
    while numbers := await rows(connection, "SELECT seq FROM traces WHERE seq > ? ORDER BY seq LIMIT ?", [last, _STEP]):
        first, last = numbers[0][0], numbers[-1][0]
        try:
            await traces_where(connection, "WHERE t.seq BETWEEN ? AND ?", [first, last])
        except StoreError:
            for (number,) in numbers:
                try:
                    await traces_where(connection, "WHERE t.seq = ?", [number])
                except StoreError as error:
                    yield str(error)


async def copied(connection: aiosqlite.Connection, target: Path) -> Path:
    """A copy of the store as it is now, while others write to it. Raises StoreError for a file that is there."""
    unfinished = _empty_beside(target)
    async with aiosqlite.connect(unfinished) as other:
        await connection.execute("BEGIN")
        try:
            await rows(connection, "SELECT 1 FROM marks")  # from here on it is read as it is now: else each write
            await connection.backup(other, pages=2000, sleep=0.0)  # by others would start the copy over
        finally:
            await connection.execute("ROLLBACK")
    return unfinished.replace(target)


def _empty_beside(target: Path) -> Path:
    if target.exists():
        raise StoreError(f"{target} is there already: choose another name")
    unfinished = target.with_name(target.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    return unfinished
