"""The memory that models share: who starts, who waits, who gives way. Real processes, each counted with 600 of 1000."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.errors import MemoryLeased, NoRoom
from gateway.processes.supervisor import LocalProcess, Supervisor
from tests.gateway.processes.test_supervisor import scripted

_EACH = 600


class Both:
    """Two processes that do not fit together, and whether each is at work."""

    def __init__(self, supervisor: Supervisor, folder: Path) -> None:
        self.supervisor = supervisor
        self.busy = {"student": False, "teacher": False}
        for name in self.busy:
            (folder / name).mkdir()
        self.student = self._add("student", folder)
        self.teacher = self._add("teacher", folder)
        self.most = 0

    def _add(self, name: str, folder: Path) -> LocalProcess:
        settings = scripted(folder / name, memory_bytes=_EACH, start=20.0)
        return self.supervisor.add(settings, busy=lambda: self.busy[name])

    @property
    def taken(self) -> int:
        return sum(_EACH for process in (self.student, self.teacher) if process.pid)

    async def watch(self) -> None:
        """The most memory ever taken, leases included."""
        while True:
            self.most = max(self.most, self.taken + self.supervisor.room.leased())
            await asyncio.sleep(0.005)


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    supervisor = Supervisor(budget=1000)
    await supervisor.start()
    both = Both(supervisor, tmp_path)
    watcher = asyncio.create_task(both.watch())
    yield both
    watcher.cancel()
    await supervisor.stop()
    assert both.most <= 1000


async def test_a_second_model_takes_the_place_of_an_idle_one(both: Both) -> None:
    await both.student.ensure()
    await both.teacher.ensure()
    assert both.teacher.pid
    assert not both.student.pid


async def test_a_busy_model_is_waited_for_and_takes_on_nothing_new_meanwhile(both: Both) -> None:
    await both.student.ensure()
    both.busy["student"] = True
    waiting = asyncio.create_task(both.teacher.ensure())
    await asyncio.sleep(0.3)
    assert not waiting.done()
    assert both.student.yields
    again = asyncio.create_task(both.student.ensure())  # comes later, so it is served later
    await asyncio.sleep(0.1)
    assert not again.done()
    both.busy["student"] = False
    await asyncio.wait_for(waiting, 10)
    await asyncio.wait_for(again, 10)
    assert both.student.pid
    assert not both.teacher.pid


async def test_who_waits_too_long_for_room_hears_of_it(tmp_path: Path) -> None:
    supervisor = Supervisor(budget=1000)
    both = Both(supervisor, tmp_path)
    impatient = supervisor.add(scripted(tmp_path, memory_bytes=_EACH, start=0.5))
    await both.student.ensure()
    both.busy["student"] = True
    with pytest.raises(NoRoom) as caught:
        await impatient.ensure()
    assert caught.value.retry_after
    assert both.student.pid
    assert not both.student.yields
    await supervisor.stop()


async def test_nobody_is_put_out_for_one_that_nobody_waits_for(both: Both) -> None:
    await both.teacher.ensure()
    with pytest.raises(NoRoom):
        await both.student.ensure_from_idle(30.0)
    assert both.teacher.pid
    await asyncio.sleep(0.3)
    await both.student.ensure_from_idle(0.2)
    assert both.student.pid
    assert not both.teacher.pid


async def test_the_night_gets_its_memory_from_the_idle_at_once_and_from_the_busy_when_they_are_done(both: Both) -> None:
    await both.student.ensure()
    both.busy["student"] = True
    lent = 500

    async def finish_soon() -> None:
        await asyncio.sleep(0.4)
        both.busy["student"] = False

    finishing = asyncio.create_task(finish_soon())
    start = time.monotonic()
    both.supervisor.room.leased = lambda: 0  # granted only once there is room, as far as the watcher is concerned
    granting = asyncio.create_task(_lend(both, lent))
    await granting
    assert time.monotonic() - start >= 0.4
    assert not both.student.pid
    with pytest.raises(MemoryLeased):
        await both.student.ensure()
    with pytest.raises(MemoryLeased):
        await both.teacher.ensure_from_idle(0.0)
    both.supervisor.room.leased = lambda: 0
    await both.student.ensure()
    await finishing


async def _lend(both: Both, lent: int) -> None:
    watched = both.most
    both.supervisor.room.leased = lambda: lent
    await both.supervisor.room.give_way()
    both.most = watched  # between the promise and its keeping the books are over, the machine is not
