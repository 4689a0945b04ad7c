"""An arm: the student or the teacher, as something that can be asked.

Owns which model name the backend is sent, what the backend was found to be able to do, and whether it is there yet.
Knows nothing of decisions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

import structlog

from gateway.backends.client import Backend, Capabilities
from gateway.errors import BackendBroken, GatewayError
from router.decision import Arm as ArmName

if TYPE_CHECKING:
    from gateway.answering.prompting import Prompting

_log = structlog.get_logger("arms")
_PROBE_AGAIN = 2.0  # seconds
_IDLE_BEFORE_SWAP = (
    30.0  # seconds: a model that pauses between an agent's steps is not put out for one nobody waits for
)


class Child(Protocol):
    """A local process behind a backend, as the supervisor gives it."""

    async def ensure(self) -> None:
        """Return when the process answers; start it if need be. Raises BackendUnreachable, MemoryLeased or NoRoom."""

    async def ensure_from_idle(self, seconds: float) -> None:
        """As `ensure`, but in memory that nobody has used for so long, or not at all."""

    @property
    def generation(self) -> int:
        """Counts the starts that became ready; 0 while the process is not ready."""

    @property
    def yields(self) -> bool:
        """Whether another process waits for the memory of this one."""

    def want(self) -> None:
        """Start the process if need be, without waiting."""


class Arm:
    """One backend in its role. `model` is what the backend is asked for, empty until it is known; `label` tells several
    teachers apart."""

    def __init__(
        self,
        name: ArmName,
        backend: Backend,
        *,
        label: str = "",
        model: str = "",
        embeddings: str = "",
        child: Child | None = None,
        prompting: Prompting | None = None,
        eager: bool = True,
    ) -> None:
        self.name = name
        self.label = label or name
        self.eager = eager  # whether to get ready at the gateway's start
        self.backend = backend
        self.base = model
        self.prompting = prompting  # what it is told besides, where it is a teacher
        self.embeddings = embeddings  # the model to ask for embeddings, where it is another one
        self.live = ""  # the promoted adapter, if any
        self.version = 0  # counts the changes of its adapters
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

    def put_to_work(self, adapter: str) -> None:
        """Answer with this adapter from now on; empty: with none."""
        self.live = adapter
        self.version += 1

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
        if self.up and not (self._child is not None and self._child.yields):
            if self._child is not None:
                self._child.want()  # also tells the supervisor that it is in use
            return True
        self.get_ready()
        return False

    def get_ready(self) -> None:
        """See to it that the arm becomes ready, without waiting."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._get_ready_quietly(), name=f"{self.label}-ready")

    async def ready(self) -> None:
        """Return when the arm can be asked. Raises GatewayError when it cannot."""
        if self._child is not None:
            await self._child.ensure()
        await self._met()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.backend.close()

    def _fresh(self) -> bool:
        return self._child is None or self._child.generation == self._generation != 0

    async def _met(self) -> None:
        if not self.up:
            async with self._single:
                if not self.up:
                    await self._meet()

    async def _meet(self) -> None:
        generation = self._child.generation if self._child is not None else 0
        if not self.base:
            self.base = await self._first_model()
        probed = self.name == "student" or self.local  # another teacher may cost money by the token
        found = await self.backend.probe(self.base) if probed else Capabilities()
        for action in self._on_ready:
            await action()
        self.capabilities = found  # from here on it is up
        self._generation = generation

    async def _first_model(self) -> str:
        listed = await self.backend.models()
        if not listed or not isinstance(listed[0].get("id"), str):
            raise BackendBroken(f"The server of {self.label} lists no model: set its 'name'.")
        return str(listed[0]["id"])

    async def _get_ready_quietly(self) -> None:
        told = ""
        while not self.up:
            try:
                if self._child is not None:
                    await self._child.ensure_from_idle(_IDLE_BEFORE_SWAP)
                await self._met()
            except GatewayError as error:
                if str(error) != told:
                    _log.warning("not ready", arm=self.label, error=str(error))
                told = str(error)
                await asyncio.sleep(_PROBE_AGAIN)
