"""The gateway's ASGI app and the server it runs on.

Owns the routes, the one place where errors become replies, and the life of the process from bind to drain.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
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
from gateway.api.forms import form_of
from gateway.api.messages.routes import count_tokens, messages
from gateway.api.openapi import openapi
from gateway.api.plain import ROUTES as PLAIN
from gateway.api.replies import error_headers
from gateway.api.responses.routes import ROUTES as RESPONSES
from gateway.api.responses.stored import ResponseStore
from gateway.errors import GatewayError, MethodNotAllowed, NotFound, error_body, http_answer
from gateway.openfiles import allow_many
from gateway.ports import check_port
from gateway.service import Gateway
from gateway.settings import GatewaySettings
from gateway.supervisor import on_signal
from router.chat import InvalidRequest

_log = structlog.get_logger("app")
_DRAIN_SECONDS = 10.0


def create_app(gateway: Gateway) -> ASGIApp:
    """The app of a gateway, which is started and stopped by somebody else."""
    app = Litestar(
        route_handlers=[
            chat_completions,
            completions,
            messages,
            count_tokens,
            *RESPONSES,
            *PLAIN,
            openapi,
            admin.routes(),
        ],
        exception_handlers={Exception: _reply},
        openapi_config=None,
        request_max_body_size=gateway.settings.gateway.max_body_bytes,
        logging_config=None,
    )
    app.state.gateway = gateway
    app.state.responses = ResponseStore()
    return Door(app, gateway.settings.gateway.origins, keyed=lambda: gateway.admission.keyed)


def _reply(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Any error outside the wires, in the form of the one that was asked for."""
    form = form_of(request.scope["path"])
    if isinstance(error, NotFoundException):
        error = NotFound(f"There is nothing at {request.method} {request.scope['path'][:200]}.")
    elif isinstance(error, MethodNotAllowedException):
        allow = (error.headers or {}).get("allow", "")
        error = MethodNotAllowed(f"{request.method} is not allowed at {request.scope['path'][:200]}.", allow=allow)
    elif isinstance(error, HTTPException):
        body = form(error.status_code, error_body(str(error.detail), "invalid_request_error", None))
        return Response(body, status_code=error.status_code, media_type="application/json")
    elif not isinstance(error, GatewayError | InvalidRequest):
        _log.error("unexpected", exc_info=error)
    status, body, retry = http_answer(error)
    headers = error_headers(error, retry)
    return Response(form(status, body), status_code=status, headers=headers, media_type="application/json")


async def serve(gateway: Gateway, announce: Callable[[str], None]) -> None:
    """Run until SIGTERM or SIGINT, then let open requests end. Raises StartError, such as for a port that is taken."""
    settings = gateway.settings.gateway
    run = _uvicorn if settings.server == "uvicorn" else _granian
    allow_many()
    try:
        check_port(settings.host, settings.port)
        await gateway.start()
        announce(f"http://{settings.host}:{settings.port}/v1")
        await run(create_app(gateway), settings)
    finally:
        await gateway.stop()


async def _granian(app: ASGIApp, settings: GatewaySettings) -> None:
    from granian.constants import HTTPModes, Interfaces  # the server is a setting
    from granian.server.embed import Server

    server = Server(
        app,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
        backlog=1024,
    )
    stopped = asyncio.Event()
    on_signal(stopped.set)
    running = asyncio.create_task(server.serve())
    stopping = asyncio.create_task(stopped.wait())
    await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
    if not running.done():
        server.stop()  # type: ignore[no-untyped-call]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(running, _DRAIN_SECONDS)
    stopping.cancel()
    if running.done() and not running.cancelled() and (error := running.exception()) is not None:
        raise error


async def _uvicorn(app: ASGIApp, settings: GatewaySettings) -> None:
    import uvicorn

    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        lifespan="off",
        log_level=logging.WARNING,
        access_log=False,
        timeout_graceful_shutdown=int(_DRAIN_SECONDS),
        ws="none",
    )
    on_signal(lambda: None)  # uvicorn raises the signal once more when it is done; it shall not end us half-way
    await uvicorn.Server(config).serve()
