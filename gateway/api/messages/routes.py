"""POST /v1/messages and /v1/messages/count_tokens: Anthropic's Messages API.

Owns the two routes and the replies' bytes; the translation is in the modules beside it. The client's key is read by
nobody.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
from litestar import asgi
from litestar.types import HTTPScope, Receive, Scope, Send

from gateway.answering.counting import count
from gateway.api.exchange import exchange
from gateway.api.messages.answer import message_of
from gateway.api.messages.errors import anthropic_form
from gateway.api.messages.events import MessageEvents, event
from gateway.api.messages.request import read_prompt, read_request
from gateway.api.replies import ClientGone, read_json, send_error, send_json
from gateway.api.wire import Asked, Reply
from gateway.backends.stream import Event
from gateway.errors import MethodNotAllowed
from gateway.service import Gateway
from router.chat import ChatRequest, ChatResponse


class MessagesWire:
    """Requests become chat completions, answers messages."""

    name = "messages"

    def read(self, body: Any) -> tuple[Asked, Reply]:
        asked = read_request(body)
        return asked, _MessageReply(asked.request)

    def error(self, status: int, body: dict[str, Any]) -> dict[str, Any]:
        return anthropic_form(status, body)


class _MessageReply:
    """One message, under the model's name that the client knows."""

    def __init__(self, request: ChatRequest) -> None:
        self.id = f"msg_{secrets.token_hex(12)}"
        self._request = request
        self._events = MessageEvents(self.id, request.model, request)

    def whole(self, response: ChatResponse, raw: bytes) -> bytes:
        return msgspec.json.encode(message_of(self.id, self._request.model, self._request, response))

    def events(self, batch: Sequence[Event], extra: Mapping[str, Any]) -> bytes:
        return self._events.feed(batch, extra)

    def heartbeat(self) -> bytes:
        return event("ping")

    def broken(self, error: dict[str, Any]) -> bytes:
        return event("error", error=error["error"])


WIRE = MessagesWire()


@asgi("/v1/messages", copy_scope=False)
async def messages(scope: Scope, receive: Receive, send: Send) -> None:
    await exchange(WIRE, scope, receive, send)


@asgi("/v1/messages/count_tokens", copy_scope=False)
async def count_tokens(scope: Scope, receive: Receive, send: Send) -> None:
    gateway: Gateway = scope["litestar_app"].state.gateway
    try:
        if cast(HTTPScope, scope)["method"] != "POST":
            raise MethodNotAllowed("Use POST.", allow="POST")
        client = gateway.admission.client(scope)
        _, body = await read_json(scope, receive, gateway.settings.gateway.max_body_bytes)
        asked = read_prompt(body)
        gateway.names.resolve(asked.request.model, client.may_ask_for)
        counted = await count(asked.request, gateway.arms)
        notes = {**asked.notes, **({} if counted.exact else {"x-nightschool-estimated": "1"})}
        headers = [(name.encode(), value.encode()) for name, value in notes.items()]
        await send_json(send, 200, msgspec.json.encode({"input_tokens": counted.tokens}), headers)
    except ClientGone:
        return
    except Exception as error:  # noqa: BLE001 - the edge of a request, as in exchange
        gateway.metrics.refused(error)
        await send_error(send, error, form=anthropic_form)
