from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from distill.store.schema import SCHEMA_VERSION, StoreError
from distill.store.store import Answered, TraceStore
from distill.trace import Trace
from router.chat import AnswerMessage, ChatRequest, Message
from router.decision import Decision


def trace(name: str, conversation: str = "c", **more: object) -> Trace:
    return Trace(
        id=name,
        conversation=conversation,
        request=ChatRequest("nightschool", [Message("user", "Where?")]),
        state="completed",
        decision=Decision(arm="student", reason="verified", scores={"confidence": 0.9}),
        answer=AnswerMessage("Here."),
        **{"created": 1.5, **more},  # type: ignore[arg-type]
    )


async def test_a_trace_comes_back_as_it_went_in(tmp_path: Path) -> None:
    async with await TraceStore.open(tmp_path / "t.db") as store:
        await store.insert([trace("a", turn=2, seconds={"total": 0.25})])
        assert await store.get("a") == trace("a", turn=2, seconds={"total": 0.25})
        assert await store.get("b") is None


async def test_traces_are_listed_after_a_watermark_and_up_to_one(tmp_path: Path) -> None:
    async with await TraceStore.open(tmp_path / "t.db") as store:
        assert await store.watermark() == 0
        await store.insert([trace(str(number)) for number in range(3)])
        fixed = await store.watermark()
        await store.insert([trace("later")])
        assert [found.id for _, found in await store.after(0, until=fixed)] == ["0", "1", "2"]
        assert [found.id for _, found in await store.after(fixed)] == ["later"]
        assert [found.id for _, found in await store.after(0, limit=2)] == ["0", "1"]
        assert await store.count() == 4


async def test_rights_of_a_trace_are_changed_and_nothing_else(tmp_path: Path) -> None:
    async with await TraceStore.open(tmp_path / "t.db") as store:
        await store.insert([trace(name, teach=False, may_leave_machine=False) for name in "ab"])
        assert await store.let_teach(["a", "x"]) == 1
        await store.let_leave(["a"], True)
        assert await store.get("a") == trace("a", teach=True, may_leave_machine=True)
        assert await store.get("b") == trace("b", teach=False, may_leave_machine=False)
        await store.let_leave(["a", "b"], False)
        assert await store.get("a") == trace("a", teach=True, may_leave_machine=False)


async def test_a_conversation_is_listed_in_its_order(tmp_path: Path) -> None:
    async with await TraceStore.open(tmp_path / "t.db") as store:
        await store.insert([trace("1", "x"), trace("2", "y"), trace("3", "x")])
        assert [found.id for found in await store.conversation("x")] == ["1", "3"]


async def test_a_second_reader_sees_what_is_written(tmp_path: Path) -> None:
    async with await TraceStore.open(tmp_path / "t.db") as writer, await TraceStore.open(tmp_path / "t.db") as reader:
        await writer.insert([trace("a")])
        assert await reader.count() == 1


def rights_of_others(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o077 for path in folder.iterdir()}


async def test_only_its_owner_can_read_a_store(tmp_path: Path) -> None:
    (tmp_path / "t.db").touch(mode=0o644)
    async with await TraceStore.open(tmp_path / "t.db") as store:
        await store.insert([trace("a")])
        assert rights_of_others(tmp_path) == {"t.db": 0, "t.db-shm": 0, "t.db-wal": 0}


async def test_a_locked_store_says_so_and_keeps_nothing_half(tmp_path: Path) -> None:
    async with await TraceStore.open(tmp_path / "t.db", busy_seconds=0.05) as store:
        other = sqlite3.connect(tmp_path / "t.db")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError):
            await store.insert([trace("a"), trace("b")])
        other.rollback()
        other.close()
        await store.insert([trace("c")])
        assert await store.count() == 1


async def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "t.db")
    other.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    other.commit()
    other.close()
    with pytest.raises(StoreError, match="newer"):
        await TraceStore.open(tmp_path / "t.db")


async def test_what_became_of_requests_is_read_without_their_texts(tmp_path: Path) -> None:
    async with await TraceStore.open(tmp_path / "t.db") as store:
        await store.insert([trace("a", created=9.9), trace("b", created=10.0, seconds={"total": 0.5}), trace("c")])
        await store.insert([trace("d", created=11.0)])
        assert sorted(await store.answered_since(10.0), key=str) == [
            Answered("student", "verified", "completed", 0.5),
            Answered("student", "verified", "completed", None),
        ]


async def test_a_reader_reads_beside_a_writer_and_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "a store?.db"
    async with await TraceStore.open(path) as writer:
        await writer.insert([trace("a")])
        other = sqlite3.connect(path)
        other.execute("BEGIN IMMEDIATE")
        async with await TraceStore.open_to_read(path, busy_seconds=0.05) as reader:
            assert await reader.count() == 1
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                await reader.insert([trace("b")])
        other.rollback()
        other.close()
    async with await TraceStore.open_to_read(path) as reader:  # with no writer there to keep the log
        assert await reader.count() == 1


async def test_a_reader_makes_no_store_and_refuses_a_newer_one(tmp_path: Path) -> None:
    for _ in range(2):  # the first try leaves nothing that the second could open
        with pytest.raises(sqlite3.OperationalError):
            await TraceStore.open_to_read(tmp_path / "none.db")
    other = sqlite3.connect(tmp_path / "t.db")
    other.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    other.commit()
    other.close()
    with pytest.raises(StoreError, match="newer"):
        await TraceStore.open_to_read(tmp_path / "t.db")
