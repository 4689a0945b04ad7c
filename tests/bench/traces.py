"""What traces cost: at a thousand requests a second through the gateway, and with a million of them in the store."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from distill.store.listing import Wanted
from distill.store.store import TraceStore
from distill.trace import Trace
from router.chat import AnswerMessage, ChatRequest, FunctionCall, FunctionSpec, Message, Tool, ToolCall, Usage
from router.decision import Arm, Decision
from tests.bench.gateway_latency import Client
from tests.bench.gateways import OURS, Field, Target, field_of
from tests.bench.machine import family
from tests.bench.options import Options

_RATE, _SECONDS, _AT_ONCE = 1000, 60.0, 16
_PAIRS, _ROUNDS = 400, 5
_TURNS = 5  # of a conversation in the store
_BATCH = 500
_LOOKS = 15

_TOOLS = [Tool(FunctionSpec("search", "Looks for a pattern in all files.", {"type": "object"}))]


def write(options: Options) -> dict[str, Any]:
    """So many requests a second for a minute; then what a trace adds to a request, one at a time."""
    seconds, rounds = (1.0, 1) if options.tiny else (_SECONDS, options.rounds or _ROUNDS)
    alone = Options(only=options.only)  # no peers: none of them keeps traces
    with field_of(alone) as field:
        target = field.targets[OURS]
        rate, waits, slow = asyncio.run(_paced(field, target, seconds))
        kept = _kept(field, target)
        memory = round(family(target.pid) / 2**20)
        added = asyncio.run(_added(target, 20 if options.tiny else _PAIRS, rounds))
    return {
        "value": round(rate),
        "unit": f"traced requests/s, redacted, {_RATE} wanted",
        "seconds": seconds,
        "traces": kept,
        "most_waiting": max(waits),
        "median_ms": round(1000 * statistics.median(slow), 2),
        "added_us_p50": round(added, 1),
        "memory_mb": memory,
    }


async def _paced(field: Field, target: Target, seconds: float) -> tuple[float, list[int], list[float]]:
    """Requests at the wanted rate; how many there were a second, traces that waited at each look, seconds of each."""
    start = time.perf_counter()
    due: Iterator[float] = iter(start + number / _RATE for number in range(int(seconds * _RATE)))
    took: list[float] = []

    async def worker() -> None:
        async with Client(target) as client:
            for moment in due:
                await asyncio.sleep(max(0.0, moment - time.perf_counter()))
                took.append(await client.ask())

    waits: list[int] = []

    async def look() -> None:
        while True:
            await asyncio.sleep(0.5)
            health = await asyncio.to_thread(field.ours.get, "/health")
            waits.append(health["traces"]["waiting"])

    looking = asyncio.create_task(look())
    await asyncio.gather(*[worker() for _ in range(_AT_ONCE)])
    ended = time.perf_counter()
    looking.cancel()
    return len(took) / (ended - start), waits or [0], took


def _kept(field: Field, target: Target) -> int:
    """Traces in the store, which must be as many as there were answers."""
    field.ours.wait(lambda health: health["traces"]["waiting"] == 0)

    async def count() -> int:
        async with await TraceStore.open_to_read(field.ours.home / "data" / "traces.db") as store:
            return await store.count()

    kept = asyncio.run(count())
    assert kept == target.answers, f"{kept} traces of {target.answers} answers"
    return kept


async def _added(target: Target, count: int, rounds: int) -> float:
    """Microseconds that a trace adds to a request: with one and without in turns, the median of the rounds' medians."""
    untraced = Target(target.port, target.pid, target.settings, {"x-nightschool-no-trace": "1"})
    differences = []
    for _ in range(rounds):
        async with Client(target) as traced, Client(untraced) as bare:
            pairs = [(await traced.ask(), await bare.ask()) for _ in range(count)]
        differences.append(statistics.median([one for one, _ in pairs]) - statistics.median([two for _, two in pairs]))
    return 1e6 * statistics.median(differences)


def store(options: Options) -> dict[str, Any]:
    """A store with so many traces: how fast they go in, and how long lists, searches and sums take."""
    count = 2000 if options.tiny else options.traces
    with tempfile.TemporaryDirectory() as work:
        return asyncio.run(_store(Path(work, "traces.db"), count))


async def _store(path: Path, count: int) -> dict[str, Any]:
    async with await TraceStore.open(path) as store:
        start = time.perf_counter()
        batch: list[Trace] = []
        for trace in _made(count):
            batch.append(trace)
            if len(batch) == _BATCH:
                await store.insert(batch)
                batch = []
        await store.insert(batch)
        written = time.perf_counter() - start
        start = time.perf_counter()
        while await store.index_some():
            pass
        indexed = time.perf_counter() - start
        looks: dict[str, Callable[[], Awaitable[object]]] = {
            "list": lambda: store.listed(limit=50),
            "list of an arm": lambda: store.listed(Wanted(arm="student"), limit=50),
            "list of a conversation": lambda: store.listed(Wanted(conversation="c77"), limit=50),
            "search, a rare word": lambda: store.search("symbol_77_1"),
            "search, a word in every trace": lambda: store.search("handler"),
            "search, nothing": lambda: store.search("nowhere"),
            "stats": lambda: store.sums(),
            "show": lambda: store.get(f"trace-{count // 2}"),
        }
        told = {name: await _median_ms(look) for name, look in looks.items()}
        size = await store.size()
    return {
        "value": max(told.values()),
        "unit": f"ms, the slowest look at {count} traces",
        "ms": told,
        "written_a_second": round(count / written),
        "indexed_a_second": round(count / indexed),
        "bytes_a_trace": round(size / count),
    }


async def _median_ms(look: Callable[[], Awaitable[object]]) -> float:
    seconds = []
    for _ in range(_LOOKS):
        start = time.perf_counter()
        await look()
        seconds.append(time.perf_counter() - start)
    return round(1000 * statistics.median(seconds), 2)


def _made(count: int) -> Iterator[Trace]:
    """Conversations of five turns, two of them at a time, a tool's result of 400 characters in each turn."""
    number = 0
    for conversation in range(-(-count // _TURNS)):
        messages = [
            Message("system", "You explore code with tools."),
            Message("user", f"Where is the handler of request number {conversation}?"),
        ]
        for turn in range(_TURNS):
            if number == count:
                return
            yield _trace(number, conversation, turn, messages)
            call = ToolCall(f"call-{turn}", FunctionCall("search", f'{{"pattern":"symbol_{conversation}_{turn}"}}'))
            lines = "".join(f"src/module_{conversation}.py:{line}: def part_{line}\n" for line in range(10))
            messages += [Message("assistant", None, [call]), Message("tool", lines, tool_call_id=call.id)]
            number += 1


def _trace(number: int, conversation: int, turn: int, messages: list[Message]) -> Trace:
    arm: Arm = "student" if conversation % 3 else "teacher"
    return Trace(
        id=f"trace-{number}",
        created=1.7e9 + number,
        conversation=f"c{conversation}",
        request=ChatRequest("nightschool", list(messages), _TOOLS),
        state="completed",
        decision=Decision(arm=arm, reason="verified" if arm == "student" else "holdout"),
        turn=turn,
        answer=AnswerMessage(f"The symbol_{conversation}_{turn} is the handler."),
        usage=Usage(300, 20, 320),
        seconds={"total": 0.7, "overhead": 0.001},
        model="student",
        wire_id=f"chatcmpl-{number}",
    )


RUNS_BY_NAME = {"trace-store": store}
RUNS = {"trace-write": write}
