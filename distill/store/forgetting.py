"""What leaves the store: traces that are to be forgotten, and those that are too old or too many.

Owns that nothing of them stays which no other trace has too. Knows nothing of who may ask for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import aiosqlite

from distill.store.listing import forget_words
from distill.store.parts import ROOT, packed
from distill.store.reading import served_ids, traces_where
from distill.store.transaction import rows, rows_of, writing
from distill.store.writing import days_of

_CLOCK = "clock"  # in `marks`: what was believed of it last
_LEAP = 7 * 86400.0  # seconds
_STEP = 200  # traces forgotten in one transaction
_HOLDER = """
WITH RECURSIVE below (name) AS (
    SELECT name FROM links WHERE blob = ? UNION SELECT links.name FROM links JOIN below ON links.parent = below.name
)
SELECT seq FROM traces WHERE answer = ? OR tools = ?
UNION ALL SELECT seq FROM below JOIN traces ON traces.head = below.name LIMIT 1
"""
_SAME_CONVERSATION = """
SELECT seq, id, parent, wire_id FROM traces
JOIN (SELECT DISTINCT conversation, client FROM traces WHERE id IN (?)) USING (conversation, client)
"""
_BELOW = """
WITH RECURSIVE below (name) AS (
    SELECT head FROM traces WHERE id IN (?) AND head <> x''
    UNION SELECT links.name FROM links JOIN below ON links.parent = below.name
)
SELECT seq, id, parent, wire_id FROM below JOIN traces ON traces.head = below.name
"""


async def with_those_after(connection: aiosqlite.Connection, names: Sequence[str]) -> dict[str, str]:
    """The traces of these names that there are, and those that go on from them, as they hold what was said there too,
    under whatever conversation's name; with the ids that clients saw."""
    listed = {
        seq: row for query in (_SAME_CONVERSATION, _BELOW) for seq, *row in await rows_of(connection, query, names)
    }
    gone, found = set(names), dict[str, str]()
    for _, (name, parent, wire_id) in sorted(listed.items()):
        if name in gone or parent in gone:
            gone.add(name)
            found[name] = wire_id
    return found


async def forget(connection: aiosqlite.Connection, names: Sequence[str]) -> int:
    """Delete these traces and what only they hold, also from the index; how many there were.

    Raises sqlite3.Error; the transaction that failed has then deleted nothing.
    """
    count = 0
    for at in range(0, len(names), _STEP):
        async with writing(connection):
            count += await _forget(connection, list(names[at : at + _STEP]))
    if count:
        await connection.execute("INSERT INTO words (words) VALUES ('optimize')")  # deleted words leave with a merge
        await empty_log(connection)
    return count


async def empty_log(connection: aiosqlite.Connection) -> bool:
    """Bring what is in the write-ahead log into the file and cut it off, as it holds what was there before; whether
    nobody was reading, who keeps it from that."""
    return not (await rows(connection, "PRAGMA wal_checkpoint(TRUNCATE)"))[0][0]


async def oldest(connection: aiosqlite.Connection, until: float | None, keep_bytes: int | None) -> list[str]:
    """The traces to forget, by their age (Unix seconds) or as the store is larger than so many bytes."""
    found = []
    if until is not None:
        found = [name for (name,) in await rows(connection, "SELECT id FROM traces WHERE created < ?", [until])]
    if keep_bytes is not None and (size := await size_of(connection)) > keep_bytes:
        count = (await rows(connection, "SELECT count(*) FROM bodies"))[0][0]
        surplus = int(count * (size - keep_bytes) / size) + 1
        found += [name for (name,) in await rows(connection, "SELECT id FROM traces ORDER BY seq LIMIT ?", [surplus])]
    return list(dict.fromkeys(found))


async def believed(connection: aiosqlite.Connection, now: float) -> float:
    """The time, in Unix seconds, as far as the clock is believed: it may have gone a week further than when it was last
    asked for, so that one that is wrong for a while ages no trace by years."""
    found = await rows(connection, "SELECT value FROM marks WHERE name = ?", [_CLOCK])
    before = found[0][0] if found else now
    async with writing(connection):
        mark = int(min(max(now, before - _LEAP), before + _LEAP))  # back as slowly, since it comes forward again
        await connection.execute("INSERT OR REPLACE INTO marks VALUES (?,?)", (_CLOCK, mark))
    return min(now, before + _LEAP)


async def size_of(connection: aiosqlite.Connection) -> int:
    """Bytes in use, without the pages that are free."""
    values = [
        (await rows(connection, f"PRAGMA {name}"))[0][0] for name in ("page_count", "freelist_count", "page_size")
    ]
    return int((values[0] - values[1]) * values[2])


async def _forget(connection: aiosqlite.Connection, names: list[str]) -> int:
    marks = ",".join("?" * len(names))
    gone = await traces_where(connection, f"WHERE t.id IN ({marks})", names)
    if not gone:
        return 0
    numbers = [seq for seq, _ in gone]
    await _keep_token_ids(connection, numbers)
    ends = await rows_of(connection, "SELECT head, tools, answer FROM traces WHERE seq IN (?)", numbers)
    for table in ("traces", "bodies", "served"):
        await rows_of(connection, f"DELETE FROM {table} WHERE seq IN (?)", numbers)
    await rows_of(connection, "DELETE FROM outcomes WHERE trace IN (?)", names)
    blobs = {name for row in ends for name in row[1:] if name is not None}
    for head in {row[0] for row in ends}:
        blobs |= await _forget_links(connection, head)
    await _forget_blobs(connection, list(blobs))
    await _rename_first(connection, numbers)
    await _recount(connection, {(trace.client, trace.conversation) for _, trace in gone})
    for row in days_of([trace for _, trace in gone], sign=-1):
        await connection.execute(
            "UPDATE days SET traces = traces + ?, seconds = seconds + ?, prompt_tokens = prompt_tokens + ?, "
            "completion_tokens = completion_tokens + ? WHERE (day, client, wire, arm, reason, state) = (?,?,?,?,?,?)",
            (*row[6:], *row[:6]),
        )
    await connection.execute("DELETE FROM days WHERE traces <= 0")
    return len(gone)


async def _forget_links(connection: aiosqlite.Connection, head: bytes) -> set[bytes]:
    """Delete the links from `head` upwards that nothing else hangs on; their blobs."""
    blobs: set[bytes] = set()
    query = (
        "SELECT parent, blob FROM links WHERE name = ? AND NOT EXISTS (SELECT 1 FROM traces WHERE head = links.name) "
        "AND NOT EXISTS (SELECT 1 FROM links AS others WHERE others.parent = links.name)"
    )
    at = head
    while at != ROOT and (found := await rows(connection, query, [at])):
        await connection.execute("DELETE FROM links WHERE name = ?", (at,))
        at, blob = found[0]
        blobs.add(blob)
    return blobs


async def _forget_blobs(connection: aiosqlite.Connection, names: list[bytes]) -> None:
    query = (
        "SELECT id, body FROM blobs WHERE digest IN (?) "
        "AND NOT EXISTS (SELECT 1 FROM links WHERE blob = digest) "
        "AND NOT EXISTS (SELECT 1 FROM traces WHERE tools = digest) "
        "AND NOT EXISTS (SELECT 1 FROM traces WHERE answer = digest)"
    )
    gone = await rows_of(connection, query, names)
    await forget_words(connection, gone)
    await rows_of(connection, "DELETE FROM blobs WHERE id IN (?)", [number for number, _ in gone])


async def _keep_token_ids(connection: aiosqlite.Connection, gone: list[int]) -> None:
    """Turns that stay while the turn before them goes have their token ids written out."""
    hanging = await rows_of(connection, "SELECT seq FROM served WHERE base IN (?)", gone)
    stay = sorted({seq for (seq,) in hanging} - set(gone))
    found = await served_ids(connection, stay)
    await connection.executemany(
        "UPDATE served SET base = 0, keep = 0, prompt = ? WHERE seq = ?",
        [(packed(ids.prompt), seq) for seq, ids in found.items()],
    )


async def _rename_first(connection: aiosqlite.Connection, numbers: list[int]) -> None:
    """What stays although the trace that brought it is gone is found with another that has it."""
    for number, digest in await rows_of(connection, "SELECT id, digest FROM blobs WHERE first IN (?)", numbers):
        found = await rows(connection, _HOLDER, [digest, digest, digest])
        if found:
            await connection.execute("UPDATE blobs SET first = ? WHERE id = ?", (found[0][0], number))


async def _recount(connection: aiosqlite.Connection, keys: set[tuple[str, str]]) -> None:
    for client, name in keys:
        values = (client, name)
        await connection.execute(
            "UPDATE conversations SET (first, last, traces) = (SELECT coalesce(min(seq), 0), coalesce(max(seq), 0), "
            "count(*) FROM traces WHERE client = ?1 AND conversation = ?2) WHERE client = ?1 AND name = ?2",
            values,
        )
        await connection.execute("DELETE FROM conversations WHERE client = ? AND name = ? AND traces = 0", values)
