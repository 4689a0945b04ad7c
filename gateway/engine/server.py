"""The process `nightschool engine`: from its settings to a listening socket and back.

Owns the order in which things start (BLAS before MLX, model before socket) and stop. Knows nothing of requests.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog
from granian.constants import Interfaces
from granian.server.embed import Server

from distill.mlx import allocator, blas
from gateway.engine.entrance import check_reach, guarded
from gateway.errors import StartError
from gateway.processes.parent import follow
from gateway.processes.ports import check_port, check_socket

if TYPE_CHECKING:
    from gateway.engine.served import ServedModel

_OWNER_ONLY = 0o600
_WARM_TOKENS = 4

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
    api_key: str = ""  # asked of whoever comes by TCP; needed on an address that others can reach
    parent: int | None = None
    threads: int = 0  # of the BLAS, on a CPU; 0: one for each core
    batch: int = 16  # requests decoded together
    queue: int = 64  # requests that may wait; further ones get 503
    prefill_step: int = 256  # prompt tokens computed in one piece, at most
    cache_bytes: int = 1 << 30  # keys and values of prompts kept for the next request
    prefix_disk: Path | None = None  # system and tools prefixes are kept in this folder too
    prefix_disk_bytes: int = 1 << 30
    memory_gb: float | None = None  # in all (10^9 bytes); None: what the machine allows
    max_kv_size: int | None = None  # tokens of context kept for each request; None: all
    idle_unload: float = 0.0  # seconds without a request, after which the model leaves memory; 0: never
    speculate: bool = True  # on a CPU: guess tokens ahead and check them together
    warmup: bool = True  # a first answer is generated before anybody asks
    drain: float = 10.0  # seconds that running requests get when the engine is told to end
    stalled: float = 120.0  # seconds without a step, with work to do, after which /health says 503

    def __post_init__(self) -> None:
        least: dict[str, float] = {"batch": 1, "queue": 0, "prefill_step": 1, "cache_bytes": 0, "prefix_disk_bytes": 0}
        least |= {"threads": 0, "memory_gb": 0.1, "max_kv_size": 16, "idle_unload": 0, "drain": 0, "stalled": 1e-9}
        for name, lowest in least.items():
            value = getattr(self, name)
            if value is not None and not value >= lowest:  # so put, NaN is refused too
                raise StartError(f"--{name.replace('_', '-')} must be at least {lowest}, not {value}")


async def run_engine(settings: EngineSettings) -> None:
    """Serve until SIGTERM or SIGINT, or until the parent is gone; then requests under way get `drain` seconds.

    Raises StartError or ModelError, each one line that says what to do, when it cannot start.
    """
    if settings.socket is not None:
        check_socket(settings.socket)
    else:
        check_reach(settings.host, settings.api_key)
        check_port(settings.host, settings.port)
    blas.prepare(settings.threads or 1)
    allocator.keep_memory()
    from gateway.engine.app import create_app  # imports MLX, which must find the BLAS loaded

    served = _served(settings)
    stop = _Stop(settings.parent)
    try:
        await served.open()
        if settings.adapter is not None:
            await served.load_adapter(settings.adapter.resolve().name, settings.adapter)
        if settings.warmup:
            await _warm_up(served)
        app = create_app(served, settings.stalled)
        server = _server(guarded(app, socket=settings.socket is not None, key=settings.api_key), settings)
        serving = asyncio.create_task(server.serve())
        _log.info("engine listens", model=served.name, at=str(settings.socket or f"{settings.host}:{settings.port}"))
        stopping = asyncio.create_task(stop.asked.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        await app.close(settings.drain)
        await served.close()
        server.stop()  # type: ignore[no-untyped-call]
        await serving
    finally:
        await served.close()


def _served(settings: EngineSettings) -> ServedModel:
    from gateway.engine.inference.limits import Limits
    from gateway.engine.served import ServedModel

    limits = Limits(
        batch=settings.batch,
        queue=settings.queue,
        prefill_step=settings.prefill_step,
        cache_bytes=settings.cache_bytes,
        memory_bytes=round(settings.memory_gb * 1e9) if settings.memory_gb is not None else None,
        max_kv_size=settings.max_kv_size,
        idle_unload_seconds=settings.idle_unload,
        threads=settings.threads,
        speculate=settings.speculate,
    )
    shelf = (settings.prefix_disk, settings.prefix_disk_bytes) if settings.prefix_disk is not None else None
    return ServedModel(settings.name or settings.model.name, settings.model, settings.adapters_root, limits, shelf)


async def _warm_up(served: ServedModel) -> None:
    """Generate a few tokens, so that what is compiled at first use is, before the first request waits for it."""
    from gateway.engine.inference.job import Job, Sampling

    prompt = served.renderer.encode("The night school opens.")[: served.info.context - _WARM_TOKENS]
    async for _ in served.generator.run(Job(prompt, _WARM_TOKENS, Sampling(temperature=0.0), private=True)):
        pass


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
