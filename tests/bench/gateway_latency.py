"""What a gateway adds: to one request, to many, to a stream. Ours and its peers before one instant upstream, in turns.

Tracing is on in ours, every request has another user message, and afterwards the store must hold exactly as many traces
as there were answers. The student is out of the way (policy "teacher"), so that upstream and gateway are all that is
measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from distill.store.store import TraceStore
from tests.bench.gateways import ANSWER, DIRECT, MODEL, OURS, Field, Target, field_of
from tests.bench.machine import family
from tests.bench.options import Options

_WARM, _ONE_AT_A_TIME, _STREAMS, _SECONDS, _AT_ONCE = 200, 200, 50, 2.0, 16  # of each round
_ROUNDS = 5
_PIECES = 50
_CHUNKS = _PIECES + 2  # with those of the role and of the reason to end

Measure = Callable[[Target], Awaitable[float]]


class NoAnswer(RuntimeError):
    """Somebody answered with an error, or with something else than the upstream's answer."""


class Client:
    """A bare HTTP client on one kept connection, so that the client costs next to nothing."""

    def __init__(self, target: Target) -> None:
        self._target = target
        head = "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        self._head = head + "".join(f"{name}: {value}\r\n" for name, value in target.headers.items())

    async def __aenter__(self) -> Client:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._target.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def ask(self, *, stream: bool = False) -> float:
        """Seconds until the answer is there whole. Raises NoAnswer."""
        messages = [{"role": "user", "content": self._target.question()}, *_TOOL_RESULT]
        body = msgspec.json.encode({"model": MODEL, "stream": stream, "messages": messages})
        request = f"{self._head}content-length: {len(body)}\r\n\r\n".encode() + body
        start = time.perf_counter()
        self._writer.write(request)
        answer = await self._answer()
        seconds = time.perf_counter() - start
        if answer.count(b"word") != ANSWER.count("word"):
            raise NoAnswer(f"not the answer, but {answer[:300]!r}")
        self._target.answers += 1
        return seconds

    async def _answer(self) -> bytes:
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise NoAnswer(head[:300].decode("latin-1"))
        if b"chunked" in head:
            return await self._reader.readuntil(b"\r\n0\r\n\r\n")
        return await self._reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))


_TOOL_RESULT = [
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "read_file", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "x" * 1000},
]


def _one_at_a_time(count: int, *, stream: bool = False) -> Measure:
    """Median seconds of so many requests."""

    async def measure(target: Target) -> float:
        async with Client(target) as client:
            return statistics.median([await client.ask(stream=stream) for _ in range(count)])

    return measure


def _many(seconds: float) -> Measure:
    """Requests a second, with _AT_ONCE connections."""

    async def measure(target: Target) -> float:
        before, start = target.answers, time.perf_counter()

        async def worker() -> None:
            async with Client(target) as client:
                while time.perf_counter() - start < seconds:
                    await client.ask()

        await asyncio.gather(*[worker() for _ in range(_AT_ONCE)])
        return (target.answers - before) / (time.perf_counter() - start)

    return measure


async def _measured(field: Field, measure: Measure, warm: Measure, rounds: int) -> dict[str, list[float]]:
    """Each target once a round, in an order that changes, so that a busy moment hits all alike."""
    for name, target in list(field.targets.items()):
        try:
            await warm(target)
        except NoAnswer as error:
            if name not in field.peers:
                raise
            field.missing[name] = f"started, but answered {error}"
            del field.targets[name]
    names = list(field.targets)
    found: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        at = number % len(names)
        for name in names[at:] + names[:at]:
            found[name].append(await measure(field.targets[name]))
    await _traces_match(field)
    return found


async def _traces_match(field: Field) -> None:
    answers = field.targets[OURS].answers
    await asyncio.to_thread(field.ours.wait, lambda health: health["traces"]["waiting"] == 0)
    async with await TraceStore.open_to_read(field.ours.home / "data" / "traces.db") as store:
        kept = await store.count()
    assert kept == answers, f"{kept} traces of {answers} answers"


def _added(found: dict[str, list[float]]) -> dict[str, float]:
    """Milliseconds that each adds to the upstream's own time: the median of the rounds' differences."""
    return {
        name: round(1000 * statistics.median([a - b for a, b in zip(values, found[DIRECT], strict=True)]), 3)
        for name, values in found.items()
        if name != DIRECT
    }


def _line(field: Field, values: dict[str, float], unit: str, **more: Any) -> dict[str, Any]:
    return {
        "value": values[OURS],
        "unit": unit,
        "peers": {name: values[name] for name in field.peers},
        "missing": field.missing,
        "memory_mb": {name: round(family(target.pid) / 2**20) for name, target in field.targets.items()},
        "traces": field.targets[OURS].answers,
        "settings": field.settings,
        **more,
    }


def latency(options: Options) -> dict[str, Any]:
    count, warm, rounds = (10, 5, 1) if options.tiny else (_ONE_AT_A_TIME, _WARM, options.rounds or _ROUNDS)
    with field_of(options) as field:
        found = asyncio.run(_measured(field, _one_at_a_time(count), _one_at_a_time(warm), rounds))
        return _line(
            field, _added(found), "ms added, p50", upstream_ms=round(1000 * statistics.median(found[DIRECT]), 3)
        )


def throughput(options: Options) -> dict[str, Any]:
    seconds, warm, rounds = (0.2, 0.1, 1) if options.tiny else (_SECONDS, 0.5, options.rounds or _ROUNDS)
    with field_of(options) as field:
        found = asyncio.run(_measured(field, _many(seconds), _many(warm), rounds))
        values = {name: float(round(statistics.median(each))) for name, each in found.items()}
        return _line(field, values, f"requests/s, {_AT_ONCE} at once", upstream_alone=values[DIRECT])


def stream(options: Options) -> dict[str, Any]:
    count, warm, rounds = (5, 5, 1) if options.tiny else (_STREAMS, _STREAMS, options.rounds or _ROUNDS)
    measure, warming = (_one_at_a_time(number, stream=True) for number in (count, warm))
    with field_of(options, _PIECES) as field:
        added = _added(asyncio.run(_measured(field, measure, warming, rounds)))
        each = {name: round(1000 * value / _CHUNKS, 1) for name, value in added.items()}
        return _line(field, added, f"ms added to a stream of {_CHUNKS} chunks, p50", us_a_chunk=each)


RUNS = {"gateway-latency": latency, "gateway-throughput": throughput, "gateway-stream": stream}
