"""POST /v1/chat/completions: OpenAI's chat wire, which is also what is spoken inside.

Owns its heartbeats and where it tells what came too late for the headers. Bytes of a backend pass through as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from litestar import asgi
from litestar.types import Receive, Scope, Send

from gateway.api.exchange import exchange
from gateway.api.wire import Asked, Reply
from gateway.backends.stream import Event, encode_event, with_extra
from router.chat import ChatResponse, parse_request


class ChatWire:
    """Nothing is translated."""

    name = "chat"

    def read(self, body: Any) -> tuple[Asked, Reply]:
        request = parse_request(body)
        wants_usage = request.stream_options is not None and request.stream_options.include_usage
        return Asked(body, request), _ChatReply(wants_usage)

    def error(self, status: int, body: dict[str, Any]) -> dict[str, Any]:
        return body


class _ChatReply:
    """`wants_usage`: whether the client asked for the chunk that carries usage alone."""

    id = ""

    def __init__(self, wants_usage: bool) -> None:
        self._wants_usage = wants_usage

    def whole(self, response: ChatResponse, raw: bytes) -> bytes:
        return raw

    def events(self, batch: Sequence[Event], extra: Mapping[str, Any]) -> bytes:
        if not self._wants_usage:
            batch = [event for event in batch if event.chunk is None or not event.chunk.only_usage]
        if not extra:
            return b"".join([event.raw for event in batch])
        return b"".join([with_extra(event, extra) if _ends(event) else event.raw for event in batch])

    def heartbeat(self) -> bytes:
        return b": still working\n\n"

    def broken(self, error: dict[str, Any]) -> bytes:
        return encode_event(error)


def _ends(event: Event) -> bool:
    return event.chunk is not None and any(choice.finish_reason for choice in event.chunk.choices)


WIRE = ChatWire()


@asgi("/v1/chat/completions", copy_scope=False)
async def chat_completions(scope: Scope, receive: Receive, send: Send) -> None:
    await exchange(WIRE, scope, receive, send)
