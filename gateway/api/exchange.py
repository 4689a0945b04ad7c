"""A request of any wire, from its first byte to the last of its answer.

Owns how a turn becomes bytes: whole or streamed, headers, heartbeats, and what happens when the client goes away.
Knows nothing of how a wire words things, of who answers or why.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from typing import Any, cast

import structlog
from litestar.types import HTTPScope, Receive, Scope, Send

from gateway.access.keys import Client
from gateway.access.limits import deadline_in
from gateway.answering.reply import Live, Whole
from gateway.answering.turn import Ask, Turn, conversation_of
from gateway.api.replies import (
    ClientGone,
    decoded,
    header,
    named_conversation,
    read_body,
    renounced,
    send_error,
    send_json,
    skip,
    wants_cache,
)
from gateway.api.wire import Asked, Reply, Wire
from gateway.backends.stream import Event, events_of
from gateway.errors import GatewayError, MethodNotAllowed, http_answer
from gateway.service import Gateway
from router.chat import InvalidRequest

_log = structlog.get_logger("exchange")
_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]

Headers = list[tuple[bytes, bytes]]


async def exchange(wire: Wire, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request, whatever happens."""
    gateway: Gateway = scope["litestar_app"].state.gateway
    turn: Turn | None = None
    streamed: _Streamed | None = None
    try:
        if cast(HTTPScope, scope)["method"] != "POST":
            raise MethodNotAllowed("Use POST.", allow="POST")
        async with entered(gateway, scope, receive) as client:
            deadline = deadline_in(gateway.settings.gateway.max_seconds)
            async with gateway.under_way.until(deadline):
                raw = await read_body(receive, gateway.settings.gateway.max_body_bytes)
            arrived = time.perf_counter()
            asked, reply = wire.read(decoded(scope, raw))
            turn = Turn(_ask(scope, gateway, wire, asked, reply, len(raw), client, deadline), arrived)
            async with while_connected(receive):
                if turn.ask.streamed:
                    streamed = _Streamed(wire, turn, reply, asked.notes, send, gateway)
                    await streamed.run()
                else:
                    await _whole(wire, turn, reply, asked.notes, send, gateway)
    except ClientGone:
        return
    except Exception as error:  # noqa: BLE001 - the edge of a request: what nobody expected is logged, and told as a 500
        gateway.metrics.refused(error)
        if streamed is not None:
            await streamed.fail(error)
        elif turn is not None:
            await send_error(send, error, _headers(turn, asked.notes), form=wire.error, trace=turn.id)
        else:
            await send_error(send, error, form=wire.error)


@asynccontextmanager
async def entered(gateway: Gateway, scope: Scope, receive: Receive) -> AsyncIterator[Client]:
    """Who asks, with a place under the limits while the block lasts."""
    with ExitStack() as stack:
        try:
            client = stack.enter_context(gateway.admission.enter(scope))
        except GatewayError:
            await skip(receive, gateway.settings.gateway.max_body_bytes)
            raise
        yield client


def _ask(
    scope: Scope,
    gateway: Gateway,
    wire: Wire,
    asked: Asked,
    reply: Reply,
    size: int,
    client: Client,
    deadline: float | None,
) -> Ask:
    requested, model = gateway.names.resolve(asked.request.model, client.may_ask_for)
    return Ask(
        request=asked.request,
        body=asked.body,
        size=max(size, asked.size),
        conversation=named_conversation(scope) or asked.conversation or conversation_of(asked.request),
        requested=requested,
        model=model,
        wire=wire.name,
        wire_id=reply.id,
        client=client.name,
        rights=renounced(scope, client.rights),
        deadline=deadline,
        may_repeat=wants_cache(scope, client.cache),
        traceparent=header(scope, b"traceparent"),
        unread=asked.unread,
    )


def _headers(turn: Turn, notes: Mapping[str, str], *, pending: bool = False) -> Headers:
    served, reason = ("pending", "pending") if pending else (turn.decision.arm, turn.decision.reason)
    return [
        (b"x-nightschool-served-by", served.encode()),
        (b"x-nightschool-reason", reason.encode()),
        (b"x-nightschool-trace", turn.id.encode()),
        *[(name.encode(), value.encode()) for name, value in notes.items()],
    ]


async def _whole(wire: Wire, turn: Turn, reply: Reply, notes: Mapping[str, str], send: Send, gateway: Gateway) -> None:
    async with gateway.cascade.answer(turn) as answer:
        assert isinstance(answer, Whole)
        body = reply.whole(answer.response, answer.body)
        with turn.waiting:
            await send_json(send, 200, body, _headers(turn, notes))


@asynccontextmanager
async def while_connected(receive: Receive) -> AsyncIterator[None]:
    """Cancel the block when the client goes away; it then ends as ClientGone."""
    task = asyncio.current_task()
    assert task is not None
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        gone = True
        task.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if not gone:
            raise
        task.uncancel()
        raise ClientGone from None
    finally:
        watcher.cancel()


class _Streamed:
    """A streamed reply on its way out. Headers go with the first byte, or as `pending` once `hold` seconds passed."""

    def __init__(
        self, wire: Wire, turn: Turn, reply: Reply, notes: Mapping[str, str], send: Send, gateway: Gateway
    ) -> None:
        self._wire = wire
        self._turn = turn
        self._reply = reply
        self._notes = notes
        self._to_client = send
        self._gateway = gateway
        self._hold = gateway.settings.gateway.hold_headers
        self._heartbeat = gateway.settings.gateway.heartbeat
        self._lock = asyncio.Lock()  # the pulse and the answer write to one connection
        self._opened = False
        self._pending = False
        self._last = 0.0

    async def run(self) -> None:
        pulse = asyncio.create_task(self._pulse())
        try:
            async with self._gateway.cascade.answer(self._turn) as answer:
                if isinstance(answer, Live):
                    async for batch in answer.batches:
                        await self._pass_on(batch)
                else:
                    await self._pass_on(events_of(answer.response))
        finally:
            pulse.cancel()
        await self._to_client({"type": "http.response.body", "body": b"", "more_body": False})

    async def fail(self, error: Exception) -> None:
        """Tell an error: with its status while that is open, as an event of the stream afterwards."""
        if not self._opened:
            self._opened = True
            headers = _headers(self._turn, self._notes)
            await send_error(self._to_client, error, headers, form=self._wire.error, trace=self._turn.id)
            return
        if isinstance(error, GatewayError | InvalidRequest):
            # without its words: they may be those of a model's server, and quote the request
            _log.warning("stream broken off", error=type(error).__name__, trace=self._turn.id)
        else:
            _log.error("unexpected", exc_info=error, trace=self._turn.id)
        status, body, _ = http_answer(error)
        event = self._reply.broken(self._wire.error(status, body))
        async with self._lock:
            await self._to_client({"type": "http.response.body", "body": event, "more_body": False})

    def _extra(self) -> dict[str, Any]:
        """What the headers could not say any more."""
        if not self._pending:
            return {}
        decision = self._turn.decision
        return {"nightschool": {"served_by": decision.arm, "reason": decision.reason, "trace": self._turn.id}}

    async def _pass_on(self, batch: Sequence[Event]) -> None:
        data = self._reply.events(batch, self._extra())
        with self._turn.waiting:
            await self._send(data)

    async def _send(self, data: bytes) -> None:
        if not data:
            return
        async with self._lock:
            if not self._opened:
                await self._open(pending=False)
            self._last = asyncio.get_running_loop().time()
            await self._to_client({"type": "http.response.body", "body": data, "more_body": True})

    async def _open(self, *, pending: bool) -> None:
        self._opened = True
        headers = _headers(self._turn, self._notes, pending=pending)
        await self._to_client({"type": "http.response.start", "status": 200, "headers": [*_STREAM_HEADERS, *headers]})

    async def _pulse(self) -> None:
        """Heartbeats by wall clock while nothing else is sent, so that no client takes the wait for a failure."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._hold)
        if not self._opened:
            self._pending = True
            async with self._lock:
                await self._open(pending=True)
            await self._send(self._reply.heartbeat())
        while True:
            await asyncio.sleep(max(0.05, self._last + self._heartbeat - loop.time()))
            if loop.time() - self._last >= self._heartbeat:
                await self._send(self._reply.heartbeat())
