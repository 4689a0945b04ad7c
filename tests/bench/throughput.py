"""Whether more requests at once are ever slower together: 1, 2, 4, 8 and 16 of them, every prompt another one.

Tools are not in play: the prompts share nothing, so that nothing is kept that the next could use.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import aiohttp

from distill.render import Renderer
from tests.bench import load, servers, weights, wire
from tests.bench.options import Options
from tests.bench.servers import Server

_AT_ONCE = (1, 2, 4, 8, 16)
_ROUNDS = 5
_LEAST = 4  # requests in a measurement, so that a single one is not all there is to see
_PROMPT, _OUTPUT = 300, 48


def throughput(options: Options) -> dict[str, Any]:
    """`value` is the worst ratio of a step's tokens/s to those of the step before; medians of all rounds."""
    steps = _AT_ONCE[:2] if options.tiny else _AT_ONCE
    rounds = options.rounds or (1 if options.tiny else _ROUNDS)
    size = (60, 8) if options.tiny else (_PROMPT, _OUTPUT)
    folder = weights.student()
    renderer = Renderer(folder)
    with tempfile.TemporaryDirectory() as home, servers.engine(folder, Path(home), threads=options.threads) as server:
        found = asyncio.run(_measure(server, renderer, steps, rounds, size))
    rates = {step: round(statistics.median(figures), 2) for step, figures in found.items()}
    ratios = {later: round(rates[later] / rates[before], 3) for before, later in pairwise(steps)}
    return {
        "value": min(ratios.values()),
        "unit": "times the tokens/s of the step before, at worst",
        "tokens_per_second": {str(step): rate for step, rate in rates.items()},
        "ratios": {str(step): ratio for step, ratio in ratios.items()},
        "all": {str(step): [round(rate, 2) for rate in figures] for step, figures in found.items()},
    }


async def _measure(
    server: Server, renderer: Renderer, steps: tuple[int, ...], rounds: int, size: tuple[int, int]
) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {step: [] for step in steps}
    texts = _texts(renderer, size[0])
    async with wire.session() as http:
        await _ask(http, server, next(texts), 4)  # what is lazy is paid for here
        for _ in range(rounds):
            for step in steps:
                found[step].append(await _rate(http, server, texts, step, size[1]))
    return found


async def _rate(http: aiohttp.ClientSession, server: Server, texts: Iterator[str], at_once: int, output: int) -> float:
    """Generated tokens a second while `at_once` requests are always under way."""
    waiting = [next(texts) for _ in range(max(at_once, _LEAST))]

    async def worker() -> int:
        done = 0
        while waiting:
            done += await _ask(http, server, waiting.pop(), output)
        return done

    start = time.perf_counter()
    tokens = await asyncio.gather(*[worker() for _ in range(at_once)])
    return sum(tokens) / (time.perf_counter() - start)


async def _ask(http: aiohttp.ClientSession, server: Server, text: str, output: int) -> int:
    messages = [{"role": "user", "content": text}]
    body = {"model": server.model, "messages": messages, "max_tokens": output, "temperature": 0, "stream": True}
    return (await wire.must(http, server.url, body)).output_tokens


def _texts(renderer: Renderer, tokens: int) -> Iterator[str]:
    """Texts that differ from the first word on, each of about so many tokens."""
    for number in count():
        yield f"{number} is the number of this text. Continue it:\n" + load.excerpt(renderer, 53 * number, tokens - 16)


RUNS = {"throughput": throughput}
