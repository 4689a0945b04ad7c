"""The expert's HTTP side: an OpenAI-compatible endpoint in front of `distill.generate.expert`.

Owns the process `nightschool expert` and its wire. Knows nothing of templates or plans. The expert is a stand-in for
a teacher, for tests and the demo; it takes any model name and calls itself `expert`.
"""

from __future__ import annotations

import asyncio
import re
import signal
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import structlog
from granian.constants import Interfaces
from granian.server.embed import Server
from litestar import Litestar, Request, Response, get, post
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.response import Stream

from distill.generate.expert import Expert
from distill.machine import peak_memory
from gateway.errors import MethodNotAllowed, NotFound, NotJson, http_answer
from gateway.processes.parent import follow
from gateway.processes.ports import check_port
from gateway.settings import shared
from router.chat import AnswerMessage, ChatRequest, ChatResponse, Choice, Usage, parse_request, request_body

MODEL = "expert"
BODY_LIMIT = 32 * 1024 * 1024
_TOKEN = re.compile(r"\w+|[^\w\s]")
_PIECE = re.compile(r"\S+\s*|\s+")

log = structlog.get_logger()


def create_app(expert: Expert | None = None) -> Litestar:
    """The expert as an ASGI application; without one given, on the templates that ship with Nightschool."""
    brain = expert or Expert.from_folder(shared("data", "questions"), shared("data", "vocabularies"))

    @post("/v1/chat/completions", status_code=200)
    async def complete(request: Request[Any, Any, Any]) -> Response[Any]:
        try:
            body = msgspec.json.decode(await request.body())
        except (msgspec.DecodeError, RecursionError) as error:
            raise NotJson(f"The request body is not valid JSON: {error}") from error
        chat = parse_request(body)
        answer = _answer(brain, chat)
        if chat.stream:
            return Stream(_events(answer, chat), media_type="text/event-stream")
        return Response(msgspec.json.encode(answer), media_type="application/json")

    return Litestar(
        [complete, models, health],
        exception_handlers={HTTPException: _refuse, Exception: _refuse},
        request_max_body_size=BODY_LIMIT,
        openapi_config=None,
        logging_config=None,
    )


@get("/v1/models")
async def models() -> Response[bytes]:
    listed = {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "nightschool"}]}
    return Response(msgspec.json.encode(listed), media_type="application/json")


@get("/health")
async def health() -> Response[bytes]:
    told = {"status": "ok", "model": MODEL, "peak_memory_bytes": peak_memory()}
    return Response(msgspec.json.encode(told), media_type="application/json")


async def run(host: str, port: int, *, questions: Path | None = None, parent: int | None = None) -> None:
    """Serves until SIGTERM or SIGINT, or until the process `parent` is gone. Raises StartError where it cannot."""
    check_port(host, port)
    app = create_app(Expert.from_folder(questions) if questions else None)
    # one worker in this very process, so that nothing is left behind when it is killed
    server = Server(app, address=host, port=port, interface=Interfaces.ASGINL, log_enabled=False, websockets=False)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    if parent:
        follow(parent, lambda: loop.call_soon_threadsafe(server.stop))
    await server.serve()


def _answer(brain: Expert, chat: ChatRequest) -> ChatResponse:
    message = brain.answer(chat.messages, chat.tools)
    usage = _usage(chat, message)
    finish = "tool_calls" if message.tool_calls else "stop"
    identity = f"chatcmpl-{uuid.uuid4().hex}"
    return ChatResponse(identity, int(time.time()), MODEL, [Choice(message, finish)], usage=usage)


def _usage(chat: ChatRequest, message: AnswerMessage) -> Usage:
    """Words and signs stand for tokens: there is no tokenizer behind a program."""
    asked = _count(msgspec.json.encode(request_body(chat)).decode())
    said = _count(message.content or "") + sum(_count(call.function.arguments) for call in message.tool_calls or ())
    return Usage(asked, said, asked + said)


def _count(text: str) -> int:
    return len(_TOKEN.findall(text))


async def _events(answer: ChatResponse, chat: ChatRequest) -> AsyncIterator[bytes]:
    head = {"id": answer.id, "object": "chat.completion.chunk", "created": answer.created, "model": answer.model}
    wants_usage = chat.stream_options is not None and chat.stream_options.include_usage

    def event(choices: list[dict[str, Any]], **more: Any) -> bytes:
        usage = {"usage": None} if wants_usage else {}
        return b"data: " + msgspec.json.encode({**head, "choices": choices, **usage, **more}) + b"\n\n"

    for delta in _deltas(answer.choices[0].message):
        yield event([{"index": 0, "delta": delta, "finish_reason": None}])
    yield event([{"index": 0, "delta": {}, "finish_reason": answer.choices[0].finish_reason}])
    if wants_usage:
        yield event([], usage=answer.usage)
    yield b"data: [DONE]\n\n"


def _deltas(message: AnswerMessage) -> list[dict[str, Any]]:
    first: dict[str, Any] = {"role": "assistant", "content": None if message.tool_calls else ""}
    deltas = [first, *({"content": piece} for piece in _PIECE.findall(message.content or ""))]
    for index, call in enumerate(message.tool_calls or ()):
        named = {"name": call.function.name, "arguments": ""}
        deltas.append({"tool_calls": [{"index": index, "id": call.id, "type": "function", "function": named}]})
        deltas.append({"tool_calls": [{"index": index, "function": {"arguments": call.function.arguments}}]})
    return deltas


def _refuse(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    if isinstance(error, NotFoundException):
        error = NotFound()
    elif isinstance(error, MethodNotAllowedException):
        error = MethodNotAllowed()
    status, body, _ = http_answer(error)
    if isinstance(error, HTTPException):
        status = error.status_code
        body = {"error": {"message": error.detail, "type": "invalid_request_error", "param": None, "code": None}}
    elif status == 500:
        log.error("expert failed", exc_info=error)
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json")
