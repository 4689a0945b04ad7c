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
from gateway.engine.metrics import CONTENT_TYPE, Metrics
from gateway.engine.served import ServedModel
from gateway.engine.traffic import Passage, Traffic, passage_of
from gateway.errors import GatewayError, MethodNotAllowed, NotFound, NotJson, UnsupportedMedia, error_body
from router.chat import InvalidRequest, parse_request

BODY_LIMIT = 32 * 1024 * 1024
_HEARTBEAT_SECONDS = 5.0
_CLIENT_LEFT = 499  # nobody reads it; the log does

_log = structlog.get_logger()

Asked = Request[Any, Any, State]
T = TypeVar("T")


def create_app(served: ServedModel, stalled: float = 120.0) -> Traffic:
    """The engine as an ASGI application; the model must be open. Close it before the process ends.

    `stalled`: seconds without a step, with work to do, after which /health gives the engine up.
    """
    app = Litestar(
        [complete, models, health, figures, tokenize, load_adapter, unload_adapter],
        exception_handlers={HTTPException: _refuse, Exception: _refuse},
        request_max_body_size=BODY_LIMIT,
        openapi_config=None,
        logging_config=None,
    )
    metrics = Metrics(served)
    served.generator.on_event = metrics.heard
    traffic = Traffic(app, metrics)
    app.state.update({"served": served, "stalled": stalled, "metrics": metrics, "traffic": traffic})
    return traffic


@post("/v1/chat/completions", status_code=200)
async def complete(request: Asked) -> Response[Any]:
    state, passage = request.app.state, _passage(request)
    state.traffic.check_open()
    asked = parse_request(await _json(request))
    if not state.served.generator.alive:
        raise EngineDown
    _check_room(state, 1)
    turn = await chat.prepare(
        state.served,
        asked,
        conversation=request.headers.get("x-nightschool-conversation", "")[:200],
        private=request.headers.get("x-nightschool-no-trace", "").lower() in ("1", "true"),
    )
    _check_room(state, len(turn.jobs))
    passage.prepared(turn.jobs, id=turn.id, model=asked.model, stream=bool(asked.stream))
    headers = {"x-nightschool-ignored-params": ", ".join(turn.ignored)} if turn.ignored else {}
    if asked.stream:
        headers |= {"cache-control": "no-cache", "x-accel-buffering": "no"}
        frames = _heartbeats(_told(chat.frames(turn), turn, passage))
        return Stream(frames, media_type="text/event-stream", headers=headers)
    answering = asyncio.create_task(chat.answer(turn))
    leaving = asyncio.create_task(_left(request))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            return Response(b"", status_code=_CLIENT_LEFT)
        answer = answering.result()
        passage.finished(answer.choices[0].finish_reason or "failed", answer.usage)
        return _reply(answer, headers=headers)
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
    """503 when nothing can be expected any more: the thread is dead, or has work and makes no step."""
    served: ServedModel = request.app.state.served
    stats, alive = served.generator.stats(), served.generator.alive
    stalled = stats.last_step_age > request.app.state.stalled
    now, peak = served.memory()
    state = {
        "status": "dead" if not alive else "stalled" if stalled else "ok",
        "model": served.name,
        "adapters": list(served.adapters),
        "memory_bytes": now,
        "peak_memory_bytes": peak,
        "budget_bytes": stats.budget_bytes,
        "prefix_cache_bytes": stats.cache_bytes,
        "running": served.generator.running,
        "queued": stats.queued,
        "stalled_seconds": round(stats.last_step_age, 1),
        "prompt_tokens_computed": stats.prompt_tokens_computed,
        "prompt_tokens_cached": stats.prompt_tokens_cached,
    }
    return _reply(state, 200 if alive and not stalled else 503)


@get("/metrics")
async def figures(request: Asked) -> Response[bytes]:
    page = await asyncio.to_thread(request.app.state.metrics.page)
    return Response(page, headers={"content-type": CONTENT_TYPE})


class Tokenize(msgspec.Struct):
    """`prompt` as it stands, or what `messages` and `tools` become for the model."""

    model: str = ""
    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    tools: list[dict[str, Any]] | None = None


@post("/tokenize", status_code=200)
async def tokenize(request: Asked) -> Response[bytes]:
    served: ServedModel = request.app.state.served
    wanted = _read(await _json(request), Tokenize)
    served.adapter(wanted.model or served.name)
    if (wanted.prompt is None) == (wanted.messages is None):
        raise InvalidRequest("Give either 'prompt' or 'messages'.", "prompt")
    if wanted.prompt is not None:
        tokens = await asyncio.to_thread(served.renderer.encode, wanted.prompt)
    else:
        body = {"model": wanted.model or served.name, "messages": wanted.messages, "tools": wanted.tools}
        tokens = await chat.prompt_of(served, parse_request(body))
    return _reply({"count": len(tokens), "max_model_len": served.context, "tokens": tokens})


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


def _passage(request: Asked) -> Passage:
    """Traffic has given every chat request one."""
    passage = passage_of(request.scope)
    assert passage is not None
    return passage


def _check_room(state: State, jobs: int) -> None:
    """Raises EngineBusy when the queue is full. Jobs on their way to the generation side count as there already."""
    on_their_way = max(0, state.traffic.jobs - state.served.generator.running)
    state.served.generator.check_room(on_their_way + jobs)


async def _told(frames: AsyncGenerator[bytes], turn: chat.Turn, passage: Passage) -> AsyncGenerator[bytes]:
    """The frames; after the last one the passage hears how the turn ended."""
    async with aclosing(frames):
        async for frame in frames:
            yield frame
    passage.finished(turn.finish or "failed", turn.usage())


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


def _reply(payload: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    body = msgspec.json.encode(payload)
    return Response(body, status_code=status, media_type="application/json", headers=headers)


def _refuse(request: Asked, error: Exception) -> Response[bytes]:
    status, body, retry = _answer_to(request, error)
    reason = body["error"]["code"] or body["error"]["type"]
    request.app.state.metrics.refused(reason)
    if (passage := passage_of(request.scope)) is not None:
        passage.refused(reason, status)
    reply = _reply(body, status)
    if retry is not None:
        reply.headers["retry-after"] = str(max(1, round(retry)))
    return reply


def _answer_to(request: Asked, error: Exception) -> tuple[int, dict[str, Any], float | None]:
    if isinstance(error, NotFoundException):
        error = NotFound(f"There is nothing at {request.url.path[:200]}.")
    elif isinstance(error, MethodNotAllowedException):
        error = MethodNotAllowed()
    elif isinstance(error, HTTPException):
        return error.status_code, error_body(str(error.detail), "invalid_request_error", None), None
    elif not isinstance(error, GatewayError | DistillError | InvalidRequest):
        _log.error("request failed", exc_info=error)
    return http_answer(error)
