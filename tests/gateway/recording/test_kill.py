"""kill -9 at random moments under load: what was acknowledged 200 ms before is there, and the store is whole."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from pathlib import Path

import aiohttp
import psutil
import pytest

from distill.store.store import TraceStore
from gateway.backends.scripted import Act
from tests.gateway.running import Running, Script

pytestmark = pytest.mark.gateways

PROMISED = 0.2  # seconds from an answer to its trace on disk
CLIENTS = 8


async def _ask(session: aiohttp.ClientSession, url: str, who: str, answered: dict[str, float]) -> None:
    """Ask until the gateway is gone; the ids of the traces that were acknowledged, and when."""
    number = 0
    while True:
        body = {"model": "teacher", "messages": [{"role": "user", "content": f"{who} {number} " + "x" * 800}]}
        try:
            async with session.post(f"{url}/v1/chat/completions", json=body) as response:
                await response.read()
                if response.status == 200:
                    answered[response.headers["x-nightschool-trace"]] = time.monotonic()
        except aiohttp.ClientError:
            return
        number += 1


async def _killed(home: Path, seed: int) -> tuple[set[str], list[str]]:
    """A gateway killed under load, all of it or its recording process with it; what was promised, and all faults."""
    chance = random.Random(seed)
    answered: dict[str, float] = {}
    with (
        Script(Act(text="s")) as student,
        Script(Act(text="t")) as teacher,
        Running(home, student.url, teacher.url) as gateway,
    ):
        async with aiohttp.ClientSession() as session:
            asking = [
                asyncio.create_task(_ask(session, gateway.url, f"{seed}-{number}", answered))
                for number in range(CLIENTS)
            ]
            await asyncio.sleep(chance.uniform(0.3, 1.5))
            children = psutil.Process(gateway.process.pid).children(recursive=True)
            gateway.process.send_signal(signal.SIGKILL)
            at = time.monotonic()
            if chance.random() < 0.5:
                for child in children:
                    child.kill()
            gateway.process.wait()
            await asyncio.gather(*asking)
            psutil.wait_procs(children, timeout=10)
    async with await TraceStore.open_to_read(home / "data" / "traces.db") as store:
        kept = {found.id for _, found in await store.after(0, limit=100_000)}
        faults = [fault async for fault in store.faults()]
    promised = {name for name, moment in answered.items() if moment < at - PROMISED}
    assert promised, "nothing was acknowledged long enough before: this shows nothing"
    return promised - kept, faults


@pytest.mark.parametrize("seed", range(3))
async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, seed: int) -> None:
    assert await _killed(tmp_path, seed) == (set(), [])


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_what_was_acknowledged_survives_fifty_kills(tmp_path: Path) -> None:
    for seed in range(100, 150):
        (tmp_path / str(seed)).mkdir()
        assert await _killed(tmp_path / str(seed), seed) == (set(), []), seed
