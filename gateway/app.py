"""The gateway's ASGI app and the server it runs on.

Owns the routes, the one place where errors become replies, and the life of the process from bind to drain.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import structlog
from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.types import ASGIApp

from gateway.api import admin
from gateway.api.chat import chat_completions
from gateway.api.completions import completions
from gateway.api.door import Door
from gateway.api.embeddings import embeddings
from gateway.api.exit import Exit
from gateway.api.feedback import feedback, forget_trace
from gateway.api.forms import form_of
from gateway.api.messages.routes import count_tokens, messages
from gateway.api.openapi import openapi
from gateway.api.plain import ROUTES as PLAIN
from gateway.api.replies import error_headers
from gateway.api.responses.routes import ROUTES as RESPONSES
from gateway.api.responses.stored import ResponseStore
from gateway.errors import GatewayError, MethodNotAllowed, NotFound, error_body, http_answer
from gateway.processes.openfiles import allow_many
from gateway.processes.ports import check_port
from gateway.processes.servers import HttpServer, server_for
from gateway.processes.signals import on_hang_up, on_signal
from gateway.service import Gateway
from router.chat import InvalidRequest

_log = structlog.get_logger("app")
_CLOSING_SECONDS = 5.0  # for the server, when no request is left
_ROUTES = [chat_completions, completions, messages, count_tokens, embeddings]
_ADMIN_BODY_BYTES = 32 * 1024 * 1024


def create_app(gateway: Gateway) -> ASGIApp:
    """The app of a gateway, which is started and stopped by somebody else."""
    app = Litestar(
        route_handlers=[*_ROUTES, *RESPONSES, *PLAIN, feedback, forget_trace, openapi, admin.routes()],
        exception_handlers={Exception: _reply},
        openapi_config=None,
        request_max_body_size=_ADMIN_BODY_BYTES,  # where Litestar reads them; the wires keep gateway.max_body_bytes
        logging_config=None,
    )
    app.state.gateway = gateway
    app.state.responses = ResponseStore()
    gateway.forgetting.append(app.state.responses.forget)
    door = Door(
        app,
        lambda: gateway.settings.gateway.origins,
        keyed=lambda: gateway.admission.keyed,
        refused=gateway.metrics.refused,
    )
    return Exit(door, gateway.under_way)


def _reply(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Any error outside the wires, in the form of the one that was asked for."""
    form = form_of(request.scope["path"])
    if isinstance(error, NotFoundException):
        error = NotFound(f"There is nothing at {request.method} {request.scope['path'][:200]}.")
    elif isinstance(error, MethodNotAllowedException):
        allow = (error.headers or {}).get("allow", "")
        error = MethodNotAllowed(f"{request.method} is not allowed at {request.scope['path'][:200]}.", allow=allow)
    elif isinstance(error, HTTPException):
        request.app.state.gateway.metrics.refused(InvalidRequest(str(error.detail)))
        body = form(error.status_code, error_body(str(error.detail), "invalid_request_error", None))
        return Response(body, status_code=error.status_code, media_type="application/json")
    elif not isinstance(error, GatewayError | InvalidRequest):
        _log.error("unexpected", exc_info=error)
    request.app.state.gateway.metrics.refused(error)
    status, body, retry = http_answer(error)
    headers = error_headers(error, retry)
    return Response(form(status, body), status_code=status, headers=headers, media_type="application/json")


async def serve(gateway: Gateway, announce: Callable[[str], None]) -> None:
    """Run until SIGTERM or SIGINT, then let open requests end. Raises StartError, such as for a port that is taken."""
    settings = gateway.settings.gateway
    allow_many()
    try:
        check_port(settings.host, settings.port)
        await gateway.start()
        announce(f"http://{settings.host}:{settings.port}/v1")
        await _run(server_for(create_app(gateway), settings), gateway)
    finally:
        await gateway.stop()


async def _run(server: HttpServer, gateway: Gateway) -> None:
    leaving = asyncio.Event()
    on_signal(leaving.set)
    on_hang_up(gateway.reload, leaving.set)
    running = asyncio.create_task(server.serve())
    stopping = asyncio.create_task(leaving.wait())
    await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
    if not running.done():
        await gateway.under_way.close(gateway.settings.gateway.drain_seconds)
        server.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(running, _CLOSING_SECONDS)
    stopping.cancel()
    if running.done() and not running.cancelled() and (error := running.exception()) is not None:
        raise error
