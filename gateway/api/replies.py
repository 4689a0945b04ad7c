"""Bodies in and replies out, on bare ASGI. Owns size limits and headers; knows nothing of what is said."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from litestar.types import Receive, Scope, Send

from gateway.access.keys import Rights
from gateway.errors import GatewayError, MethodNotAllowed, NotJson, TooLarge, UnsupportedMedia, http_answer
from router.chat import InvalidRequest

_log = structlog.get_logger("api")
_DISCARDED = 4  # times the limit: who sends more than this is cut off
_PATIENCE = 5.0  # seconds for a body that nobody wants
_JSON = (b"content-type", b"application/json")


ErrorForm = Callable[[int, dict[str, Any]], dict[str, Any]]  # status and OpenAI's body: a wire's own


def openai_form(status: int, body: dict[str, Any]) -> dict[str, Any]:
    """What errors are written in anyway."""
    return body


class ClientGone(Exception):
    """The client closed the connection before its request had arrived whole."""


def header(scope: Scope, name: bytes) -> str:
    """A request header, empty when it was not sent."""
    for key, value in scope["headers"]:
        if key == name:
            return value.decode("latin-1")
    return ""


def whole_seconds(retry: float) -> str:
    """Seconds as Retry-After tells them: never less than what is left."""
    return str(max(1, math.ceil(retry)))


def error_headers(error: Exception, retry: float | None) -> dict[str, str]:
    """What belongs to an error besides its body: when to come back, and which methods there are."""
    found = {"retry-after": whole_seconds(retry)} if retry is not None else {}
    if isinstance(error, MethodNotAllowed) and error.allow:
        found["allow"] = error.allow
    return found


def named_conversation(scope: Scope) -> str:
    """The conversation's name if the client gives one, up to 200 characters."""
    return header(scope, b"x-nightschool-conversation")[:200]


def wants_no_trace(scope: Scope) -> bool:
    """Whether nothing of the request may be kept."""
    return header(scope, b"x-nightschool-no-trace").lower() in ("1", "true")


def renounced(scope: Scope, rights: Rights) -> Rights:
    """A client's rights for this request: it may renounce a trace of it, and models on other machines."""
    stays = header(scope, b"x-nightschool-stay-here").lower() in ("1", "true")
    return msgspec.structs.replace(
        rights,
        record=rights.record and not wants_no_trace(scope),
        may_leave_machine=rights.may_leave_machine and not stays,
    )


def wants_cache(scope: Scope, otherwise: bool) -> bool:
    """Whether an answer that was given before will do, as the client says it of this request."""
    said = header(scope, b"x-nightschool-cache").lower()
    return said in ("1", "true") if said else otherwise


async def read_json(scope: Scope, receive: Receive, limit: int) -> tuple[bytes, Any]:
    """The request's bytes and the JSON in them. Raises UnsupportedMedia, TooLarge, NotJson or ClientGone."""
    body = await read_body(receive, limit)
    return body, decoded(scope, body)


def decoded(scope: Scope, body: bytes) -> Any:
    """The JSON in a request's body. Raises UnsupportedMedia or NotJson."""
    if header(scope, b"content-type").partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMedia
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotJson(f"The request body is not valid JSON: {error}") from error


async def read_body(receive: Receive, limit: int) -> bytes:
    """The request's bytes. Raises TooLarge or ClientGone."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        part = message.get("body", b"")
        size += len(part)
        if size <= limit:
            parts.append(part)
        else:
            parts.clear()  # read on without keeping it: a client that is still sending would not see the refusal
        if not message.get("more_body", False) or size > _DISCARDED * limit:
            break
    if size > limit:
        raise TooLarge(f"The request body is larger than {limit} bytes.")
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def skip(receive: Receive, limit: int) -> None:
    """Read a body without keeping it, for a while: a client that is still sending would not see why it is refused."""
    size = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            while size <= limit and (message := await receive())["type"] == "http.request":
                size += len(message.get("body", b""))
                if not message.get("more_body", False):
                    break


async def send_json(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [_JSON, length, *headers]})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def send_error(
    send: Send,
    error: Exception,
    headers: list[tuple[bytes, bytes]] | None = None,
    form: ErrorForm = openai_form,
    trace: str = "",
) -> None:
    """Any error in the form of the client's wire; what nobody expected is logged with its traceback, and with the name
    of its trace if it has one."""
    status, body, retry = http_answer(error)
    body = form(status, body)
    if not isinstance(error, GatewayError | InvalidRequest):
        _log.error("unexpected", exc_info=error, **({"trace": trace} if trace else {}))
    more = [(name.encode(), value.encode()) for name, value in error_headers(error, retry).items()]
    await send_json(send, status, msgspec.json.encode(body), [*(headers or []), *more])
