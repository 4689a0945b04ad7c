"""What nobody expected: a fault of the gateway's own in a request is told, logged and counted with its trace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from gateway.answering.turn import Turn
from gateway.api.chat import ChatWire
from gateway.api.exchange import exchange
from gateway.api.wire import Asked, Reply
from gateway.backends.scripted import Act
from gateway.backends.stream import Event
from gateway.sections import BackendSettings, RouterSettings, Settings
from gateway.service import Gateway
from gateway.settings import Home
from router.chat import ChatResponse
from tests.gateway.running import Script


class FaultyReply:
    """Fails at a whole answer, and at the second part of a stream."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self.id = reply.id
        self._parts = 0

    def whole(self, response: ChatResponse, raw: bytes) -> bytes:
        raise KeyError("tapir")

    def events(self, batch: Sequence[Event], extra: Mapping[str, Any]) -> bytes:
        self._parts += 1
        if self._parts > 1:
            raise KeyError("tapir")
        return self._reply.events(batch, extra)

    def heartbeat(self) -> bytes:
        return self._reply.heartbeat()

    def broken(self, error: dict[str, Any]) -> bytes:
        return self._reply.broken(error)


class FaultyWire(ChatWire):
    def read(self, body: Any) -> tuple[Asked, Reply]:
        asked, reply = super().read(body)
        return asked, FaultyReply(reply)


@pytest.fixture
async def gateway(teacher: Script, tmp_path: Path) -> AsyncIterator[Gateway]:
    home = Home(tmp_path / "data", tmp_path / "models")
    home.data.mkdir()
    settings = Settings(teacher=BackendSettings(url=teacher.url), router=RouterSettings(policy="teacher"))
    built = Gateway(settings, home, lambda: settings)
    await built.start()
    yield built
    await built.stop()


async def answers(gateway: Gateway, wire: ChatWire, *, stream: bool) -> list[dict[str, Any]]:
    """What is sent for one request."""
    asked = {"model": "nightschool", "stream": stream, "messages": [{"role": "user", "content": "Hi"}]}
    arriving = [{"type": "http.request", "body": msgspec.json.encode(asked), "more_body": False}]
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        return arriving.pop() if arriving else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    app = SimpleNamespace(state=SimpleNamespace(gateway=gateway))
    headers = [(b"content-type", b"application/json")]
    scope: Any = {"type": "http", "method": "POST", "path": "/", "headers": headers, "litestar_app": app}
    await exchange(wire, scope, receive, send)
    return sent


@pytest.mark.parametrize("stream", [False, True])
async def test_a_fault_of_our_own_has_its_trace(gateway: Gateway, teacher: Script, stream: bool) -> None:
    teacher.play(Act(text="word " * 10, pieces=10, pause=0.02))
    with capture_logs() as logs:
        start, *_, last = await answers(gateway, FaultyWire(), stream=stream)
    trace = dict(start["headers"])[b"x-nightschool-trace"].decode()
    assert start["status"] == (200 if stream else 500)
    assert b'"internal_error"' in last["body"]
    unexpected = [entry for entry in logs if entry["event"] == "unexpected"]
    assert [(entry["trace"], type(entry["exc_info"])) for entry in unexpected] == [(trace, KeyError)]
    request = next(entry for entry in logs if entry["event"] == "request")
    assert (request["trace"], request["state"], request["error"]) == (trace, "failed", "KeyError")
    found = await gateway.recorder.get(trace)
    assert found is not None
    assert (found.state, found.error) == ("failed", "KeyError: 'tapir'")
    assert 'errors_total{code="internal_error"} 1.0' in gateway.metrics.page().decode()


async def test_what_fails_while_watching_costs_no_answer(gateway: Gateway) -> None:
    def fails(turn: Turn) -> None:
        raise KeyError(turn.id)

    gateway.watchers.insert(0, fails)
    with capture_logs() as logs:
        start, *_ = await answers(gateway, ChatWire(), stream=False)
    assert start["status"] == 200
    events = {entry["event"]: entry for entry in logs}
    assert events["a turn was not watched"]["trace"] == events["request"]["trace"]
