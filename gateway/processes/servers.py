"""The HTTP servers that the gateway can run on, uvicorn and granian, as one thing.

Owns how each is set up and stopped. Signals are not theirs. Knows nothing of what they serve.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Protocol, cast

from litestar.types import ASGIApp

from gateway.sections import GatewaySettings

_LAST_SECONDS = 2  # for connections to close; requests have ended before
_IDLE_SECONDS = 75  # longer than clients keep a connection: one that is closed just as it is used is an error to them
_BACKLOG = 1024  # connections that wait to be taken


class HttpServer(Protocol):
    """One worker in this very process, so that a killed gateway leaves nothing behind."""

    async def serve(self) -> None:
        """Listen until `stop`; returns when the last connection is closed."""

    def stop(self) -> None: ...


def server_for(app: ASGIApp, settings: GatewaySettings) -> HttpServer:
    """The server that the settings name; it does not listen yet."""
    return _granian(app, settings) if settings.server == "granian" else _uvicorn(app, settings)


def _granian(app: ASGIApp, settings: GatewaySettings) -> HttpServer:
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
        backlog=_BACKLOG,
    )
    return cast(HttpServer, server)


def _uvicorn(app: ASGIApp, settings: GatewaySettings) -> HttpServer:
    import uvicorn

    class Server(uvicorn.Server):
        capture_signals = staticmethod(contextlib.nullcontext)  # type: ignore[assignment]

        def stop(self) -> None:
            self.should_exit = True

    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        lifespan="off",
        log_level=logging.WARNING,
        access_log=False,
        http="httptools",
        backlog=_BACKLOG,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_LAST_SECONDS,
        ws="none",
    )
    return Server(config)
