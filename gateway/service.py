"""The gateway as one thing: its settings, its parts, and their start and stop in the right order.

Owns the wiring alone. Knows nothing of HTTP on the client's side.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from gateway.answer import Cascade
from gateway.arms import Arm
from gateway.backends import Address, Backend, Timeouts
from gateway.errors import BackendError, UnknownModel
from gateway.lease import Leases
from gateway.ports import free_port
from gateway.promotion import Promotion, admin_key
from gateway.recorder import Recorder
from gateway.settings import EXPERT, BackendSettings, Home, Settings, api_key, require_model
from gateway.supervisor import ProcessSettings, Supervisor
from router.decision import Arm as ArmName
from router.policy import Rules

UNSET_URL = "http://127.0.0.1:9/v1"  # the arm that a policy of "student" or "teacher" never asks


class Names:
    """The model names on offer, and what each stands for."""

    def __init__(self, student: Arm, teacher: Arm, promotion: Promotion, aliases: dict[str, str]) -> None:
        self._student = student
        self._teacher = teacher
        self._promotion = promotion
        self._aliases = aliases

    def resolve(self, name: str) -> tuple[ArmName | None, str]:
        """The arm a name asks for (None: the router chooses) and the model to ask its backend for ("": its own).

        Raises UnknownModel.
        """
        found = self._find(name)
        if found is None:
            pattern = next((pattern for pattern in self._aliases if fnmatch.fnmatchcase(name, pattern)), "")
            found = self._find(self._aliases[pattern]) if pattern else None
        if found is None:
            raise UnknownModel(f"There is no model '{name}'; GET /v1/models lists what there is.", param="model")
        return found

    def _find(self, name: str) -> tuple[ArmName | None, str] | None:
        if name == "nightschool":
            return None, ""
        if name in ("student", "teacher"):
            return ("student" if name == "student" else "teacher"), ""
        if name and (name == self._student.base or name in self._promotion.adapters):
            return "student", name
        if name and name == self._teacher.base:
            return "teacher", name
        return None

    def listed(self) -> list[dict[str, Any]]:
        """As GET /v1/models tells them."""
        own = ["nightschool", "student", "teacher", self._student.base, self._teacher.base]
        adapters = [
            (name, {"parent": self._student.base, "root": str(path)}) for name, path in self._promotion.adapters.items()
        ]
        known: dict[str, dict[str, Any]] = {**{name: {} for name in own if name}, **dict(adapters)}
        return [
            {"id": name, "object": "model", "created": self._promotion.started, "owned_by": "nightschool", **more}
            for name, more in known.items()
        ]


class Gateway:
    """Everything that runs by day. `start` and `stop` frame its life."""

    def __init__(self, settings: Settings, home: Home, supervisor: Supervisor, student: Arm, teacher: Arm) -> None:
        self.settings = settings
        self.home = home
        self.supervisor = supervisor
        self.student = student
        self.teacher = teacher
        self.leases = Leases(time.monotonic)
        supervisor.leased_bytes = self.leases.held
        self.recorder = Recorder(home.data / "traces.db")
        self.promotion = Promotion(home, student)
        self.names = Names(student, teacher, self.promotion, settings.aliases)
        self.cascade = Cascade(student, teacher, self._rules, self.recorder)
        self.admin_key = ""

    async def start(self) -> None:
        self.admin_key = admin_key(self.home.data / "admin.key")
        await self.recorder.start()
        await self.student.backend.open()
        await self.teacher.backend.open()
        self.student.on_ready(self.promotion.restore)
        await self.supervisor.start()
        for arm in (self.student, self.teacher):
            if arm.eager:
                arm.get_ready()

    async def stop(self) -> None:
        for arm in (self.student, self.teacher):
            await arm.close()
        await self.supervisor.stop()
        await self.recorder.stop()

    def status(self) -> dict[str, Any]:
        """What runs, as /health and /admin/status tell it."""
        processes = {
            p.settings.name: {"pid": p.pid, "ready": p.generation > 0, "restarts": p.restarts}
            for p in self.supervisor.processes
        }
        return {
            "student": _told(self.student),
            "teacher": _told(self.teacher),
            "processes": processes,
            "traces": self.recorder.status,
        }

    async def memory(self) -> dict[str, int]:
        """Peak memory in bytes of the local processes behind the arms."""
        told: dict[str, int] = {}
        for arm in (self.student, self.teacher):
            if arm.local and arm.up:
                with contextlib.suppress(BackendError):
                    told[arm.name] = await arm.backend.peak_memory()
        return told

    def _rules(self) -> Rules:
        router = self.settings.router
        known = self.student.capabilities
        return Rules(
            policy=router.policy,
            uncertified=router.uncertified,
            taught=bool(self.student.live) or not self.student.local,
            confidence=router.confidence,
            holdout=router.holdout,
            context=self.settings.student.context or (known.context if known is not None else 0),
        )


def build(settings: Settings, home: Home) -> Gateway:
    """A gateway out of settings; nothing runs yet. Raises SettingsError."""
    supervisor = Supervisor(settings.gateway.memory_bytes)
    student = _arm("student", settings.student, home, supervisor)
    teacher = _arm("teacher", settings.teacher, home, supervisor)
    return Gateway(settings, home, supervisor, student, teacher)


def _told(arm: Arm) -> dict[str, Any]:
    """What /health says of an arm."""
    return {"model": arm.model, "ready": arm.up, "in_flight": arm.backend.in_flight}


def _arm(name: ArmName, settings: BackendSettings, home: Home, supervisor: Supervisor) -> Arm:
    attempts = settings.attempts if name == "teacher" else 1  # a failed student is not waited for: the teacher answers
    timeouts = Timeouts(settings.connect, settings.first_byte, settings.silence)
    if not settings.model:
        key = api_key(settings.api_key_env)
        backend = Backend(Address(settings.url or UNSET_URL), timeouts, key=key, attempts=attempts)
        return Arm(name, backend, model=settings.name, eager=bool(settings.url))
    if settings.model == EXPERT:
        port = free_port()
        address, model = Address(f"http://127.0.0.1:{port}/v1"), EXPERT
        command = _own_command("expert", "--port", str(port))
    else:
        folder = require_model(settings.model, home)
        socket_path = Path(tempfile.mkdtemp(prefix="nightschool-"), f"{name}.sock")
        address, model = Address("http://localhost/v1", str(socket_path)), folder.name
        command = _own_command("engine", "--model", _named(folder, home), "--socket", str(socket_path))
        command += ["--home", str(home.models.parent), "--threads", str(settings.threads)]
        if settings.max_kv_size:
            command += ["--max-kv-size", str(settings.max_kv_size)]
    backend = Backend(address, timeouts, attempts=attempts)
    process = supervisor.add(
        ProcessSettings(
            name=name,
            command=command,
            address=address,
            log=home.data / "logs" / f"{name}.log",
            start=settings.start,
            idle_stop=settings.idle_stop,
            memory_bytes=settings.memory_bytes,
        ),
        busy=lambda: backend.in_flight > 0,
    )
    arm = Arm(name, backend, model=model, child=process, eager=settings.model in ("embedded", EXPERT))
    process.on_up = arm.get_ready  # so that a restarted engine has its adapters before the next request comes
    return arm


def _named(folder: Path, home: Home) -> str:
    """A model of the catalogue by its name, so that the engine can make what is not there yet; others by folder."""
    return folder.name if folder.parent == home.models else str(folder)


def _own_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gateway.cli", *arguments, "--parent", str(os.getpid())]
