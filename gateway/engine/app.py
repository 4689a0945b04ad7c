"""The engine's routes: OpenAI's wire, and vLLM's calls for adapters.

Owns the place where errors become replies, and the watch for clients that leave. Knows nothing of MLX.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import structlog
from litestar import Litestar, Request, Response, get, post
from litestar.datastructures import State
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.response import Stream

from distill.errors import DistillError
from gateway.engine import chat
from gateway.engine.errors import EngineDown, http_answer
from gateway.engine.served import ServedModel
from gateway.errors import GatewayError, MethodNotAllowed, NotFound, NotJson, UnsupportedMedia, error_body
from router.chat import InvalidRequest, parse_request

BODY_LIMIT = 32 * 1024 * 1024
_HEARTBEAT_SECONDS = 5.0
_CLIENT_LEFT = 499  # nobody reads it; the log does

_log = structlog.get_logger()

Asked = Request[Any, Any, State]
T = TypeVar("T")


def create_app(served: ServedModel) -> Litestar:
    """The engine as an ASGI application; the model must be open."""
    app = Litestar(
        [complete, models, health, load_adapter, unload_adapter],
        exception_handlers={HTTPException: _refuse, Exception: _refuse},
        request_max_body_size=BODY_LIMIT,
        openapi_config=None,
        logging_config=None,
    )
    app.state.served = served
    return app


@post("/v1/chat/completions", status_code=200)
async def complete(request: Asked) -> Response[Any]:
    served: ServedModel = request.app.state.served
    asked = parse_request(await _json(request))
    turn = await chat.prepare(served, asked)
    if not served.generator.alive:
        raise EngineDown
    if asked.stream:
        headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
        return Stream(_heartbeats(chat.frames(turn)), media_type="text/event-stream", headers=headers)
    answering = asyncio.create_task(chat.answer(turn))
    leaving = asyncio.create_task(_left(request))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            return Response(b"", status_code=_CLIENT_LEFT)
        return _reply(answering.result())
    finally:
        answering.cancel()
        leaving.cancel()


@get("/v1/models")
async def models(request: Asked) -> Response[bytes]:
    served: ServedModel = request.app.state.served
    base = _listed(served.name, root=str(served.folder), parent=None, max_model_len=served.info.context)
    loaded = [_listed(name, root=str(a.folder), parent=served.name) for name, a in served.adapters.items()]
    return _reply({"object": "list", "data": [base, *loaded]})


@get("/health")
async def health(request: Asked) -> Response[bytes]:
    served: ServedModel = request.app.state.served
    alive = served.generator.alive
    now, peak = served.memory()
    state = {
        "status": "ok" if alive else "dead",
        "model": served.name,
        "adapters": list(served.adapters),
        "memory_bytes": now,
        "peak_memory_bytes": peak,
        "running": served.generator.running,
        "prompt_tokens_computed": served.generator.prompt_tokens_computed,
    }
    return _reply(state, 200 if alive else 503)


class LoadAdapter(msgspec.Struct):
    lora_name: str
    lora_path: str
    load_inplace: bool = False


class UnloadAdapter(msgspec.Struct):
    lora_name: str


@post("/v1/load_lora_adapter", status_code=200)
async def load_adapter(request: Asked) -> Response[str]:
    wanted = _read(await _json(request), LoadAdapter)
    served: ServedModel = request.app.state.served
    await served.load_adapter(wanted.lora_name, Path(wanted.lora_path), replace=wanted.load_inplace)
    return Response(f"Success: LoRA adapter '{wanted.lora_name}' added successfully.", media_type="text/plain")


@post("/v1/unload_lora_adapter", status_code=200)
async def unload_adapter(request: Asked) -> Response[str]:
    wanted = _read(await _json(request), UnloadAdapter)
    await request.app.state.served.unload_adapter(wanted.lora_name)
    return Response(f"Success: LoRA adapter '{wanted.lora_name}' removed successfully.", media_type="text/plain")


def _listed(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "nightschool", **more}


async def _json(request: Asked) -> Any:
    """The body. Only what says it is JSON is read: a web page cannot send that without asking first."""
    if request.content_type[0] != "application/json":
        raise UnsupportedMedia
    try:
        return msgspec.json.decode(await request.body())
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotJson(f"The request body is not valid JSON: {error}") from error


def _read(body: Any, shape: type[T]) -> T:
    try:
        return msgspec.convert(body, shape)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"Invalid request: {error}") from error


async def _left(request: Asked) -> None:
    """Returns when the client has gone. The body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _heartbeats(frames: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """The frames, with a comment whenever nothing came for a while, so that no one takes the silence for death."""
    async with aclosing(frames):
        step: asyncio.Future[bytes] = asyncio.ensure_future(anext(frames))
        try:
            while True:
                done, _ = await asyncio.wait({step}, timeout=_HEARTBEAT_SECONDS)
                if not done:
                    yield b": working\n\n"
                    continue
                yield step.result()
                step = asyncio.ensure_future(anext(frames))
        except StopAsyncIteration:
            return
        finally:
            step.cancel()
            await asyncio.wait({step})


def _reply(payload: Any, status: int = 200) -> Response[bytes]:
    return Response(msgspec.json.encode(payload), status_code=status, media_type="application/json")


def _refuse(request: Asked, error: Exception) -> Response[bytes]:
    if isinstance(error, NotFoundException):
        error = NotFound(f"There is nothing at {request.url.path[:200]}.")
    elif isinstance(error, MethodNotAllowedException):
        error = MethodNotAllowed()
    elif isinstance(error, HTTPException):
        return _reply(error_body(str(error.detail), "invalid_request_error", None), error.status_code)
    elif not isinstance(error, GatewayError | DistillError | InvalidRequest):
        _log.error("request failed", exc_info=error)
    status, body, retry = http_answer(error)
    reply = _reply(body, status)
    if retry is not None:
        reply.headers["retry-after"] = str(round(retry))
    return reply
