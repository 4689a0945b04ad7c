"""Which adapter serves: candidates, proposals, the live pointer, the pin and the way back.

Owns models/live.json (nobody else writes it) and what the student's engine has loaded. Knows nothing of how an
adapter was made or judged.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import structlog

from distill.atomic import write_atomically
from distill.digest import combined_digest, file_digest
from gateway.answering.arms import Arm
from gateway.answering.pinning import BASE, Pin, Pinning
from gateway.errors import BackendError, BackendRefused, Conflict, StartError
from gateway.settings import Home
from router.chat import InvalidRequest

_log = structlog.get_logger("promotion")


class Live(msgspec.Struct, frozen=True):
    """The live pointer, as models/live.json holds it. `previous` is what it replaced."""

    adapter: str
    path: str
    digest: str
    since: str
    previous: dict[str, Any] | None = None


class Promotion:
    """Adapters of the student: candidates that can be asked by name, and the one that serves."""

    def __init__(self, home: Home, student: Arm) -> None:
        self._home = home
        self._file = home.models / "live.json"
        self._changing = asyncio.Lock()
        self.live: Live | None = None
        self.trouble = ""
        self.adapters: dict[str, Path] = {}
        self.started = int(time.time())
        self._read()
        self._pinning = Pinning(home.models / "pin.json")
        self._pinning.agree(self.live.adapter if self.live is not None else "")
        self._serve(student)

    @property
    def serving(self) -> Live | None:
        """The live adapter; None where there is none, or the engine could not load it for the reason in `trouble`: then
        the base serves."""
        return self.live if self.live is not None and self.live.adapter in self.adapters else None

    @property
    def pinned(self) -> Pin | None:
        """What serves by an operator's word, and nothing replaces."""
        return self._pinning.pin

    def check_free(self, adapter: str | None = None) -> None:
        """Raises Conflict while something is pinned, other than this adapter."""
        self._pinning.check(adapter)

    def _read(self) -> None:
        """Take up the live pointer of an earlier day; the engine gets it when it is ready."""
        try:
            self.live = msgspec.json.decode(self._file.read_bytes(), type=Live)
        except FileNotFoundError:
            return
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StartError(f"{self._file} is damaged ({error}): remove it, and the base model serves") from error
        self.adapters[self.live.adapter] = folder_of(self.live, self._home)

    async def exchange(self, student: Arm) -> None:
        """Serve another student from now on; a change of adapters that is under way is finished first."""
        async with self._changing:
            self._serve(student)

    def _serve(self, student: Arm) -> None:
        self._student = student
        student.on_ready(partial(self._restore, student))
        if self.live is not None and student.local:  # else it would wait until somebody asks for it by its name
            student.eager = True

    async def _restore(self, student: Arm) -> None:
        """Load what was loaded into an engine that has just started. An adapter that fails is left out; the live one
        is tried again with the next engine."""
        if student is not self._student:
            return  # it answers its last requests
        self.trouble = ""
        if self.live is not None:
            self.adapters.setdefault(self.live.adapter, folder_of(self.live, self._home))
        for name, path in list(self.adapters.items()):
            try:
                await self._load(name, path)
            except BackendError as error:
                _log.error("adapter not loaded", adapter=name, error=str(error))
                self.adapters.pop(name)
                if self.live is not None and self.live.adapter == name:
                    self.trouble = str(error)
        student.put_to_work(self.serving.adapter if self.serving is not None else "")

    async def add(self, name: str, path: str) -> None:
        """Make a candidate addressable by its name. Raises Conflict, InvalidRequest or BackendError."""
        folder = self._confined(path)
        async with self._changing:
            await self._student.ready()
            if self.adapters.get(name) == folder:
                return
            taken = (self._student.base, BASE, "nightschool", "student", "teacher")
            if not name or name in taken or name in self.adapters:
                raise Conflict(f"The name '{name}' is taken.")
            await self._load(name, folder)
            self.adapters[name] = folder

    def expect(self, name: str, folder: Path) -> None:
        """A candidate of an earlier day, which the engine gets when it is ready."""
        self.adapters.setdefault(name, folder)

    async def remove(self, name: str) -> None:
        async with self._changing:
            if self.live is not None and self.live.adapter == name:
                raise Conflict(f"{name} is live: roll back first.")
            if self.adapters.pop(name, None) is not None:
                await self._unload(name)

    async def propose(self, adapter: str, path: str, verdict: dict[str, Any]) -> Live:
        """Put an adapter to work. What served before serves on when the engine cannot load it.

        Raises Conflict for a verdict that says the adapter did not pass, BackendError when it cannot be loaded.
        """
        await self.admit(adapter, path, verdict)
        return await self.promote(adapter)

    async def admit(self, adapter: str, path: str, verdict: dict[str, Any]) -> None:
        """As `add`, for one that may serve. Raises Conflict for a verdict that says it did not pass."""
        if verdict.get("passed") is False:
            raise Conflict(f"{adapter} did not pass its examination.")
        await self.add(adapter, path)

    async def promote(self, adapter: str, wanted: Callable[[], bool] = lambda: True) -> Live:
        """Put a candidate to work, if it is `wanted` still once nothing else is being changed. Raises Conflict for one
        that is not there or not wanted, OSError where its folder cannot be read or the pointer not be written."""
        async with self._changing:
            if not wanted():
                raise Conflict(f"{adapter} is not wanted any more.")
            self.check_free(adapter)
            return self._put(adapter, self.live)

    async def pin(self, adapter: str) -> Pin:
        """Let a candidate serve, "" for the base, and nothing else until `unpin`. Raises as `promote` does."""
        async with self._changing:
            if adapter:
                self._put(adapter, self.live)
            else:
                self._put_base()
            return self._pinning.put(adapter)

    async def unpin(self) -> Pin:
        """What is pinned serves on until something replaces it. Raises Conflict where nothing is pinned."""
        async with self._changing:
            return self._pinning.take_off()

    async def roll_back(self) -> str:
        """Back to what served before; None before: the base model. The name of what should serve now and does not,
        since its folder is gone: then the base does. Raises Conflict, or BackendError when it cannot be loaded."""
        async with self._changing:
            self.check_free()
            if self.live is None:
                raise Conflict("No adapter is live.")
            before = msgspec.convert(self.live.previous, Live) if self.live.previous is not None else None
            if before is None or not holds_adapter(folder_of(before, self._home)):
                self._put_base()
                return before.adapter if before is not None else ""
            if before.adapter not in self.adapters:
                await self._load(before.adapter, folder_of(before, self._home))
                self.adapters[before.adapter] = folder_of(before, self._home)
            self._write(before)
            return ""

    async def return_to(self, adapter: str) -> None:
        """Back to a candidate, "" for the base. What serves now does not come back by a further roll-back."""
        async with self._changing:
            self.check_free()
            if adapter:
                self._put(adapter, None)
            else:
                self._put_base()

    def _put(self, adapter: str, previous: Live | None) -> Live:
        """Put a candidate to work, unless it is already."""
        if adapter not in self.adapters:
            raise Conflict(f"There is no adapter '{adapter}'.")
        if self.live is not None and self.live.adapter == adapter:
            self._student.put_to_work(adapter)  # it may have been missing when the engine started
            return self.live
        folder = self.adapters[adapter]
        live = Live(
            adapter=adapter,
            path=str(folder),
            digest=_digest(folder),
            since=datetime.now(UTC).isoformat(timespec="seconds"),
            previous=msgspec.to_builtins(msgspec.structs.replace(previous, previous=None)) if previous else None,
        )
        self._write(live)
        return live

    def _put_base(self) -> None:
        self._file.unlink(missing_ok=True)
        self.live = None
        self._student.put_to_work("")
        _log.info("the base serves")

    def _write(self, live: Live) -> None:
        write_atomically(self._file, msgspec.json.format(msgspec.json.encode(live), indent=2) + b"\n")
        self.live = live
        self._student.put_to_work(live.adapter)
        _log.info("promoted", adapter=live.adapter)

    def _confined(self, path: str) -> Path:
        try:
            folder = Path(path).resolve()
            filled = holds_adapter(folder)
        except (ValueError, OSError) as error:  # a null byte, or a name that is too long
            raise InvalidRequest(f"'path' names no folder: {error}.", "path") from error
        if not folder.is_relative_to(self._home.models.resolve()):
            raise InvalidRequest(f"Adapters are loaded from {self._home.models} only.", "path")
        if not filled:
            raise InvalidRequest(f"{folder} holds no adapters.safetensors.", "path")
        return folder

    async def _load(self, name: str, folder: Path) -> None:
        call = {"lora_name": name, "lora_path": str(folder)}
        await self._student.backend.call("POST", "/load_lora_adapter", call, seconds=60.0)
        self._student.version += 1  # a name may stand for other weights than before

    async def _unload(self, name: str) -> None:
        try:
            await self._student.backend.call("POST", "/unload_lora_adapter", {"lora_name": name})
        except BackendRefused as error:
            if error.status != 404:
                raise


def folder_of(live: Live, home: Home) -> Path:
    """Where the live adapter lies: where it was when it was promoted, or, in a home that has moved since, where nights
    put adapters."""
    folder, usual = Path(live.path), home.models / "adapters" / live.adapter
    return usual if not holds_adapter(folder) and holds_adapter(usual) else folder


def holds_adapter(folder: Path) -> bool:
    """Whether a folder has weights that an engine can load; a name that no folder can have names none."""
    try:
        return (folder / "adapters.safetensors").is_file()
    except (OSError, ValueError):
        return False


def _digest(folder: Path) -> str:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return combined_digest(f"{path.name}={file_digest(path)}" for path in files)
