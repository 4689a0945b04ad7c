"""Tool calls sampled at a high temperature under a grammar: how many end, whether all are valid, what a token costs.

Each request offers one tool with one of twenty schemas and asks for a call of it. What comes back is read as a client
reads it and checked by jsonschema_rs as the router does it.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema_rs
import msgspec

from tests.bench import servers, weights, wire
from tests.bench.grammar_schemas import LONG, LONG_SCHEMA, SCHEMAS
from tests.bench.options import Options
from tests.bench.servers import Server
from tests.bench.wire import Answer

_AT_ONCE = 16
_LONGEST = 300  # tokens of a call
_TEMPERATURE = 1.5
_COST_TOKENS = 64


def grammar(options: Options) -> dict[str, Any]:
    """`value` is the share of valid calls among those that ended other than by their length."""
    calls = 20 if options.tiny else options.calls
    folder = weights.student()
    with tempfile.TemporaryDirectory() as home, servers.engine(folder, Path(home), threads=options.threads) as server:
        found = asyncio.run(_sample(server, calls))
        costs = asyncio.run(_costs(server, 1 if options.tiny else 5))
    ended = [(name, answer) for name, answer in found if answer.finish != "length"]
    wrong = [(name, reason) for name, answer in ended if (reason := invalid(name, answer))]
    return {
        "value": round(1 - len(wrong) / max(1, len(ended)), 5),
        "unit": f"of {len(ended)} calls that ended were valid",
        "calls": len(found),
        "length_share": round(1 - len(ended) / len(found), 4),
        "length_by_schema": Counter(name for name, answer in found if answer.finish == "length"),
        "wrong": wrong[:20],
        "tokens": sum(answer.output_tokens for _, answer in found),
        "ms_per_token": costs,
    }


def invalid(name: str, answer: Answer) -> str:
    """Why an answer is not exactly a valid call of the tool; empty when it is."""
    if answer.error:
        return answer.error
    if len(answer.calls) != 1 or answer.calls[0]["function"]["name"] != name:
        return f"{len(answer.calls)} calls, finish {answer.finish}, content {answer.content[:80]!r}"
    text = answer.calls[0]["function"]["arguments"]
    try:
        arguments = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        return f"not JSON ({error}): {text[:80]!r}"
    problem = next(_validator(name).iter_errors(arguments), None)
    return f"{problem.message} in {text[:200]}" if problem else ""


def _validator(name: str) -> Any:
    patterns = jsonschema_rs.RegexOptions()
    return jsonschema_rs.validator_for(SCHEMAS[name], pattern_options=patterns, offline=True)


def body(server: Server, name: str, seed: int, **more: Any) -> dict[str, Any]:
    """A request for exactly one call of the tool `name`."""
    parameters = LONG_SCHEMA if name == LONG else SCHEMAS[name]
    tool = {"type": "function", "function": {"name": name, "description": "Try it.", "parameters": parameters}}
    return {
        "model": server.model,
        "messages": [{"role": "user", "content": f"Call {name} with values that you make up."}],
        "tools": [tool],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "temperature": _TEMPERATURE,
        "seed": seed,
        "max_tokens": _LONGEST,
        **more,
    }


async def _sample(server: Server, calls: int) -> list[tuple[str, Answer]]:
    names = list(SCHEMAS)
    wanted = [(names[number % len(names)], number) for number in range(calls)]
    found: list[tuple[str, Answer]] = []

    async def worker(http: aiohttp.ClientSession) -> None:
        while wanted:
            name, seed = wanted.pop()
            request = body(server, name, seed, stream=bool(seed // len(names) % 2))
            found.append((name, await wire.ask(http, server.url, request)))

    async with wire.session() as http:
        await asyncio.gather(*[worker(http) for _ in range(_AT_ONCE)])
    return found


async def _costs(server: Server, rounds: int) -> dict[str, float]:
    """Milliseconds of the engine for a token, 8 requests at once: alike but for the grammar, their prompts kept."""
    found: dict[str, list[float]] = {"with": [], "without": []}
    async with wire.session() as http:
        for number in range(rounds + 1):
            for kind, choice in (("with", "required"), ("without", "auto")):
                figure = await _cost(http, server, number, {"tool_choice": choice, "max_tokens": _COST_TOKENS})
                found[kind] += [figure] if number else []  # the first round fills the caches
    medians = {kind: round(statistics.median(figures), 3) for kind, figures in found.items()}
    return {**medians, "ratio": round(medians["with"] / medians["without"], 3)}


async def _cost(http: aiohttp.ClientSession, server: Server, number: int, more: dict[str, Any]) -> float:
    """All eight go on to the limit: the call that the grammar wants is longer than that."""
    start = time.perf_counter()
    answers = await asyncio.gather(
        *[wire.must(http, server.url, body(server, LONG, number * 8 + i, **more)) for i in range(8)]
    )
    return 1000 * (time.perf_counter() - start) / sum(answer.output_tokens for answer in answers)


RUNS = {"grammar": grammar}
