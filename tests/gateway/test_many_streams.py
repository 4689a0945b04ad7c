"""Hundreds of streams at once through one gateway process: each whole and its own, none lost, memory bounded."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.bench.machine import resident
from tests.faults.wires import WIRES, Seen, Wire
from tests.gateway.running import Running, environment, free_port

_FEW_FILES = 256  # what macOS gives a process; a stream takes two
_PIECES, _PAUSE = 20, 0.3  # each stream lasts six seconds at least, so that all are open at the same time
_GROWTH = 200_000  # bytes a stream, at most: its buffers and the text that is kept for the trace


@contextmanager
def _few_files() -> Iterator[None]:
    """A child started meanwhile may open few files, unless it asks for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FEW_FILES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def _upstream(home: Path) -> Iterator[str]:
    port = free_port()
    options = ["--echo", "--pieces", str(_PIECES), "--pause", str(_PAUSE)]
    command = [sys.executable, "-m", "gateway.backends.scripted", "--port", str(port), *options]
    process = subprocess.Popen(command, env=environment(home))
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module", params=["granian", "uvicorn"])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("home")
    with _upstream(home) as url:
        with _few_files():
            running = Running(home, "", url, gateway__server=request.param, router__policy="teacher")
        with running:
            running.wait(lambda health: health["teacher"]["ready"])
            yield running


def _text(number: int) -> str:
    return " ".join(f"stream{number}-word{place}" for place in range(40))


async def _stream(http: aiohttp.ClientSession, gateway: Running, wire: Wire, number: int) -> Seen:
    body = wire.body("teacher", _text(number), stream=True)
    async with http.post(gateway.url + wire.path, json=body) as reply:
        return wire.read(reply.status, await reply.read(), stream=True)


async def _most(gateway: Running, under_way: list[int], memory: list[int]) -> None:
    """What the gateway has under way and in memory, looked at again and again."""
    while True:
        health = await asyncio.to_thread(gateway.get, "/health")
        under_way.append(health["teacher"]["in_flight"])
        memory.append(await asyncio.to_thread(resident, gateway.process.pid))
        await asyncio.sleep(0.2)


@pytest.mark.parametrize(("name", "count"), [("chat", 500), ("Messages", 150), ("Responses", 150)])
async def test_every_stream_is_whole_and_its_own(
    gateway: Running, name: str, count: int, record_property: pytest.RecordProperty
) -> None:
    wire = WIRES[name]
    under_way: list[int] = []
    memory = [resident(gateway.process.pid)]
    watching = asyncio.create_task(_most(gateway, under_way, memory))
    before = gateway.get("/health")["traces"]["written"]
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as http:
        seen = await asyncio.gather(*[_stream(http, gateway, wire, number) for number in range(count)])
    watching.cancel()
    assert seen == [Seen(200, _text(number), ends=1) for number in range(count)]
    assert max(under_way) == count
    record_property("megabytes", [round(size / 2**20) for size in (memory[0], max(memory))])
    assert max(memory) - memory[0] < count * _GROWTH
    await asyncio.to_thread(gateway.wait, lambda health: health["traces"]["written"] == before + count)
    assert gateway.get("/health")["traces"]["dropped"] == 0
