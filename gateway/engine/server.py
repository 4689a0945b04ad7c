"""The process `nightschool engine`: from its settings to a listening socket and back.

Owns the order in which things start (BLAS before MLX, model before socket) and stop. Knows nothing of requests.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import msgspec
import structlog
from granian.constants import Interfaces
from granian.server.embed import Server

from distill.mlx import blas
from gateway.parent import follow
from gateway.ports import check_port, check_socket

_OWNER_ONLY = 0o600

_log = structlog.get_logger()


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One engine. With a `socket` it listens there and nowhere else; `parent` is a process to end with."""

    model: Path
    name: str = ""  # the model's name on the wire; default: its folder's
    adapter: Path | None = None  # loaded at start, under its folder's name
    adapters_root: Path | None = None  # adapters come from below this folder only
    socket: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8901
    parent: int | None = None
    threads: int = 1  # of the BLAS, on a CPU
    batch: int = 16  # requests decoded together
    prefill_step: int = 256  # prompt tokens computed before running streams get their next token
    cache_bytes: int = 1 << 30  # keys and values of prompts kept for the next request


async def run_engine(settings: EngineSettings) -> None:
    """Serve until SIGTERM or SIGINT, or until the parent is gone.

    Raises StartError or ModelError, each one line that says what to do, when it cannot start.
    """
    check_socket(settings.socket) if settings.socket is not None else check_port(settings.host, settings.port)
    blas.prepare(settings.threads)
    from gateway.engine.app import create_app  # imports MLX, which must find the BLAS loaded
    from gateway.engine.generator import Limits
    from gateway.engine.served import ServedModel

    name = settings.name or settings.model.name
    limits = Limits(settings.batch, settings.prefill_step, settings.cache_bytes)
    served = ServedModel(name, settings.model, settings.adapters_root, limits)
    stop = _Stop(settings.parent)
    try:
        await served.open()
        if settings.adapter is not None:
            await served.load_adapter(settings.adapter.resolve().name, settings.adapter)
        server = _server(create_app(served), settings)
        serving = asyncio.create_task(server.serve())
        _log.info("engine listens", model=name, at=str(settings.socket or f"{settings.host}:{settings.port}"))
        stopping = asyncio.create_task(stop.asked.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        await served.close()
        server.stop()  # type: ignore[no-untyped-call]
        await serving
    finally:
        await served.close()


class _Stop:
    """Everything that ends the process in an orderly way: signals, and the end of the parent."""

    def __init__(self, parent: int | None) -> None:
        self.asked = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self.asked.set)
        if parent is not None:
            follow(parent, lambda: self._loop.call_soon_threadsafe(self.asked.set))


def _server(app: object, settings: EngineSettings) -> Server:
    """One worker in this very process, so that nothing is left behind when it is killed."""
    server = Server(
        app,
        address=settings.host,
        port=settings.port,
        uds=settings.socket,
        interface=Interfaces.ASGINL,
        log_enabled=False,
        websockets=False,
    )
    server.uds_permissions = _OWNER_ONLY  # the embedded server takes it as an attribute only
    return server
