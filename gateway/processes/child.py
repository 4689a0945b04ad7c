"""A gateway as a child process, for nights, examinations and the demo. Owns its start, health and end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from gateway.errors import StartError
from gateway.processes.ports import free_port

_PATIENCE = 120.0  # seconds until both arms are ready


@asynccontextmanager
async def child_gateway(
    arguments: list[str], environment: Mapping[str, str], log: Path, data: Path
) -> AsyncIterator[str]:
    """`nightschool serve` with these arguments on a free port; yields its URL once both arms are ready, but for those
    that are started when they are first asked. `data` is the data folder it is going to have.

    Raises StartError with the last line it logged when it does not come up.
    """
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "gateway.cli",
        "serve",
        *arguments,
        "--port",
        str(port),
        "--parent",
        str(os.getpid()),
    ]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command, env={**os.environ, **environment}, stdout=output, stderr=output
        )
    try:
        url = f"http://127.0.0.1:{port}"
        await _until_ready(url, process, log, data)
        yield url
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), 20)
            except TimeoutError:
                process.kill()
                await process.wait()


@asynccontextmanager
async def running_or_own(url: str, arguments: list[str], log: Path, data: Path) -> AsyncIterator[str]:
    """The gateway with this data folder at `url`; where there is none, one of our own, started with these arguments."""
    if await answers(url, data):
        yield url
        return
    async with child_gateway(arguments, {}, log, data) as private:
        yield private


async def answers(url: str, data: Path) -> bool:
    """Whether a gateway with this data folder is there."""
    try:
        return (await _health(url, data)) is not None
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False


async def _until_ready(url: str, process: asyncio.subprocess.Process, log: Path, data: Path) -> None:
    deadline = asyncio.get_running_loop().time() + _PATIENCE
    while asyncio.get_running_loop().time() < deadline:
        if process.returncode is not None:
            break
        try:
            health = await _health(url, data)
        except (aiohttp.ClientError, TimeoutError, OSError):
            health = None
        if health and all(_is_settled(health, arm) for arm in ("student", "teacher")):
            return
        await asyncio.sleep(0.2)
    lines = _last_lines(log)
    raise StartError(f"the gateway did not come up: {lines[-1]} (see {log})")


def _is_settled(health: dict[str, dict[str, Any]], arm: str) -> bool:
    """Whether an arm is ready, or is not to be before it is first asked."""
    return bool(health[arm]["ready"] or not health[arm]["eager"])


def _last_lines(log: Path) -> list[str]:
    return log.read_text(errors="replace").strip().splitlines() or ["nothing was logged"]


async def _health(url: str, data: Path) -> dict[str, dict[str, Any]] | None:
    """What a gateway tells the holder of its admin key; one with keys tells strangers next to nothing."""
    timeout = aiohttp.ClientTimeout(total=5)
    key = (data / "admin.key").read_text().strip() if (data / "admin.key").exists() else ""
    headers = {"authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(timeout=timeout, headers=headers) as http, http.get(f"{url}/health") as answer:
        body: dict[str, dict[str, Any]] = await answer.json()
        return body if "student" in body else None
