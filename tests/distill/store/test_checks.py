"""Damage is found, copies are whole, older files are taken over."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from distill.store.schema import SCHEMA_VERSION, StoreError
from distill.store.store import TraceStore
from distill.trace import Trace
from tests.distill.store.made import grown, trace


async def faults(path: Path) -> list[str]:
    async with await TraceStore.open_to_read(path) as store:
        return [fault async for fault in store.faults()]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("UPDATE blobs SET body = CAST(replace(body, 'handler', 'hand1er') AS BLOB) WHERE id = 2", "not what it was"),
        ("DELETE FROM bodies WHERE seq = 2", "text is missing: a-1"),
        ("DELETE FROM blobs WHERE id = 1", "message of a conversation is missing"),
        ("DELETE FROM links WHERE parent = x''", "has a hole"),
        ("DELETE FROM served WHERE seq = 1", "hang on a trace that is gone"),
        ("UPDATE bodies SET body = '{' WHERE seq = 3", "the trace a-2 is damaged"),
    ],
)
async def test_damage_is_told(tmp_path: Path, damage: str, words: str) -> None:
    path = tmp_path / "t.db"
    async with await TraceStore.open(path) as store:
        await store.insert(grown("a", 3))
    assert await faults(path) == []
    raw = sqlite3.connect(path)
    raw.execute(damage)
    raw.commit()
    raw.close()
    assert any(words in fault for fault in await faults(path)), await faults(path)


async def test_a_file_that_is_garbled_is_told(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    async with await TraceStore.open(path) as store:
        await store.insert([one for number in range(40) for one in grown(f"c{number}", 3)])
    data = bytearray(path.read_bytes())
    data[20_000:40_000] = b"\xff" * 20_000
    path.write_bytes(data)
    assert any("damaged" in fault for fault in await faults(path))


async def test_a_copy_made_while_others_write_is_whole(tmp_path: Path) -> None:
    async with await TraceStore.open(tmp_path / "t.db") as store, await TraceStore.open(tmp_path / "t.db") as other:
        await store.insert(grown("a", 3))
        stop = asyncio.Event()

        async def write() -> None:
            number = 0
            while not stop.is_set():
                await other.insert(grown(f"w{number}", 2))
                number += 1

        writing = asyncio.create_task(write())
        copy = await store.backup(tmp_path / "copy.db")
        stop.set()
        await writing
        with pytest.raises(StoreError, match="there already"):
            await store.backup(copy)
    assert await faults(copy) == []
    async with await TraceStore.open_to_read(copy) as found:
        assert [one.id for one in await found.conversation("a")] == ["a-0", "a-1", "a-2"]
    assert copy.stat().st_mode & 0o077 == 0


async def test_a_store_of_schema_1_is_taken_over_and_its_traces_cleaned(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    raw = sqlite3.connect(path)
    raw.execute(
        "CREATE TABLE traces (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, created REAL NOT NULL, "
        "conversation TEXT NOT NULL, turn INTEGER NOT NULL, state TEXT NOT NULL, arm TEXT NOT NULL, reason TEXT NOT "
        "NULL, teach INTEGER NOT NULL, body BLOB NOT NULL)"
    )
    raw.execute("CREATE INDEX traces_by_conversation ON traces (conversation, seq)")
    for one in [*grown("a", 3), trace("b", error="secret")]:
        row = (one.id, one.created, one.conversation, one.turn, "completed", "student", "verified", 1)
        raw.execute("INSERT INTO traces VALUES (NULL,?,?,?,?,?,?,?,?,?)", (*row, msgspec.json.encode(one)))
    raw.execute("PRAGMA user_version = 1")
    raw.commit()
    raw.close()
    for opened in (TraceStore.open_to_read, TraceStore.open):  # neither knows how to clean what is in it
        with pytest.raises(StoreError, match="older version"):
            await opened(path)

    def cleaned(one: Trace) -> Trace:
        return msgspec.structs.replace(one, error="")

    async with await TraceStore.open(path, cleaned=cleaned) as store:
        assert [found.id for _, found in await store.after(0)] == ["a-0", "a-1", "a-2", "b"]
        assert (await store.after(3))[0][1].error == ""
    assert await faults(path) == []
    raw = sqlite3.connect(path)
    assert raw.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    assert b"secret" not in path.read_bytes()
    raw.close()


async def test_a_copy_comes_to_an_end_although_others_write_all_the_time(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        async with await TraceStore.open(path) as store:
            other.execute("CREATE TABLE big (body BLOB)")
            other.execute("INSERT INTO big VALUES (zeroblob(100000000))")
            over = threading.Event()

            def write() -> None:
                while not over.wait(0.002):
                    other.execute("UPDATE marks SET value = value + 1")

            other.execute("INSERT INTO marks VALUES ('turns', 0)")
            writing = asyncio.create_task(asyncio.to_thread(write))
            try:
                async with asyncio.timeout(20):
                    copy = await store.backup(tmp_path / "copy.db")
            finally:
                over.set()
                await writing
    async with await TraceStore.open_to_read(copy) as copied:
        assert [fault async for fault in copied.faults()] == []
