"""Local models as child processes: started when needed, watched, restarted, stopped.

Owns processes; the memory they may take together is room's. Knows nothing of what the processes are: a command, an
address that answers GET /health, and a log file is all there is to one. Children are told our process id and leave by
themselves when it is gone, so a killed gateway leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

import aiohttp
import msgspec
import structlog

from gateway.backends.client import Address
from gateway.errors import BackendUnreachable
from gateway.processes.room import Room

_log = structlog.get_logger("supervisor")

_TICK = 0.5  # seconds between two looks at idle times and leases
_LONGEST_PAUSE = 30.0
_SETTLED = 30.0  # seconds alive after which a crash counts as the first one again


class ProcessSettings(msgspec.Struct, frozen=True):
    """`start` and `idle_stop` in seconds (idle_stop 0: never), `memory_bytes` 0: not counted."""

    name: str
    command: list[str]
    address: Address
    log: Path
    start: float = 120.0
    idle_stop: float = 0.0
    memory_bytes: int = 0


class LocalProcess:
    """One supervised child. From the first `want` on it is kept running until it is stopped."""

    def __init__(self, settings: ProcessSettings, room: Room, busy: Callable[[], bool]) -> None:
        self.settings = settings
        self._room = room
        self._busy = busy
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()
        self._up = False
        self._starts = 0
        self._failures = 0
        self._used = 0.0
        self.on_up: Callable[[], None] = lambda: None  # called each time the process has become ready

    @property
    def generation(self) -> int:
        return self._starts if self._answers_now else 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def memory_bytes(self) -> int:
        return self.settings.memory_bytes

    @property
    def start_seconds(self) -> float:
        return self.settings.start

    @property
    def wanted(self) -> bool:
        """Whether it runs, is about to, or has not quite ended."""
        return self.pid is not None or (self._keeper is not None and not self._keeper.done())

    @property
    def _answers_now(self) -> bool:
        """A process that died is known to be dead a moment before its keeper hears of it."""
        return self._up and self.pid is not None

    @property
    def yields(self) -> bool:
        """Whether another process waits for the memory, so that this one should take on nothing new."""
        return self._room.yields(self)

    @property
    def restarts(self) -> int:
        return max(0, self._starts - 1)

    def want(self) -> None:
        self._used = asyncio.get_running_loop().time()
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.create_task(self._keep(), name=f"keep-{self.settings.name}")

    async def ensure(self) -> None:
        """Return when the process answers; others may have to give way first.

        Raises MemoryLeased, NoRoom, or BackendUnreachable with what its log said last.
        """
        if not self._answers_now or self.yields:
            await self._room.make(self)
        self.want()
        await self._answering()

    async def ensure_from_idle(self, seconds: float) -> None:
        """As `ensure`, but nobody gives way who has not been idle for so long, and nobody is waited for."""
        if not self._answers_now:
            await self._room.make_from_idle(self, seconds)
            await self._answering()

    async def _answering(self) -> None:
        if self._answers_now:
            return
        seen = self._failures
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.start), self._changed:
                await self._changed.wait_for(lambda: self._answers_now or self._failures > seen)
        if not self._answers_now:
            raise BackendUnreachable(f"The local model '{self.settings.name}' does not start: {self._last_words()}")

    def idle_since(self, now: float) -> float:
        """Seconds since the process was last used."""
        if self._busy() or not self._answers_now:  # whoever had it started is about to ask it
            self._used = now
        return now - self._used

    async def stop(self) -> None:
        """End the process, gently first; the next `want` starts it again."""
        self._up = False  # from here on nobody is sent to it
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 5.0)
            except TimeoutError:
                process.kill()
                await process.wait()
        await self._note(up=False)

    def forget_socket(self) -> None:
        """Remove the Unix socket and the private folder it lay in."""
        if self.settings.address.socket:
            path = Path(self.settings.address.socket)
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # not ours alone, or gone already
                path.parent.rmdir()

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        pause = 0.0
        if self._process is not None:
            await self._process.wait()  # one that is being stopped has its memory until it is gone
        while True:
            await asyncio.sleep(pause)
            process = await self._spawn()
            born = loop.time()
            if await self._answers(process):
                self._starts += 1
                await self._note(up=True)
                self.on_up()
                _log.info("ready", process=self.settings.name, pid=process.pid, seconds=round(loop.time() - born, 2))
            code = await process.wait()
            _log.warning("ended", process=self.settings.name, code=code)
            was_up = self._up
            self._failures += 1
            await self._note(up=False)
            settled = loop.time() - born > _SETTLED
            pause = 0.1 if settled or (was_up and not pause) else min(max(0.2, pause * 2), _LONGEST_PAUSE)

    async def _spawn(self) -> asyncio.subprocess.Process:
        with self._log_file() as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.settings.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in a terminal is the gateway's to pass on
            )
        return self._process

    def _log_file(self) -> IO[bytes]:
        """The log, opened; a socket that an earlier process left behind is removed."""
        if self.settings.address.socket:
            Path(self.settings.address.socket).unlink(missing_ok=True)
        self.settings.log.parent.mkdir(parents=True, exist_ok=True)
        return self.settings.log.open("ab")

    async def _answers(self, process: asyncio.subprocess.Process) -> bool:
        """Wait for GET /health to say 200; False when the process ended first, or was ended for taking too long."""
        address = self.settings.address
        url = address.url.removesuffix("/v1") + "/health"
        connector = aiohttp.UnixConnector(path=address.socket) if address.socket else aiohttp.TCPConnector()
        timeout = aiohttp.ClientTimeout(total=2.0)
        with contextlib.suppress(TimeoutError):
            async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
                async with asyncio.timeout(self.settings.start):
                    while process.returncode is None:
                        with contextlib.suppress(aiohttp.ClientError, OSError):
                            async with session.get(url) as response:
                                if response.status == 200:
                                    return True
                        await asyncio.sleep(0.05)
        if process.returncode is None:
            process.kill()
        return False

    async def _note(self, *, up: bool) -> None:
        async with self._changed:
            self._up = up
            self._changed.notify_all()

    def _last_words(self) -> str:
        try:
            lines = self.settings.log.read_text(errors="replace").strip().splitlines()
        except OSError:
            lines = []
        return lines[-1] if lines else f"see {self.settings.log}"


class Supervisor:
    """All local processes, and the memory they share with the night. `budget` in bytes; 0: no limit is kept."""

    def __init__(self, budget: int = 0) -> None:
        self._task: asyncio.Task[None] | None = None
        self.room = Room(budget)
        self.processes: list[LocalProcess] = []

    def add(self, settings: ProcessSettings, busy: Callable[[], bool] = lambda: False) -> LocalProcess:
        process = LocalProcess(settings, self.room, busy)
        self.processes.append(process)
        self.room.tenants.append(process)
        return process

    async def start(self) -> None:
        self._task = asyncio.create_task(self._watch(), name="supervisor")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.gather(*[process.stop() for process in self.processes])
        for process in self.processes:
            process.forget_socket()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_TICK)
            for process in self.processes:
                limit = process.settings.idle_stop
                if limit and process.generation and process.idle_since(loop.time()) > limit:
                    _log.info("stopped, idle", process=process.settings.name)
                    await process.stop()
