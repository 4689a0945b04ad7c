"""The recorder and its process: what is acknowledged is on disk soon, whoever dies; nothing of it costs an answer."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from distill.outcome import Outcome
from distill.store.store import TraceStore
from distill.trace import Trace
from gateway.errors import StartError
from gateway.recording.frames import Orders
from gateway.recording.recorder import Recorder
from router.chat import ChatRequest, Message
from router.decision import Decision


def trace(name: str, text: str = "Where?") -> Trace:
    request = ChatRequest("nightschool", [Message("user", text)])
    return Trace(name, 1.0, "c", request, "completed", Decision(arm="student", reason="verified"))


async def until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - of another process, which sets no event here
            await asyncio.sleep(0.02)


@asynccontextmanager
async def recording(data: Path, limit: int = 1 << 26) -> AsyncIterator[Recorder]:
    recorder = Recorder(Orders.of(data), limit=limit)
    await recorder.start()
    try:
        yield recorder
    finally:
        await recorder.stop()


def process() -> psutil.Process:
    """The recording process of the recorder that runs; one that was killed may not be buried yet."""
    found = [
        child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE and _records(child)
    ]
    assert len(found) == 1
    return found[0]


def _records(child: psutil.Process) -> bool:
    try:
        return "gateway.recording.process" in " ".join(child.cmdline())
    except psutil.Error:  # it ended just now
        return False


def files_with(folder: Path, words: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and words in path.read_bytes()]


async def stored(data: Path) -> list[str]:
    async with await TraceStore.open_to_read(data / "traces.db") as store:
        return [found.id for _, found in await store.after(0, limit=10_000)]


async def test_a_trace_is_there_for_who_asks_for_it_at_once(tmp_path: Path) -> None:
    async with recording(tmp_path) as recorder:
        recorder.put(trace("a"))
        assert await recorder.get("a") == trace("a")
        assert await recorder.get("b") is None
        recorder.put(Outcome("a", "feedback", 2.0, score=1.0))
        await until(lambda: recorder.status.written == 2)
        assert await recorder.store.outcomes(["a"]) == [Outcome("a", "feedback", 2.0, score=1.0)]
        last = await recorder.last_of("c", "")
        assert last is not None
        assert last.id == "a"


async def test_what_waits_at_the_stop_is_written(tmp_path: Path) -> None:
    async with recording(tmp_path) as recorder:
        for number in range(2000):
            recorder.put(trace(f"{number:04}"))
    assert await stored(tmp_path) == [f"{number:04}" for number in range(2000)]


async def test_a_secret_never_reaches_the_disk(tmp_path: Path) -> None:
    secret = "ghp_" + "a1B2c3D4e5F6" * 3
    async with recording(tmp_path) as recorder:
        recorder.put(trace("a", f"use {secret} please"))
        found = await recorder.get("a")
        assert found is not None
        assert found.redacted == 1
        assert secret not in found.request.messages[0].text
    assert files_with(tmp_path, secret.encode()) == []
    assert (tmp_path / "redact.key").stat().st_mode & 0o077 == 0


async def test_a_process_that_dies_is_started_again_and_nothing_is_lost(tmp_path: Path) -> None:
    async with recording(tmp_path) as recorder:
        recorder.put(trace("before"))
        await until(lambda: recorder.status.written == 1)
        first = process()
        first.suspend()
        for number in range(300):
            recorder.put(trace(f"{number:03}", "x" * 1000))
        await asyncio.sleep(0.2)
        first.kill()
        await until(lambda: recorder.status.written == 301)
        assert process().pid != first.pid
        assert recorder.status.error == ""
    assert sorted(await stored(tmp_path)) == sorted(["before", *(f"{number:03}" for number in range(300))])


async def test_a_process_goes_on_writing_when_its_gateway_is_gone(tmp_path: Path) -> None:
    recorder = Recorder(Orders.of(tmp_path))
    await recorder.start()
    recorder.put(trace("a"))
    await until(lambda: recorder.status.written == 1)
    child = process()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        os.kill(child.pid, signal_number)  # as a terminal or a service manager sends them to all
    recorder.put(trace("b"))
    await until(lambda: recorder.status.written == 2)
    await recorder.stop()
    assert not child.is_running()


async def test_a_locked_store_costs_no_answer_and_no_trace(tmp_path: Path) -> None:
    async with recording(tmp_path) as recorder:
        recorder.put(trace("first"))
        await until(lambda: recorder.status.written == 1)
        other = sqlite3.connect(tmp_path / "traces.db")
        other.execute("BEGIN IMMEDIATE")
        for number in range(5):
            recorder.put(trace(str(number)))
        await until(lambda: recorder.status.spooled == 5)
        assert "locked" in recorder.status.error
        assert list((tmp_path / "spool").glob("*.jsonl"))
        other.rollback()
        other.close()
        await until(lambda: recorder.status.spooled == 0)
        assert recorder.status.error == ""
        assert not list((tmp_path / "spool").glob("*.jsonl"))
    assert await stored(tmp_path) == ["first", "0", "1", "2", "3", "4"]


async def test_what_was_spooled_before_a_start_is_taken_up(tmp_path: Path) -> None:
    async with recording(tmp_path) as recorder:
        recorder.put(trace("first"))
        await until(lambda: recorder.status.written == 1)
        other = sqlite3.connect(tmp_path / "traces.db")
        other.execute("BEGIN IMMEDIATE")
        recorder.put(trace("second"))
        await until(lambda: recorder.status.spooled == 1)
        process().kill()
        other.rollback()
        other.close()
        with (tmp_path / "spool" / "00000000.jsonl").open("ab") as file:
            file.write(b'{"trace":{"id":"cut of')
        await until(lambda: recorder.store is not None and recorder.status.spooled == 0)
    assert await stored(tmp_path) == ["first", "second"]


@pytest.mark.skipif(not psutil.LINUX, reason="no other system limits the files of a process that runs")
async def test_a_full_disk_costs_no_answer_and_what_waits_is_written_when_there_is_room(tmp_path: Path) -> None:
    """Files of the recording process may not grow any more, which is what a full disk looks like to it."""
    async with recording(tmp_path, limit=100_000) as recorder:
        recorder.put(trace("first"))
        await until(lambda: recorder.status.written == 1)
        child = process()
        child.rlimit(psutil.RLIMIT_FSIZE, (1, psutil.RLIM_INFINITY))
        for number in range(5):
            recorder.put(trace(str(number)))
        await until(lambda: "neither to the store nor beside it" in recorder.status.error)
        assert (recorder.status.waiting, recorder.status.written, recorder.status.dropped) == (5, 1, 0)
        for number in range(200):
            recorder.put(trace(f"more-{number}", "x" * 1000))  # memory is bounded
        lost = recorder.status.dropped
        assert 100 <= lost <= 199
        child.rlimit(psutil.RLIMIT_FSIZE, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))
        await until(lambda: recorder.status.waiting == 0)
        assert recorder.status.error == ""
    assert len(await stored(tmp_path)) == 206 - lost


async def test_beyond_the_limit_traces_are_counted_as_lost(tmp_path: Path) -> None:
    async with recording(tmp_path, limit=20_000) as recorder:
        recorder.put(trace("first"))
        await until(lambda: recorder.status.written == 1)
        child = process()
        child.suspend()
        for number in range(100):
            recorder.put(trace(str(number), "x" * 1000))
        lost = recorder.status.dropped
        assert 75 <= lost <= 85
        child.resume()
        await until(lambda: recorder.status.waiting == 0)
    assert len(await stored(tmp_path)) == 101 - lost


async def test_a_file_that_is_no_store_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "traces.db").write_bytes(b"no database, but longer than the head of one" * 50)
    with pytest.raises(StartError, match="move it away"):
        await Recorder(Orders.of(tmp_path)).start()
