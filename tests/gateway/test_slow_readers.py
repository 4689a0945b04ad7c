"""Clients that take a byte a second of a stream that could not be faster. The upstream is held back, memory stays."""

from __future__ import annotations

import asyncio
import socket
import statistics
import time
from collections.abc import Iterator

import msgspec
import pytest

from gateway.backends.scripted import Act
from gateway.backends.stream import encode_event
from tests.bench.machine import resident
from tests.gateway.running import Running, Script

_CLIENTS = 50
_SECONDS = 10
_EVENT = encode_event({"id": "c", "choices": [{"index": 0, "delta": {"content": "x" * 16_000}}]})
_FLOOD = Act(raw=[_EVENT] * 20_000)  # 320 MB for each client
_EACH = 12_000_000  # bytes a client may cost: a system takes 4 MB or so to send, and their text is kept for the trace
_MB = 2**20


@pytest.fixture(scope="module", params=["granian", "uvicorn"])
def flooded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("home")
    with (
        Script(Act(text="student")) as student,
        Script(_FLOOD) as teacher,
        Running(home, student.url, teacher.url, gateway__server=request.param) as running,
    ):
        running.wait_ready()
        yield running


async def _slow(gateway: Running) -> int:
    """Read a byte a second; how many there were."""
    body = msgspec.json.encode({"model": "teacher", "stream": True, "messages": [{"role": "user", "content": "Hi"}]})
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    loop, read = asyncio.get_running_loop(), 0
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", gateway.port))
        await loop.sock_sendall(client, f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        for _ in range(_SECONDS):
            read += len(await loop.sock_recv(client, 1))
            await asyncio.sleep(1)
    return read


async def test_slow_readers_cost_no_memory_and_no_time(
    flooded: Running, record_property: pytest.RecordProperty
) -> None:
    memory = [resident(flooded.process.pid)]
    clients = [asyncio.create_task(_slow(flooded)) for _ in range(_CLIENTS)]
    during: list[int] = []  # while all of them read: at the end their traces are written, and are there twice
    seconds = []
    while not all(client.done() for client in clients):
        start = time.monotonic()
        status, _, answer = await asyncio.to_thread(flooded.chat, "Hi", "student")
        seconds.append(time.monotonic() - start)
        assert (status, answer["choices"][0]["message"]["content"]) == (200, "student")
        memory.append(await asyncio.to_thread(resident, flooded.process.pid))
        if not any(client.done() for client in clients):
            during.append(memory[-1])
        await asyncio.sleep(0.2)
    assert [client.result() for client in clients] == [_SECONDS] * _CLIENTS
    record_property("megabytes", [round(size / _MB) for size in memory])
    record_property("seconds_of_the_others", [round(second, 2) for second in seconds])
    assert max(during) - memory[0] < _CLIENTS * _EACH
    assert max(memory) - memory[0] < 2 * _CLIENTS * _EACH
    settled = during[len(during) // 2 :]
    assert max(settled) - min(settled) < 10 * _MB  # it does not creep
    assert statistics.median(seconds) < 0.5
    assert max(seconds) < 5
    await asyncio.to_thread(flooded.wait, lambda health: health["teacher"]["in_flight"] == 0)
