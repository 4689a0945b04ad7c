"""Real child processes: the shipped stand-in plays the student, the expert plays itself."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from distill.trace import Trace
from gateway.access.underway import UnderWay
from gateway.answering.answer import Cascade, Whole
from gateway.answering.arms import Arm
from gateway.answering.cache import ResponseCache
from gateway.answering.repeats import Repeats
from gateway.answering.serving import Serving
from gateway.answering.teachers import Teachers
from gateway.answering.turn import Ask, Turn
from gateway.backends.client import Address, Backend, Timeouts
from gateway.backends.patience import Manners
from gateway.backends.scripted import Act, ScriptedServer
from gateway.errors import BackendUnreachable, MemoryLeased
from gateway.processes.supervisor import LocalProcess, ProcessSettings, Supervisor
from router.chat import ChatRequest, Message
from router.policy import Rules
from tests.gateway.running import Running, Script

pytestmark = pytest.mark.gateways


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(budget=1000)
    await supervisor.start()
    yield supervisor
    await supervisor.stop()


def scripted(folder: Path, *options: str, **more: object) -> ProcessSettings:
    path = str(folder / "s.sock")
    command = [sys.executable, "-m", "gateway.backends.scripted", "--socket", path, *options]
    return ProcessSettings("student", command, Address("http://localhost/v1", path), folder / "log", **more)  # type: ignore[arg-type]


async def gone(pid: int, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        await asyncio.sleep(0.05)
    return False


async def noticed(process: LocalProcess, pid: int, seconds: float = 5.0) -> bool:
    """Whether the supervisor comes to know that a process has ended: a moment after the system does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.pid != pid:
            return True
        await asyncio.sleep(0.01)
    return False


async def test_a_process_starts_at_first_need_and_is_back_after_a_crash(supervisor: Supervisor, tmp_path: Path) -> None:
    process = supervisor.add(scripted(tmp_path))
    assert process.pid is None
    await process.ensure()
    first = process.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert await noticed(process, first)
    await asyncio.wait_for(process.ensure(), 5)
    assert process.pid not in (first, None)
    assert process.restarts == 1


async def test_a_process_that_cannot_start_says_what_its_log_says(supervisor: Supervisor, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no such model folder')"]
    process = supervisor.add(ProcessSettings("student", command, Address("http://127.0.0.1:9/v1"), tmp_path / "log"))
    with pytest.raises(BackendUnreachable, match="no such model folder"):
        await process.ensure()


async def test_an_idle_process_is_stopped_and_a_busy_one_is_not(supervisor: Supervisor, tmp_path: Path) -> None:
    busy = True
    process = supervisor.add(scripted(tmp_path, idle_stop=0.1), busy=lambda: busy)
    await process.ensure()
    await asyncio.sleep(1.2)
    assert process.pid is not None
    busy = False
    await asyncio.sleep(1.5)
    assert process.pid is None


async def test_a_lease_takes_the_memory_and_its_end_gives_it_back(supervisor: Supervisor, tmp_path: Path) -> None:
    process = supervisor.add(scripted(tmp_path, memory_bytes=600))
    await process.ensure()
    leased = 500
    supervisor.room.leased = lambda: leased
    await supervisor.room.give_way()
    assert process.pid is None
    with pytest.raises(MemoryLeased):
        await process.ensure()
    leased = 0
    await process.ensure()


class Kept:
    """A list in the place of the recorder."""

    def __init__(self) -> None:
        self.traces: list[Trace] = []

    def put(self, trace: Trace) -> None:
        self.traces.append(trace)


def serving(_: Ask) -> Serving:
    return Serving(Rules(uncertified="serve", holdout=0))


async def test_kill_9_of_the_student_during_a_request_is_answered_by_the_teacher(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    settings = scripted(tmp_path, "--delay", "20", "--text", "student")
    process: LocalProcess = supervisor.add(settings)
    async with ScriptedServer(Act(text="teacher")) as teacher_server:
        student = Arm("student", Backend(settings.address, Timeouts(), Manners()), model="small", child=process)
        teacher = Arm("teacher", Backend(Address(teacher_server.url), Timeouts(), Manners()))
        await student.backend.open()
        await teacher.backend.open()
        await student.ready()
        kept, teachers = Kept(), Teachers([teacher], {})
        repeats = Repeats(ResponseCache(time.monotonic), student, teachers, serving)
        cascade = Cascade(student, teachers, serving, kept, repeats, UnderWay())
        ask = Ask(ChatRequest("nightschool", [Message("user", "Hi")]), {"messages": []}, 10, "c")

        async def kill_soon() -> None:
            await asyncio.sleep(0.3)
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)

        killing = asyncio.create_task(kill_soon())
        async with cascade.answer(Turn(ask)) as reply:
            assert isinstance(reply, Whole)
            assert reply.response.choices[0].message.content == "teacher"
        await killing
        assert kept.traces[0].decision.reason == "student_failed"
        await asyncio.wait_for(student.ready(), 5)  # back within seconds
        await student.close()
        await teacher.close()


async def test_kill_9_of_the_gateway_takes_its_children_along(tmp_path: Path) -> None:
    with Script(Act(text="student")) as student:
        settings = {"teacher__model": "expert"}
        with Running(tmp_path, student.url, "", **settings) as gateway:
            health = await asyncio.to_thread(gateway.wait, lambda health: health["processes"]["teacher"]["ready"])
            child = health["processes"]["teacher"]["pid"]
            gateway.process.send_signal(signal.SIGKILL)
            gateway.process.wait()
            assert await gone(child)


async def test_sigterm_of_the_gateway_ends_its_children(tmp_path: Path) -> None:
    with Script(Act(text="student")) as student:
        with Running(tmp_path, student.url, "", teacher__model="expert") as gateway:
            health = await asyncio.to_thread(gateway.wait, lambda health: health["processes"]["teacher"]["ready"])
        assert gateway.process.returncode == 0, gateway.log.read_text()
        assert await gone(health["processes"]["teacher"]["pid"])


_ENDS_SLOWLY = (
    "import signal, sys, time; from gateway.backends import scripted;"
    "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), sys.exit()));"
    "scripted.main(sys.argv[1:])"
)


async def test_a_process_that_is_wanted_while_it_ends_is_not_there_twice(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    settings = scripted(tmp_path)
    command = [sys.executable, "-c", _ENDS_SLOWLY, *settings.command[3:]]
    process = supervisor.add(msgspec.structs.replace(settings, command=command))
    await process.ensure()
    first = process.pid
    assert first is not None
    stopping = asyncio.create_task(process.stop())
    await asyncio.sleep(0.1)
    assert process.generation == 0  # it takes on nothing any more
    process.want()
    assert await noticed(process, first)
    assert await gone(first, 0.1)
    await stopping
    await asyncio.wait_for(process.ensure(), 10)
    assert process.pid != first
