"""The trace store's tables, and how a file gets them.

Owns schema, versions and what a connection is set to. Knows nothing of what the tables are used for.
"""

from __future__ import annotations

from pathlib import Path

import aiosqlite

from distill.errors import DistillError

SCHEMA_VERSION = 2

# A blob is a message or a list of tools, `first` the trace that brought it. A link puts a message behind another link.
# What is listed of a trace stands in `traces`, the rest of it in `bodies`; `served` has token ids: of the prompt those
# after the first `keep` of what the trace `base` was served and said. `days` are sums, so that no figure needs a scan.
_TABLES = """
CREATE TABLE blobs (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, first INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX blobs_by_first ON blobs (first);
CREATE TABLE links (name BLOB PRIMARY KEY, parent BLOB NOT NULL, blob BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX links_by_parent ON links (parent);
CREATE INDEX links_by_blob ON links (blob);
CREATE TABLE traces (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    created REAL NOT NULL,
    client TEXT NOT NULL,
    conversation TEXT NOT NULL,
    turn INTEGER NOT NULL,
    parent TEXT NOT NULL,
    wire TEXT NOT NULL,
    wire_id TEXT NOT NULL,
    state TEXT NOT NULL,
    arm TEXT NOT NULL,
    reason TEXT NOT NULL,
    model TEXT NOT NULL,
    teach INTEGER NOT NULL,
    redacted INTEGER NOT NULL,
    seconds REAL,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    said TEXT NOT NULL,
    head BLOB NOT NULL,
    tools BLOB,
    answer BLOB
);
CREATE INDEX traces_by_conversation ON traces (conversation, seq);
CREATE INDEX traces_by_head ON traces (head);
CREATE INDEX traces_by_created ON traces (created);
CREATE INDEX traces_by_wire_id ON traces (wire_id) WHERE wire_id <> '';
CREATE INDEX traces_by_tools ON traces (tools) WHERE tools IS NOT NULL;
CREATE INDEX traces_by_answer ON traces (answer) WHERE answer IS NOT NULL;
CREATE TABLE bodies (seq INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE served (
    seq INTEGER PRIMARY KEY,
    base INTEGER NOT NULL,
    keep INTEGER NOT NULL,
    prompt BLOB NOT NULL,
    completion BLOB NOT NULL
);
CREATE INDEX served_by_base ON served (base);
CREATE TABLE conversations (
    client TEXT NOT NULL,
    name TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    traces INTEGER NOT NULL,
    PRIMARY KEY (client, name)
) WITHOUT ROWID;
CREATE TABLE days (
    day INTEGER NOT NULL,
    client TEXT NOT NULL,
    wire TEXT NOT NULL,
    arm TEXT NOT NULL,
    reason TEXT NOT NULL,
    state TEXT NOT NULL,
    traces INTEGER NOT NULL,
    seconds REAL NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    PRIMARY KEY (day, client, wire, arm, reason, state)
) WITHOUT ROWID;
CREATE TABLE outcomes (
    id INTEGER PRIMARY KEY,
    trace TEXT NOT NULL,
    kind TEXT NOT NULL,
    at REAL NOT NULL,
    client TEXT NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (trace, kind, at, client)
);
CREATE VIRTUAL TABLE words USING fts5 (text, content = '', tokenize = "unicode61 tokenchars '_'");
CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""


OLDER = "{} is of an older version: start the gateway once, which updates it"


class StoreError(DistillError):
    """The trace store is damaged or made by a newer version."""


async def connected(path: Path, busy_seconds: float) -> aiosqlite.Connection:
    """A connection that may write. Raises sqlite3.Error for a file that is broken.

    WAL with synchronous=NORMAL: a committed batch survives the death of the process, which is what is promised; a power
    cut may take the last batches, never the file. FULL would wait for the disk at every batch. What is deleted is
    overwritten, and nobody but the owner can read the file.
    """
    _for_its_owner(path)
    connection = await aiosqlite.connect(path, timeout=busy_seconds, isolation_level=None)
    try:
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "secure_delete=ON", "cache_size=-32000"):
            await connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        await connection.close()
        raise
    return connection


async def connected_to_read(path: Path, busy_seconds: float) -> aiosqlite.Connection:
    """A connection that cannot write. Raises sqlite3.Error for a file that is missing or broken."""
    return await aiosqlite.connect(_read_only(path), uri=True, timeout=busy_seconds, isolation_level=None)


def _for_its_owner(path: Path) -> None:
    """SQLite gives the files that it makes beside this one the same rights."""
    if path.name != ":memory:":
        path.touch(mode=0o600)
        path.chmod(0o600)


def _read_only(path: Path) -> str:
    return path.absolute().as_uri() + "?mode=ro"


async def version(connection: aiosqlite.Connection, path: Path) -> int:
    """The schema of a store, 0 for an empty file. Raises StoreError for one that this program does not know."""
    async with connection.execute("PRAGMA user_version") as cursor:
        row = await cursor.fetchone()
    found = int(row[0]) if row else 0
    if found > SCHEMA_VERSION:
        raise StoreError(f"{path} was made by a newer version of Nightschool (schema {found})")
    return found


async def create(connection: aiosqlite.Connection) -> None:
    """The tables, within the transaction that is open."""
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            await connection.execute(statement)
    await connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
