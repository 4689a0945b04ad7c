"""Adapters loaded, swapped and unloaded every second under half the agents' load.

No request may fail, none may get another answer than it gets alone on an idle engine, no stream may pause, and after a
swap under the same name nothing of the adapter before may be used.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from distill.render import Renderer
from tests.bench import load, servers, weights, wire
from tests.bench.load import Outcome, Shape
from tests.bench.options import Options
from tests.bench.servers import Server
from tests.bench.wire import Answer

_FULL, _TINY = Shape(conversations=6, turns=3), Shape(conversations=3, turns=2, output=12)
_MOVING = "moving"  # the name whose adapter changes
_STEADY = ("steady-one", "steady-two")
_EVERY = 1.0  # seconds between two changes
_IDS = {"return_token_ids": True}

T = TypeVar("T")
Start = Callable[..., AbstractContextManager[Server]]  # takes further options of the engine


@dataclass
class Changes:
    """What was done to the adapters: seconds of time.perf_counter from when to when, and every refusal."""

    spans: list[tuple[float, float]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def adapter_swap(options: Options) -> dict[str, Any]:
    """`value` is how many requests failed or were answered differently; pauses in milliseconds."""
    shape, tokens = (_TINY, 16) if options.tiny else (_FULL, 160)
    with _engines(options) as (start, renderer, folders):
        with start() as server:
            models = _load(server, folders)
            quiet = asyncio.run(load.run(server, renderer, shape, models, **_IDS)).whole()
        with start() as server:
            models = _load(server, folders)
            running = load.run(server, renderer, shape, models, **_IDS)
            outcome, changes = asyncio.run(_under_changes(running, server, folders))
            stale = _stale(server, folders)
            calm = asyncio.run(_streams(server, models, tokens))
            moved, more = asyncio.run(_under_changes(_streams(server, models, tokens), server, folders))
        with start(prefix_disk_gb=0) as server:  # and nothing left by the one before
            models = _load(server, folders)
            differences = asyncio.run(_alone(server, outcome, shape, models))
    return {
        "value": len(outcome.failed) + len(differences) + len(changes.refused) + len(stale["wrong"]),
        "unit": "failed or changed requests",
        "requests": len(outcome.all),
        "failed": outcome.failed,
        "changed": differences,
        "changes": len(changes.spans),
        "refused": changes.refused,
        "stale": stale,
        "pauses_ms": pauses(quiet.all, outcome.all, changes),
        "pauses_ms_while_decoding": pauses(calm, moved, more),
    }


@contextmanager
def _engines(options: Options) -> Iterator[tuple[Start, Renderer, dict[str, Path]]]:
    """How to start an engine, and four adapters where it may load them from."""
    folder = weights.student()
    with tempfile.TemporaryDirectory() as work:
        home = Path(work)
        names = (*_STEADY, "moving-one", "moving-two")
        root = home / "models" / "adapters"
        made = {name: weights.adapter(folder, root / name, seed) for seed, name in enumerate(names, 1)}
        yield partial(servers.engine, folder, home, threads=options.threads), Renderer(folder), made


def _load(server: Server, folders: dict[str, Path]) -> list[str]:
    """Load the two that stay; the models that conversations are dealt out to."""
    for name in _STEADY:
        _change(server, "load", lora_name=name, lora_path=str(folders[name]))
    return [server.model, *_STEADY]


def _change(server: Server, call: str, **payload: object) -> None:
    status, text = server.post(f"/v1/{call}_lora_adapter", payload)
    if status != 200:
        raise wire.BrokenAnswerError(f"{call} {payload} was answered {status}: {text}")


async def _under_changes(running: Awaitable[T], server: Server, folders: dict[str, Path]) -> tuple[T, Changes]:
    changes = Changes()
    changing = asyncio.create_task(_keep_changing(server, folders, changes))
    try:
        outcome = await running
    finally:
        changing.cancel()
        await asyncio.wait({changing})
    return outcome, changes


async def _streams(server: Server, models: list[str], tokens: int) -> list[Answer]:
    """Streams that do nothing but decode, two of each model: their prompts have been computed before. Those of the
    base are given back: all go through the same steps, but what random adapters say is held back now and then, as half
    characters are.
    """
    async with wire.session() as http:
        bodies = [
            load.request(server, load.conversation(number), tokens, model=models[number % len(models)])
            for number in range(2 * len(models))
        ]
        for body in bodies:
            await wire.must(http, server.url, {**body, "max_tokens": 1})
        answers = await asyncio.gather(*(wire.must(http, server.url, body) for body in bodies))
        return [answer for body, answer in zip(bodies, answers, strict=True) if body["model"] == server.model]


async def _keep_changing(server: Server, folders: dict[str, Path], changes: Changes) -> None:
    """Load one more, swap it under its name, swap one that is in use for itself, unload: one of them each second."""
    one, two, steady = (str(folders[name]) for name in ("moving-one", "moving-two", _STEADY[0]))
    steps: list[tuple[str, dict[str, object]]] = [
        ("load", {"lora_name": _MOVING, "lora_path": one}),
        ("load", {"lora_name": _MOVING, "lora_path": two, "load_inplace": True}),
        ("load", {"lora_name": _STEADY[0], "lora_path": steady, "load_inplace": True}),
        ("unload", {"lora_name": _MOVING}),
    ]
    for number in count():
        call, payload = steps[number % len(steps)]
        start = time.perf_counter()
        try:
            await asyncio.to_thread(_change, server, call, **payload)
        except wire.BrokenAnswerError as error:
            changes.refused.append(str(error))
        changes.spans.append((start, time.perf_counter()))
        await asyncio.sleep(_EVERY)


async def _alone(server: Server, outcome: Outcome, shape: Shape, models: list[str]) -> list[dict[str, Any]]:
    """Every request again, one after another on an engine that does nothing else; those answered differently."""
    found = []
    async with wire.session() as http:
        for number, (asked, answers) in enumerate(zip(outcome.asked, outcome.answers, strict=True)):
            model = models[number % len(models)]
            for turn, (messages, answer) in enumerate(zip(asked, answers, strict=True), 1):
                if answer.error:
                    continue
                body = load.request(server, messages, shape.output, **_IDS, model=model)
                alone = await wire.must(http, server.url, body)
                at = load.common(answer.token_ids, alone.token_ids)
                if alone.token_ids != answer.token_ids:
                    found.append({"model": model, "conversation": number, "turn": turn, "at": at})
    return found


def _stale(server: Server, folders: dict[str, Path]) -> dict[str, Any]:
    """The same prompt before and after swaps under one name: each adapter must give its own greedy answer.

    What is its own was asked under a name of its own. `wrong` are the moments at which the answer was another's.
    """
    return asyncio.run(_swap_and_ask(server, folders))


async def _swap_and_ask(server: Server, folders: dict[str, Path]) -> dict[str, Any]:
    async with wire.session() as http:

        async def ask(model: str) -> Answer:
            body = load.request(server, load.conversation(1), 16, **_IDS, model=model)
            return await wire.must(http, server.url, body)

        own: dict[str, list[int]] = {}
        for name in ("moving-one", "moving-two"):
            await asyncio.to_thread(_change, server, "load", lora_name=name, lora_path=str(folders[name]))
            own[name] = (await ask(name)).token_ids
        own[server.model] = (await ask(server.model)).token_ids
        if len({tuple(ids) for ids in own.values()}) < len(own):
            raise AssertionError("two of the adapters answer alike: nothing could be seen of a stale cache")
        wrong = []
        for number, name in enumerate(("moving-one", "moving-two", "moving-one", "moving-two")):
            payload = {"lora_name": _MOVING, "lora_path": str(folders[name]), "load_inplace": True}
            await asyncio.to_thread(_change, server, "load", **payload)
            for again in range(2):  # the second time with the prompt's keys and values kept
                if (await ask(_MOVING)).token_ids != own[name]:
                    wrong.append(f"swap {number + 1} to {name}, asked {again + 1} times")
    return {"swaps": 4, "wrong": wrong}


def pauses(quiet: list[Answer], moved: list[Answer], changes: Changes) -> dict[str, float]:
    """The longest waits between two pieces of one stream: without changes, and where a change was under way."""

    def gaps(answers: list[Answer]) -> list[tuple[float, float]]:
        return sorted((gap for answer in answers for gap in answer.gaps), key=lambda gap: gap[1])

    calm = [seconds for _, seconds in gaps(quiet)]
    busy = gaps(moved)
    during = [seconds for end, seconds in busy if _overlaps(end - seconds, end, changes)]
    return {
        "without_p50": round(1000 * statistics.median(calm), 1),
        "without_p99": round(1000 * calm[int(0.99 * (len(calm) - 1))], 1),
        "without_longest": round(1000 * calm[-1], 1),
        "with_longest": round(1000 * busy[-1][1], 1),
        "during_a_change_longest": round(1000 * max(during, default=0.0), 1),
        "longest_change": round(1000 * max((end - start for start, end in changes.spans), default=0.0), 1),
    }


def _overlaps(start: float, end: float, changes: Changes) -> bool:
    return any(start <= done and begun <= end for begun, done in changes.spans)


RUNS = {"adapter-swap": adapter_swap}
