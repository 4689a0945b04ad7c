"""The routes of OpenAI's Responses API.

Owns their paths and what of a request's headers the wire is told. Knows nothing of items or events.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, cast

import msgspec
from litestar import Request, Response, asgi, delete, get
from litestar.types import HTTPScope, Receive, Scope, Send

from gateway.answering.counting import count
from gateway.api.exchange import exchange
from gateway.api.replies import ClientGone, named_conversation, read_json, send_error, send_json, wants_no_trace
from gateway.api.responses.compact import CompactWire
from gateway.api.responses.reply import ResponsesReply, Visit
from gateway.api.responses.request import Read, read_request
from gateway.api.responses.stored import Stored
from gateway.api.wire import Asked, Reply
from gateway.errors import MethodNotAllowed, NotFound
from gateway.service import Gateway
from router.chat import InvalidRequest

_MOST_LISTED = 100
_ESTIMATED = (b"x-nightschool-estimated", b"1")


class ResponsesWire:
    """One request for a response; `visit` tells who asks."""

    name = "responses"

    def __init__(self, visit: Callable[[], Visit]) -> None:
        self._visit = visit

    def read(self, body: Any) -> tuple[Asked, Reply]:
        visit = self._visit()
        read: Read = read_request(body, visit.store, visit.owner)
        return read.asked, ResponsesReply(read, visit)

    def error(self, status: int, body: dict[str, Any]) -> dict[str, Any]:
        return body


@asgi("/v1/responses", copy_scope=False)
async def responses(scope: Scope, receive: Receive, send: Send) -> None:
    await exchange(ResponsesWire(partial(_visit, scope)), scope, receive, send)


@asgi("/v1/responses/compact", copy_scope=False)
async def compact(scope: Scope, receive: Receive, send: Send) -> None:
    await exchange(CompactWire(partial(_visit, scope)), scope, receive, send)


@asgi("/v1/responses/input_tokens", copy_scope=False)
async def input_tokens(scope: Scope, receive: Receive, send: Send) -> None:
    gateway: Gateway = scope["litestar_app"].state.gateway
    try:
        visit = _visit(scope)
        if cast(HTTPScope, scope)["method"] != "POST":
            raise MethodNotAllowed("Use POST.", allow="POST")
        _, body = await read_json(scope, receive, gateway.settings.gateway.max_body_bytes)
        named = {"model": "nightschool", **body} if isinstance(body, dict) else body  # here it may be left out
        request = read_request(named, visit.store, visit.owner).asked.request
        gateway.names.resolve(request.model, gateway.admission.client(scope).may_ask_for)
        counted = await count(request, gateway.arms)
        told = {"object": "response.input_tokens", "input_tokens": counted.tokens}
        await send_json(send, 200, msgspec.json.encode(told), [] if counted.exact else [_ESTIMATED])
    except ClientGone:
        return
    except Exception as error:  # noqa: BLE001 - the edge of a request, as in `exchange`
        gateway.metrics.refused(error)
        await send_error(send, error)


@get("/v1/responses/{response_id:str}")
async def response(request: Request[Any, Any, Any], response_id: str, stream: bool = False) -> Response[bytes]:
    if stream:
        raise InvalidRequest("A finished response is not streamed again here; leave out 'stream'.", "stream")
    return Response(_stored(request, response_id).response, media_type="application/json")


@delete("/v1/responses/{response_id:str}", status_code=200)
async def delete_response(request: Request[Any, Any, Any], response_id: str) -> dict[str, Any]:
    _stored(request, response_id)
    visit = _visit(request.scope)
    visit.store.delete(visit.owner, response_id)
    return {"id": response_id, "object": "response", "deleted": True}


@get("/v1/responses/{response_id:str}/input_items")
async def input_items(
    request: Request[Any, Any, Any],
    response_id: str,
    limit: int = 20,
    order: Literal["asc", "desc"] = "desc",
    after: str = "",
) -> dict[str, Any]:
    if not 1 <= limit <= _MOST_LISTED:
        raise InvalidRequest(f"'limit' must be between 1 and {_MOST_LISTED}.", "limit")
    items = _stored(request, response_id).input
    if order == "desc":
        items.reverse()
    if after:
        start = next((number for number, item in enumerate(items, 1) if item["id"] == after), None)
        if start is None:
            raise InvalidRequest(f"There is no item '{after[:80]}' in this response's input.", "after")
        items = items[start:]
    page = items[:limit]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": len(items) > limit,
    }


def _visit(scope: Scope) -> Visit:
    """Who asks, and what the headers say. Raises Unauthorized."""
    state = scope["litestar_app"].state
    gateway: Gateway = state.gateway
    client = gateway.admission.client(scope)
    private = wants_no_trace(scope) or not client.rights.record
    return Visit(state.responses, client.name, named_conversation(scope), private)


def _stored(request: Request[Any, Any, Any], response_id: str) -> Stored:
    visit = _visit(request.scope)
    found = visit.store.get(visit.owner, response_id)
    if found is None:
        raise NotFound(f"Response with id '{response_id[:200]}' not found.", param="response_id")
    return found


ROUTES = [responses, compact, input_tokens, response, delete_response, input_items]
