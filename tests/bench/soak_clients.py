"""The clients of the soak: what each asks for next, when it leaves, and which answers are allowed.

Owns the kinds of requests and what counts as a failure. Knows nothing of memory or of how long the soak goes on.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from distill.render import Renderer
from tests.bench import load, wire
from tests.bench.servers import Server
from tests.bench.wire import Answer

_HUNG = 60.0  # seconds until a request counts as hung
_EVERY = 1.0  # seconds between two changes of adapters
_LEAVE_WITHIN = 3.0  # seconds until a client that leaves has left
_AT_ONCE = 0.2
_NAMES = ("one", "two")  # adapters come and go under these


@dataclass
class World:
    """What clients act upon: `adapters` can be loaded, `broken` cannot; `loaded` are the names that are."""

    server: Server
    renderer: Renderer
    adapters: list[Path]
    broken: Path
    loaded: set[str] = field(default_factory=set)


@dataclass
class Told:
    """What happened: every request is counted by kind and status, and what may not happen is a line of `failures`."""

    counted: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def hear(self, kind: str, allowed: tuple[int, ...], answer: Answer) -> None:
        self.counted[f"{kind} {answer.status}"] += 1
        self.seconds.append(answer.seconds)
        if answer.status not in allowed or (answer.status == 200 and answer.error):
            self.failures.append(f"{kind} was answered {answer.status}: {answer.error[:200]}")


@dataclass(frozen=True)
class Kind:
    """A kind of request: how to make its body, what may be answered, how often it is sent among the others."""

    name: str
    body: Callable[[World, random.Random], dict[str, Any]]
    allowed: tuple[int, ...]
    weight: int


async def client(world: World, told: Told, until: float, seed: int) -> None:
    """One client after another request until the time has come. A third of those that are answered are left early."""
    choice = random.Random(seed)
    async with wire.session(_HUNG) as http:
        while time.perf_counter() < until:
            kind = choice.choices(KINDS, [kind.weight for kind in KINDS])[0]
            body = kind.body(world, choice)
            if 200 in kind.allowed and choice.random() < 0.33:
                await _leave(http, world.server, kind, body, choice.random() * _LEAVE_WITHIN, told)
            else:
                await _stay(http, world.server, kind, body, told)


async def change_adapters(world: World, told: Told, until: float) -> None:
    """Load, swap and unload under two names, and try one that is damaged; what may be refused is known beforehand."""
    choice, loaded = random.Random(99), world.loaded
    while time.perf_counter() < until:
        name, folder = choice.choice(_NAMES), choice.choice(world.adapters)
        step = choice.choice(("load", "swap", "swap", "unload", "broken"))
        payload: dict[str, Any] = {"lora_name": name, "lora_path": str(world.broken if step == "broken" else folder)}
        if step in ("swap", "broken"):
            payload["load_inplace"] = True
        call = "unload" if step == "unload" else "load"
        wanted = _expected(step, name in loaded)
        status, text = await asyncio.to_thread(world.server.post, f"/v1/{call}_lora_adapter", payload)
        told.counted[f"adapter {step} {status}"] += 1
        if status != wanted:
            told.failures.append(f"{step} of {name} was answered {status}, not {wanted}: {text[:200]}")
        if status == 200:
            (loaded.discard if step == "unload" else loaded.add)(name)
        await asyncio.sleep(_EVERY)


def _expected(step: str, loaded: bool) -> int:
    if step == "broken" or (step == "load" and loaded):
        return 400
    return 404 if step == "unload" and not loaded else 200


async def _stay(http: aiohttp.ClientSession, server: Server, kind: Kind, body: dict[str, Any], told: Told) -> None:
    try:
        told.hear(kind.name, kind.allowed, await wire.ask(http, server.url, body))
    except (aiohttp.ClientError, TimeoutError) as error:
        told.failures.append(f"{kind.name} broke off: {type(error).__name__} {error}")


async def _leave(
    http: aiohttp.ClientSession, server: Server, kind: Kind, body: dict[str, Any], after: float, told: Told
) -> None:
    """Go away `after` seconds: while it waits, while its prompt is computed, in the middle of the answer, or too late.

    Who leaves at once has sent half of the request.
    """
    try:
        if after < _AT_ONCE:
            await _send_half(server, body)
            told.counted["left half sent"] += 1
            return
        async with asyncio.timeout(after):
            told.hear(kind.name, kind.allowed, await wire.ask(http, server.url, body))
    except TimeoutError:
        told.counted["left"] += 1
    except (aiohttp.ClientError, ConnectionError) as error:
        told.failures.append(f"a request that would have been left broke off: {type(error).__name__} {error}")


async def _send_half(server: Server, body: dict[str, Any]) -> None:
    payload = msgspec.json.encode(body)
    host, port = server.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
    writer.write(head.encode() + b"content-length: %d\r\n\r\n" % len(payload) + payload[: len(payload) // 2])
    await writer.drain()
    writer.close()
    await writer.wait_closed()


def _model(world: World, choice: random.Random) -> str:
    return choice.choice((world.server.model, world.server.model, *_NAMES))


def _agent(world: World, choice: random.Random) -> dict[str, Any]:
    """A conversation with up to three results, greedy or not, streamed or not."""
    number = choice.randrange(24)
    messages = load.conversation(number)
    for turn in range(choice.randrange(4)):
        said = {"role": "assistant", "content": "I will look."}
        messages += [said, load.tool_result(world.renderer, number, turn)]
    more = {"model": _model(world, choice), "stream": choice.random() < 0.7}
    return load.request(world.server, messages, choice.randint(1, 48), **more, temperature=choice.choice((0, 0, 1.2)))


def _text(world: World, choice: random.Random) -> dict[str, Any]:
    """Plain text of any length that nobody asked before."""
    text = load.excerpt(world.renderer, choice.randrange(4000), choice.randint(8, 900))
    return {**_plain(world, text), "max_tokens": choice.randint(1, 32), "stream": choice.random() < 0.5}


def _plain(world: World, text: str) -> dict[str, Any]:
    return {"model": world.server.model, "messages": [{"role": "user", "content": text}]}


def _endless(world: World, choice: random.Random) -> dict[str, Any]:
    return {**_plain(world, "word " * choice.randint(9000, 40_000)), "stream": choice.random() < 0.5}


def _asking_for(schema: dict[str, Any]) -> Callable[[World, random.Random], dict[str, Any]]:
    wanted = {"type": "json_schema", "json_schema": {"name": "it", "schema": schema, "strict": True}}
    return lambda world, _: {**_plain(world, "Go on."), "response_format": wanted, "max_tokens": 24}


KINDS = (
    Kind("agent", _agent, (200, 404, 503), 60),  # 404: the adapter is not loaded just now
    Kind("text", _text, (200, 503), 25),
    Kind("schema", _asking_for({"type": "object", "properties": {"a": {"type": "boolean"}}}), (200, 503), 5),
    Kind("remote schema", _asking_for({"$ref": "http://127.0.0.1:9/schema"}), (400,), 3),
    Kind("bad schema", _asking_for({"type": "no such type"}), (400,), 3),
    Kind("endless", _endless, (400,), 3),
    Kind("unknown model", lambda world, _: {**_plain(world, "Hi"), "model": "nobody"}, (404,), 2),
    Kind("no messages", lambda world, _: {"model": world.server.model, "messages": "none"}, (400,), 2),
)
