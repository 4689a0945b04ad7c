"""What the gateway adds: to one request, to many, to a stream. Against an instant upstream in a process of its own.

Tracing is on, every request has another user message, and afterwards the store must hold as many traces as there were
answers. The student is out of the way (policy "teacher"), so that upstream and gateway are all that is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.bench.options import Options
from tests.gateway.running import Running, free_port

_WARM, _ONE_AT_A_TIME, _MANY, _AT_ONCE, _STREAMS = 200, 800, 5000, 16, 200


class Client:
    """A bare HTTP client on one kept connection, so that the client costs next to nothing."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Client:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def ask(self, number: int, *, stream: bool = False) -> float:
        """Seconds until the answer is there whole."""
        messages = [{"role": "user", "content": f"Question {number}"}, *_TOOL_RESULT]
        body = msgspec.json.encode({"model": "scripted", "stream": stream, "messages": messages})
        head = "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        head += f"content-length: {len(body)}\r\n\r\n"
        start = time.perf_counter()
        self._writer.write(head.encode() + body)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        assert answer.startswith(b"http/1.1 200"), answer
        if b"chunked" in answer:
            await self._reader.readuntil(b"0\r\n\r\n")
        else:
            length = int(answer.split(b"content-length: ")[1].split(b"\r\n")[0])
            await self._reader.readexactly(length)
        return time.perf_counter() - start


_TOOL_RESULT = [
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "read_file", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "x" * 1000},
]


async def _one_at_a_time(port: int, count: int, first: int, *, stream: bool = False) -> float:
    """Median seconds."""
    async with Client(port) as client:
        return statistics.median([await client.ask(first + number, stream=stream) for number in range(count)])


async def _many(port: int, count: int, first: int) -> float:
    """Requests a second, with _AT_ONCE connections."""
    numbers: Iterator[int] = iter(range(first, first + count))

    async def worker() -> None:
        async with Client(port) as client:
            for number in numbers:
                await client.ask(number)

    start = time.perf_counter()
    await asyncio.gather(*[worker() for _ in range(_AT_ONCE)])
    return count / (time.perf_counter() - start)


@contextmanager
def _upstream(pieces: int) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "gateway.scripted", "--port", str(port), "--pieces", str(pieces)]
    process = subprocess.Popen([*command, "--text", "word " * 50])
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


@asynccontextmanager
async def _both(pieces: int = 1) -> AsyncIterator[tuple[int, Running]]:
    """The upstream's port and a gateway before it."""
    with (
        tempfile.TemporaryDirectory() as home,
        _upstream(pieces) as port,
        Running(Path(home), "", f"http://127.0.0.1:{port}/v1", router__policy="teacher") as gateway,
    ):
        await asyncio.to_thread(gateway.wait, lambda health: health["teacher"]["ready"])
        await _one_at_a_time(port, _WARM, 0)
        await _one_at_a_time(gateway.port, _WARM, 0)
        yield port, gateway


async def _traces_match(gateway: Running, answers: int) -> None:
    await asyncio.to_thread(gateway.wait, lambda health: health["traces"]["written"] == answers)
    traces = gateway.get("/health")["traces"]
    assert traces["dropped"] == 0, traces


async def _latency() -> dict[str, Any]:
    async with _both() as (upstream, gateway):
        added = []
        for turn in range(4):  # interleaved, so that a busy moment hits both
            direct = await _one_at_a_time(upstream, _ONE_AT_A_TIME // 4, turn * 1000)
            added.append(await _one_at_a_time(gateway.port, _ONE_AT_A_TIME // 4, turn * 1000) - direct)
        await _traces_match(gateway, _WARM + _ONE_AT_A_TIME)
        return {"value": round(1000 * statistics.median(added), 3), "unit": "ms added, p50"}


async def _throughput() -> dict[str, Any]:
    async with _both() as (upstream, gateway):
        direct = await _many(upstream, _MANY, 0)
        through = await _many(gateway.port, _MANY, 0)
        await _traces_match(gateway, _WARM + _MANY)
        return {"value": round(through), "unit": "requests/s, 16 at once", "upstream_alone": round(direct)}


async def _stream() -> dict[str, Any]:
    async with _both(pieces=50) as (upstream, gateway):
        direct = await _one_at_a_time(upstream, _STREAMS, 0, stream=True)
        through = await _one_at_a_time(gateway.port, _STREAMS, 0, stream=True)
        await _traces_match(gateway, _WARM + _STREAMS)
        return {"value": round(1000 * (through - direct), 3), "unit": "ms added to a stream of 52 chunks, p50"}


def latency(_: Options) -> dict[str, Any]:
    return asyncio.run(_latency())


def throughput(_: Options) -> dict[str, Any]:
    return asyncio.run(_throughput())


def stream(_: Options) -> dict[str, Any]:
    return asyncio.run(_stream())


RUNS = {"gateway-latency": latency, "gateway-throughput": throughput, "gateway-stream": stream}
