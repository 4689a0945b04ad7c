"""An arm: the student or the teacher, as something that can be asked.

Owns which model name the backend is sent, what the backend was found to be able to do, and whether it is there yet.
Knows nothing of decisions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from gateway.backends import Backend, Capabilities
from gateway.errors import BackendBroken, GatewayError
from router.decision import Arm as ArmName

_log = structlog.get_logger("arms")
_PROBE_AGAIN = 2.0  # seconds


class Child(Protocol):
    """A local process behind a backend, as the supervisor gives it."""

    async def ensure(self) -> None:
        """Return when the process answers; start it if need be. Raises BackendUnreachable or MemoryLeased."""

    @property
    def generation(self) -> int:
        """Counts the starts that became ready; 0 while the process is not ready."""

    def want(self) -> None:
        """Start the process if need be, without waiting."""


class Arm:
    """One backend in its role. `model` is what the backend is asked for; empty until it is known."""

    def __init__(
        self, name: ArmName, backend: Backend, *, model: str = "", child: Child | None = None, eager: bool = True
    ) -> None:
        self.name = name
        self.eager = eager  # whether to get ready at the gateway's start
        self.backend = backend
        self.base = model
        self.live = ""  # the promoted adapter, if any
        self.capabilities: Capabilities | None = None
        self._child = child
        self._generation = 0
        self._on_ready: list[Callable[[], Awaitable[None]]] = []
        self._single = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    @property
    def local(self) -> bool:
        """Whether a process of ours is behind it."""
        return self._child is not None

    @property
    def remote(self) -> bool:
        """Whether what it is sent leaves the machine."""
        return self.backend.address.remote

    @property
    def model(self) -> str:
        return self.live or self.base

    def on_ready(self, action: Callable[[], Awaitable[None]]) -> None:
        """Run `action` each time a fresh backend is there, before it is asked anything."""
        self._on_ready.append(action)

    @property
    def up(self) -> bool:
        """Whether the arm was met and is still the same."""
        return self.capabilities is not None and self._fresh()

    @property
    def is_ready(self) -> bool:
        """Whether the arm can be asked at once. If not, its start is under way when this returns."""
        if self.up:
            if self._child is not None:
                self._child.want()  # also tells the supervisor that it is in use
            return True
        self.get_ready()
        return False

    def get_ready(self) -> None:
        """See to it that the arm becomes ready, without waiting."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._get_ready_quietly(), name=f"{self.name}-ready")

    async def ready(self) -> None:
        """Return when the arm can be asked. Raises GatewayError when it cannot."""
        if self._child is not None:
            await self._child.ensure()
        if not self.up:
            async with self._single:
                if not self.up:
                    await self._meet()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.backend.close()

    def _fresh(self) -> bool:
        return self._child is None or self._child.generation == self._generation != 0

    async def _meet(self) -> None:
        generation = self._child.generation if self._child is not None else 0
        if not self.base:
            self.base = await self._first_model()
        if self.name == "student":
            self.capabilities = await self.backend.probe(self.base)
        else:
            self.capabilities = Capabilities()  # a teacher may cost money by the token: it is not probed
        for action in self._on_ready:
            await action()
        self._generation = generation

    async def _first_model(self) -> str:
        listed = await self.backend.models()
        if not listed or not isinstance(listed[0].get("id"), str):
            raise BackendBroken(f"The {self.name}'s server lists no model: set {self.name}.name.")
        return str(listed[0]["id"])

    async def _get_ready_quietly(self) -> None:
        told = ""
        while not self.up:
            try:
                await self.ready()
            except GatewayError as error:
                if str(error) != told:
                    _log.warning("not ready", arm=self.name, error=str(error))
                told = str(error)
                await asyncio.sleep(_PROBE_AGAIN)
