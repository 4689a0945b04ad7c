"""`nightschool rollback` and `nightschool pin`: what serves, changed by an operator through the gateway that runs.

Owns the sentences. The gateway alone changes what serves, so that without one nothing is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from distill.day import Day
from gateway.agents.presence import answers
from gateway.answering.pinning import serving
from gateway.errors import StartError


async def roll_back(url: str, data: Path, adapter: str, *, force: bool) -> str:
    """Back to what served before, or to the adapter that is named. Raises StartError without a gateway, DayError where
    it refuses."""
    async with _gateway(url, data) as day:
        done = await day.roll_back(adapter, force=force)
    ended = f"The canary {done['canary']} is over. " if done["canary"] else ""
    gone = f"{done['gone']}, which served before, is gone: its folder is not there. " if done["gone"] else ""
    return f"{ended}{gone}{_serves(done)}"


async def pin(url: str, data: Path, adapter: str) -> str:
    """Let an adapter serve, and nothing replace it. Raises as `roll_back` does."""
    async with _gateway(url, data) as day:
        done = await day.pin(adapter)
    return f"{_serves(done)}, and nothing replaces it before `nightschool pin --off`"


async def unpin(url: str, data: Path) -> str:
    """Let others replace it again. Raises as `roll_back` does."""
    async with _gateway(url, data) as day:
        done = await day.unpin()
    return f"Not pinned any more: {serving(done['pin']['adapter'])}. {_serves(done)}"


def _serves(done: dict[str, Any]) -> str:
    return f"Now serves: {serving((done['live'] or {}).get('adapter', ''))}"


@asynccontextmanager
async def _gateway(url: str, data: Path) -> AsyncIterator[Day]:
    if not await asyncio.to_thread(answers, url):
        raise StartError(
            f"no gateway runs at {url}, and it alone changes what serves: start it with `nightschool serve`"
        )
    async with Day.of_home(url, data) as day:
        yield day
