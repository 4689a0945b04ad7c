"""Minutes of everything at once: agents, streams cut off, adapters that come and go, requests that must be refused.

At the end nothing may hang, memory must be where it was once the caches were full, and the engine must still give the
answer it gave at the start. Every choice comes from one seed.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distill.render import Renderer
from tests.bench import load, servers, weights, wire
from tests.bench.machine import resident
from tests.bench.options import Options
from tests.bench.servers import Server
from tests.bench.soak_clients import Told, World, change_adapters, client

_CLIENTS = 6
_WARM_UP = 60.0  # seconds of the same load, after which memory may not grow
_WINDOW = 30.0  # seconds whose median counts as the memory of that time
_SAMPLE = 1.0
_CACHE_GB = 0.2  # for prompts kept: full long before the warm-up is over
_SETTLE = 60.0  # seconds the engine may take to finish what was under way
_PROMPT = 24  # tokens compared at start and end


@dataclass
class Memory:
    """Bytes by seconds since the start."""

    curve: list[tuple[float, int]] = field(default_factory=list)

    def around(self, start: float, end: float) -> float:
        return statistics.median(size for at, size in self.curve if start <= at <= end)

    def megabytes(self, points: int) -> dict[str, int]:
        """About so many points of the curve."""
        kept = self.curve[:: max(1, len(self.curve) // points)]
        return {f"{at:.0f}": round(size / 2**20) for at, size in kept}


def soak(options: Options) -> dict[str, Any]:
    """`value` is the memory at the end by that after the warm-up; `failures` must be empty."""
    seconds = min(options.seconds, 20.0) if options.tiny else options.seconds
    with _engine(options) as (server, world):
        first = asyncio.run(_greedy(server))
        memory, told = asyncio.run(_run(server, world, seconds))
        idle = asyncio.run(_settled(server))
        last = asyncio.run(_greedy(server))
    warm = min(_WARM_UP, seconds / 3)
    window = min(_WINDOW, seconds / 4)
    before, after = memory.around(warm, warm + window), memory.around(seconds - window, seconds)
    failures = list(told.failures) + ([] if idle else [f"requests still under way after {_SETTLE:g} s"])
    failures += [] if first == last else ["the greedy answer at the end is not that of the start"]
    return {
        "value": round(after / before, 4),
        "unit": "memory at the end by memory after the warm-up",
        "seconds": seconds,
        "failures": failures[:20],
        "failure_count": len(failures),
        "slowest_seconds": round(max(told.seconds, default=0.0), 2),
        "requests": dict(sorted(told.counted.items())),
        "memory_mb": memory.megabytes(60),
    }


@contextmanager
def _engine(options: Options) -> Iterator[tuple[Server, World]]:
    folder = weights.student()
    with tempfile.TemporaryDirectory() as work:
        home = Path(work)
        root = home / "models" / "adapters"
        adapters = [weights.adapter(folder, root / f"adapter-{seed}", seed) for seed in (1, 2, 3)]
        broken = root / "broken"
        broken.mkdir()
        (broken / "adapter_config.json").write_text("{}")
        (broken / "adapters.safetensors").write_bytes(b"not tensors")
        with servers.engine(folder, home, threads=options.threads, cache_gb=_CACHE_GB) as server:
            yield server, World(server, Renderer(folder), adapters, broken)


async def _run(server: Server, world: World, seconds: float) -> tuple[Memory, Told]:
    memory, told = Memory(), Told()
    start = time.perf_counter()
    until = start + seconds
    sampling = asyncio.create_task(_sample(server, memory, start))
    changing = asyncio.create_task(change_adapters(world, told, until))
    await asyncio.gather(*[client(world, told, until, seed) for seed in range(_CLIENTS)])
    await changing
    sampling.cancel()
    return memory, told


async def _sample(server: Server, memory: Memory, start: float) -> None:
    while True:
        memory.curve.append((time.perf_counter() - start, await asyncio.to_thread(resident, server.pid)))
        await asyncio.sleep(_SAMPLE)


async def _settled(server: Server) -> bool:
    """Whether the engine comes to rest: nothing of all that was cut off goes on."""
    until = time.perf_counter() + _SETTLE
    while time.perf_counter() < until:
        state = await asyncio.to_thread(server.get, "/health")
        if not state["running"]:
            return True
        await asyncio.sleep(0.2)
    return False


async def _greedy(server: Server) -> list[int]:
    async with wire.session() as http:
        body = load.request(server, load.conversation(0), _PROMPT, return_token_ids=True)
        return (await wire.must(http, server.url, body)).token_ids


RUNS = {"soak": soak}
