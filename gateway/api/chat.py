"""POST /v1/chat/completions: OpenAI's chat wire.

Owns how a turn becomes bytes of that wire: whole or streamed, headers, heartbeats, and what happens when the client
goes away. Knows nothing of who answers or why.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import cast

import structlog
from litestar import asgi
from litestar.types import HTTPScope, Receive, Scope, Send

from gateway.answer import Live, Whole
from gateway.api.replies import ClientGone, header, read_json, send_error, send_json
from gateway.errors import GatewayError, MethodNotAllowed, http_answer
from gateway.service import Gateway
from gateway.stream import as_events, encode_event, with_extra
from gateway.turn import Ask, Turn, conversation_of
from router.chat import InvalidRequest, parse_request

_log = structlog.get_logger("chat")
_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]
_HEARTBEAT = b": still working\n\n"


@asgi("/v1/chat/completions", copy_scope=False)
async def chat_completions(scope: Scope, receive: Receive, send: Send) -> None:
    gateway: Gateway = scope["litestar_app"].state.gateway
    reply = _Streamed(send, gateway.settings.gateway.hold_headers, gateway.settings.gateway.heartbeat)
    try:
        if cast(HTTPScope, scope)["method"] != "POST":
            raise MethodNotAllowed("Use POST.")
        turn = Turn(await _ask(scope, receive, gateway))
        async with _while_connected(receive):
            if turn.ask.streamed:
                await reply.run(gateway, turn)
            else:
                await _whole(gateway, turn, send)
    except ClientGone:
        return
    except (GatewayError, InvalidRequest) as error:
        await reply.fail(error)
    except Exception as error:  # noqa: BLE001 - the edge of a request: logged, and told as a 500
        await reply.fail(error)


async def _ask(scope: Scope, receive: Receive, gateway: Gateway) -> Ask:
    raw, body = await read_json(scope, receive, gateway.settings.gateway.max_body_bytes)
    request = parse_request(body)
    requested, model = gateway.names.resolve(request.model)
    return Ask(
        request=request,
        body=body,
        size=len(raw),
        conversation=header(scope, b"x-nightschool-conversation")[:200] or conversation_of(request),
        requested=requested,
        model=model,
        traced=header(scope, b"x-nightschool-no-trace") not in ("1", "true"),
    )


def _headers(turn: Turn) -> list[tuple[bytes, bytes]]:
    decision = turn.decision
    return [
        (b"x-nightschool-served-by", decision.arm.encode()),
        (b"x-nightschool-reason", decision.reason.encode()),
        (b"x-nightschool-trace", turn.id.encode()),
    ]


async def _whole(gateway: Gateway, turn: Turn, send: Send) -> None:
    try:
        async with gateway.cascade.answer(turn) as reply:
            assert isinstance(reply, Whole)
            await send_json(send, 200, reply.body, _headers(turn))
    except GatewayError as error:
        await send_error(send, error, _headers(turn))


@asynccontextmanager
async def _while_connected(receive: Receive) -> AsyncIterator[None]:
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

    def __init__(self, send: Send, hold: float, heartbeat: float) -> None:
        self._to_client = send
        self._hold = hold
        self._heartbeat = heartbeat
        self._lock = asyncio.Lock()  # the pulse and the answer write to one connection
        self._opened = False
        self._pending = False
        self._last = 0.0

    async def run(self, gateway: Gateway, turn: Turn) -> None:
        pulse = asyncio.create_task(self._pulse(turn))
        try:
            async with gateway.cascade.answer(turn) as reply:
                if isinstance(reply, Live):
                    await self._live(turn, reply)
                else:
                    await self._send(turn, b"".join(as_events(reply.response, turn.ask.wants_usage, self._final(turn))))
        except GatewayError as error:
            if self._opened:
                await self.fail(error)
            else:
                self._opened = True
                await send_error(self._to_client, error, _headers(turn))
            return
        finally:
            pulse.cancel()
        await self._to_client({"type": "http.response.body", "body": b"", "more_body": False})

    async def fail(self, error: Exception) -> None:
        """Tell an error: with its status while that is open, as an event of the stream afterwards."""
        if not self._opened:
            self._opened = True
            await send_error(self._to_client, error)
            return
        _log.warning("stream broken off", error=str(error))
        event = encode_event(http_answer(error)[1])
        async with self._lock:
            await self._to_client({"type": "http.response.body", "body": event, "more_body": False})

    async def _live(self, turn: Turn, reply: Live) -> None:
        async for batch in reply.batches:
            if not self._pending:
                await self._send(turn, b"".join([event.raw for event in batch]))
                continue
            final = self._final(turn)
            finished = [event.chunk is not None and _ends(event.chunk.choices) for event in batch]
            raws = [with_extra(e, final) if end else e.raw for e, end in zip(batch, finished, strict=True)]
            await self._send(turn, b"".join(raws))

    def _final(self, turn: Turn) -> dict[str, object]:
        """What the headers could not say any more."""
        if not self._pending:
            return {}
        decision = turn.decision
        return {"nightschool": {"served_by": decision.arm, "reason": decision.reason, "trace": turn.id}}

    async def _send(self, turn: Turn, data: bytes) -> None:
        async with self._lock:
            if not self._opened:
                await self._open(_headers(turn))
            self._last = asyncio.get_running_loop().time()
            await self._to_client({"type": "http.response.body", "body": data, "more_body": True})

    async def _open(self, headers: list[tuple[bytes, bytes]]) -> None:
        self._opened = True
        await self._to_client({"type": "http.response.start", "status": 200, "headers": [*_STREAM_HEADERS, *headers]})

    async def _pulse(self, turn: Turn) -> None:
        """Comment lines by wall clock while nothing else is sent, so that no client takes the wait for a failure."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._hold)
        if not self._opened:
            self._pending = True
            async with self._lock:
                await self._open(
                    [
                        (b"x-nightschool-served-by", b"pending"),
                        (b"x-nightschool-reason", b"pending"),
                        (b"x-nightschool-trace", turn.id.encode()),
                    ]
                )
            await self._send(turn, _HEARTBEAT)
        while True:
            await asyncio.sleep(max(0.05, self._last + self._heartbeat - loop.time()))
            if loop.time() - self._last >= self._heartbeat:
                await self._send(turn, _HEARTBEAT)


def _ends(choices: Iterable[object]) -> bool:
    return any(getattr(choice, "finish_reason", None) for choice in choices)
