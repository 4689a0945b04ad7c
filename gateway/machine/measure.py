"""How fast a model is on this machine: `doctor --measure`, through a real engine process over its socket.

Owns the measurement and `data/measured.json`, where its figures are kept by model and machine. Knows nothing of MLX.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from gateway.errors import StartError
from gateway.settings import Home

FILE = "measured.json"
_WORDS = "river stone window candle market thunder garden silver winter bridge letter engine"
_PROMPT_WORDS = 400  # of one token or two
_SAID = 48  # tokens of the longer answer
_SEEDS = 8  # answers that are tried
_START = 300.0  # seconds that a large model may take to load


class Measured(msgspec.Struct, frozen=True):
    """One model on one machine: seconds from the process's start to its first health, and tokens a second."""

    model: str
    digest: str
    load_seconds: float
    prefill_tokens_per_second: float
    decode_tokens_per_second: float
    prompt_tokens: int
    unix_time: int


async def measure(model: str, home: Home, threads: int = 0) -> Measured:
    """Start an engine for `model`, time it and end it. Raises StartError with the engine's last words."""
    with tempfile.TemporaryDirectory(prefix="nightschool-") as work:
        begun = time.perf_counter()
        async with _engine(model, home, Path(work), threads) as ask:
            loaded = time.perf_counter() - begun
            return await _timed(ask, loaded)


async def _timed(ask: _Ask, loaded: float) -> Measured:
    """Prefill from a prompt that is new, decode from the same prompt said again with a longer answer."""
    await ask("Say one word.", 1)  # the first request of a process pays for what the others find ready
    prompt = _prompt()
    prefill, first = await ask(prompt, 1)
    computed = first["usage"]["prompt_tokens"] - first["usage"]["prompt_tokens_details"]["cached_tokens"]
    said, seconds = await _decoded(ask, prompt)
    return Measured(
        model=first["model"],
        digest=first["nightschool"]["model"],
        load_seconds=round(loaded, 3),
        prefill_tokens_per_second=round(computed / prefill, 2),
        decode_tokens_per_second=round(said / seconds, 2),
        prompt_tokens=computed,
        unix_time=int(time.time()),
    )


async def _decoded(ask: _Ask, prompt: str) -> tuple[int, float]:
    """Tokens that were decoded beyond a first one, and the seconds they took.

    Both requests have the prompt's keys and values kept, so what they differ in is decoding alone. An answer that ends
    at once tells nothing: another seed gives another one.
    """
    for seed in range(_SEEDS):
        short, one = await ask(prompt, 1, seed)
        long, many = await ask(prompt, _SAID, seed)
        said = many["usage"]["completion_tokens"] - one["usage"]["completion_tokens"]
        if said >= 1 and long > short:
            return said, long - short
    raise StartError("the model ended its answers at once, so its speed could not be measured")


def keep(measured: Measured, machine: str, data: Path) -> Path:
    """Write the figures into data/measured.json, by model digest and machine; what is there of others stays."""
    file = data / FILE
    known = read(data)
    known[f"{measured.digest}:{machine}"] = measured
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("wb", dir=file.parent, prefix=f".{FILE}.", delete=False) as new:
        new.write(msgspec.json.format(msgspec.json.encode(known, order="sorted"), indent=2))
        new.flush()
        os.fsync(new.fileno())
    Path(new.name).replace(file)
    return file


def read(data: Path) -> dict[str, Measured]:
    """The figures kept, by "<model digest>:<machine>"; none where the file is missing or damaged."""
    try:
        return msgspec.json.decode((data / FILE).read_bytes(), type=dict[str, Measured])
    except (OSError, msgspec.DecodeError):
        return {}


def _prompt() -> str:
    """Words in an order that hangs on the time, so that no cache, on disk either, knows them."""
    words, state = _WORDS.split(), time.time_ns()
    chosen = []
    for _ in range(_PROMPT_WORDS):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64  # Knuth's linear congruential generator
        chosen.append(words[(state >> 33) % len(words)])
    return "Go on with this list of words for as long as you can: " + " ".join(chosen)


class _Ask:
    """One request to the engine: seconds it took, and the answer."""

    def __init__(self, session: aiohttp.ClientSession, model: str) -> None:
        self._session = session
        self._model = model

    async def __call__(self, prompt: str, max_tokens: int, seed: int = 0) -> tuple[float, dict[str, Any]]:
        messages = [{"role": "user", "content": prompt}]
        body = {"model": self._model, "messages": messages, "max_tokens": max_tokens, "temperature": 1, "seed": seed}
        begun = time.perf_counter()
        headers = {"x-nightschool-no-trace": "1"}
        async with self._session.post("http://engine/v1/chat/completions", json=body, headers=headers) as response:
            answer: dict[str, Any] = await response.json()
            if response.status != 200:
                raise StartError(f"the engine could not answer: {answer['error']['message']}")
        return time.perf_counter() - begun, answer


@asynccontextmanager
async def _engine(model: str, home: Home, work: Path, threads: int) -> AsyncIterator[_Ask]:
    socket, log = work / "engine.sock", work / "engine.log"
    own = ["engine", "--model", model, "--socket", str(socket), "--home", str(home.models.parent), "--no-speculate"]
    command = [sys.executable, "-m", "gateway.cli", *own, "--threads", str(threads), "--parent", str(os.getpid())]
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output)
    try:
        connector = aiohttp.UnixConnector(path=str(socket))
        async with aiohttp.ClientSession(connector=connector) as session:
            await _until_up(session, process, log)
            async with session.get("http://engine/v1/models") as response:
                served = json.loads(await response.read())["data"][0]["id"]
            yield _Ask(session, served)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 15)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _until_up(session: aiohttp.ClientSession, process: asyncio.subprocess.Process, log: Path) -> None:
    deadline = time.monotonic() + _START
    while process.returncode is None and time.monotonic() < deadline:
        try:
            async with session.get("http://engine/health") as response:
                if response.status == 200:
                    return
        except (aiohttp.ClientError, OSError):
            await asyncio.sleep(0.05)
    raise StartError(f"the engine did not start: {_last_line(log)}")


def _last_line(log: Path) -> str:
    return (log.read_text(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
