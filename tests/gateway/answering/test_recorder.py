from __future__ import annotations

import asyncio
import signal
import sqlite3
from pathlib import Path

from distill.store import TraceStore
from distill.trace import Trace
from gateway.answering.recorder import Recorder
from gateway.backends.scripted import Act
from router.chat import ChatRequest, Message
from router.decision import Decision
from tests.gateway.running import Running, Script


def trace(name: str) -> Trace:
    request = ChatRequest("nightschool", [Message("user", "Where?")])
    return Trace(name, 1.0, "c", request, "completed", Decision(arm="student", reason="verified"))


async def test_traces_are_written_soon_and_found_at_once(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "t.db")
    await recorder.start()
    recorder.put(trace("a"))
    assert await recorder.get("a") == trace("a")
    await asyncio.sleep(0.2)
    assert recorder.status.written == 1
    assert await recorder.get("a") == trace("a")
    await recorder.stop()


async def test_what_waits_at_the_stop_is_written(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "t.db", flush=10)
    await recorder.start()
    for number in range(500):
        recorder.put(trace(str(number)))
    await recorder.stop()
    async with await TraceStore.open(tmp_path / "t.db") as store:
        assert await store.count() == 500


async def test_a_locked_store_costs_no_answer_and_is_shown(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "t.db", limit=3, flush=0.01)
    await recorder.start()
    other = sqlite3.connect(tmp_path / "t.db")
    other.execute("BEGIN IMMEDIATE")
    for number in range(5):
        recorder.put(trace(str(number)))
    await asyncio.sleep(2.5)  # longer than SQLite's own patience
    assert (recorder.status.waiting, recorder.status.dropped) == (3, 2)
    assert "locked" in recorder.status.error
    other.rollback()
    other.close()
    await asyncio.sleep(1.5)
    assert (recorder.status.waiting, recorder.status.written, recorder.status.error) == (0, 3, "")
    await recorder.stop()


async def test_an_answer_given_200_ms_ago_survives_kill_9(tmp_path: Path) -> None:
    with (
        Script(Act(text="s")) as student,
        Script(Act(text="t")) as teacher,
        Running(tmp_path, student.url, teacher.url) as gateway,
    ):
        for number in range(20):
            assert gateway.chat(str(number))[0] == 200
        await asyncio.sleep(0.2)
        gateway.process.send_signal(signal.SIGKILL)
        gateway.process.wait()
    async with await TraceStore.open(tmp_path / "data" / "traces.db") as store:
        assert await store.count() == 20
