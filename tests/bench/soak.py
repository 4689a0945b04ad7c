"""Minutes of everything at once: agents, streams cut off, adapters that come and go, requests that must be refused.

At the end nothing may hang, memory must be where it was once the caches were full, and the engine must still give the
answer it gave at the start. Memory is compared at rest, after a minute and at the end: under load it goes up and down
with what happens to be under way, a leak shows in what is left behind. Every choice comes from one seed.
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
_REST = 15.0  # seconds without load before memory is read: the engine gives back what lies unused after ten
_WINDOW = 60.0  # seconds under load whose median is shown
_SAMPLE = 1.0
_CACHE_GB = 0.2  # for prompts kept: full long before the warm-up is over
_FILLING = 8  # prompts of 800 tokens, 40 MB each, that fill the cache
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
    """`value` is the memory at rest at the end by that after the warm-up; `failures` must be empty."""
    seconds = min(options.seconds, 20.0) if options.tiny else options.seconds
    warm = min(_WARM_UP, seconds / 3)
    memory, told = Memory(), Told()
    with _engine(options) as (server, world):
        first = asyncio.run(_greedy(server))
        before = asyncio.run(_run_and_rest(server, world, memory, told, warm, seed=0))
        after = asyncio.run(_run_and_rest(server, world, memory, told, seconds - warm, seed=_CLIENTS))
        last = asyncio.run(_greedy(server))
    failures = list(told.failures)
    failures += [] if first == last else ["the greedy answer at the end is not that of the start"]
    window = min(_WINDOW, seconds / 4)
    return {
        "value": round(after / before, 4),
        "unit": "memory at rest at the end by memory at rest after the warm-up",
        "seconds": seconds,
        "at_rest_mb": [round(size / 2**20) for size in (before, after)],
        "under_load_mb": [round(memory.around(*span) / 2**20) for span in ((0, window), (seconds - window, seconds))],
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


async def _run_and_rest(server: Server, world: World, memory: Memory, told: Told, seconds: float, *, seed: int) -> int:
    """Load for so long; the bytes of the engine once it has come to rest."""
    until = time.perf_counter() + seconds
    sampling = asyncio.create_task(_sample(server, memory))
    changing = asyncio.create_task(change_adapters(world, told, until))
    await asyncio.gather(*[client(world, told, until, seed + number) for number in range(_CLIENTS)])
    await changing
    sampling.cancel()
    if not await _settled(server):
        told.failures.append(f"requests still under way after {_SETTLE:g} s")
    for name in sorted(world.loaded):
        await asyncio.to_thread(server.post, "/v1/unload_lora_adapter", {"lora_name": name})
    world.loaded.clear()
    await _fill_cache(server, world)
    await asyncio.sleep(_REST)
    return resident(server.pid)


async def _fill_cache(server: Server, world: World) -> None:
    """What is kept of prompts differs from one moment to the next; now it is as much as may be."""
    async with wire.session() as http:
        for number in range(_FILLING):
            text = load.excerpt(world.renderer, 1000 * number, 800)
            body = {"model": server.model, "messages": [{"role": "user", "content": text}], "max_tokens": 1}
            await wire.must(http, server.url, body)


async def _sample(server: Server, memory: Memory) -> None:
    """Goes on from where the curve ends."""
    start = time.perf_counter() - (memory.curve[-1][0] if memory.curve else 0.0)
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
