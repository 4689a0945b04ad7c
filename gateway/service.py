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
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from gateway.admission import Admission
from gateway.answer import Cascade
from gateway.arms import Arm
from gateway.backends import Address, Backend, Timeouts
from gateway.errors import BackendError, SettingsError, UnknownModel
from gateway.keys import KeyRing, admin_key
from gateway.lease import Leases
from gateway.metrics import Metrics, States
from gateway.patience import Manners
from gateway.ports import free_port
from gateway.promotion import Promotion
from gateway.recorder import Recorder
from gateway.requestlog import RequestLog
from gateway.settings import (
    EXPERT,
    LOOPBACK,
    BackendSettings,
    Home,
    Settings,
    api_key,
    keys_file,
    require_model,
)
from gateway.spend import Prices, Spend
from gateway.supervisor import ProcessSettings, Supervisor
from gateway.teachers import Teachers
from gateway.turn import Turn
from router.decision import Arm as ArmName
from router.policy import Rules

if TYPE_CHECKING:
    from gateway.telemetry import Telemetry

_log = structlog.get_logger("service")

UNSET_URL = "http://127.0.0.1:9/v1"  # the arm that a policy of "student" or "teacher" never asks


class Names:
    """The model names on offer, and what each stands for."""

    def __init__(self, student: Arm, teachers: Teachers, promotion: Promotion, aliases: dict[str, str]) -> None:
        self._student = student
        self._teachers = teachers
        self._promotion = promotion
        self._aliases = aliases

    def resolve(self, name: str, allowed: Callable[[str], bool]) -> tuple[ArmName | None, str]:
        """The arm a name asks for (None: the router chooses) and the model to ask its backend for ("": its own).

        `allowed` says of each name on offer whether this client may have it. Raises UnknownModel.
        """
        offered, found = name, self._find(name)
        if found is None:
            pattern = next((pattern for pattern in self._aliases if fnmatch.fnmatchcase(name, pattern)), "")
            offered = self._aliases.get(pattern, "")
            found = self._find(offered)
        if found is None or not allowed(offered):
            raise UnknownModel(f"There is no model '{name}'; GET /v1/models lists what there is.", param="model")
        return found

    def _find(self, name: str) -> tuple[ArmName | None, str] | None:
        if name == "nightschool":
            return None, ""
        if name in ("student", "teacher"):
            return ("student" if name == "student" else "teacher"), ""
        if name and (name == self._student.base or name in self._promotion.adapters):
            return "student", name
        if name and name in [teacher.base for teacher in self._teachers.arms]:
            return "teacher", name
        return None

    def listed(self, allowed: Callable[[str], bool]) -> list[dict[str, Any]]:
        """As GET /v1/models tells them."""
        own = ["nightschool", "student", "teacher", self._student.base, *[arm.base for arm in self._teachers.arms]]
        adapters = [
            (name, {"parent": self._student.base, "root": str(path)}) for name, path in self._promotion.adapters.items()
        ]
        known: dict[str, dict[str, Any]] = {**{name: {} for name in own if name}, **dict(adapters)}
        return [
            {"id": name, "object": "model", "created": self._promotion.started, "owned_by": "nightschool", **more}
            for name, more in known.items()
            if allowed(name)
        ]


class Gateway:
    """Everything that runs by day. `start` and `stop` frame its life."""

    def __init__(
        self, settings: Settings, home: Home, supervisor: Supervisor, student: Arm, teachers: Teachers
    ) -> None:
        self.settings = settings
        self.home = home
        self.supervisor = supervisor
        self.student = student
        self.teachers = teachers
        self.leases = Leases(time.monotonic)
        supervisor.room.leased = self.leases.held
        self.recorder = Recorder(home.data / "traces.db")
        self.promotion = Promotion(home, student)
        self.names = Names(student, teachers, self.promotion, settings.aliases)
        self.metrics = Metrics(
            States(self.arms, supervisor.processes, teachers.spends, lambda: self.recorder.status, self.leases.held)
        )
        self.telemetry = _telemetry(settings)
        self.cascade = Cascade(student, teachers, self._rules, self.recorder, self._ended)
        self.admission = Admission(
            KeyRing(keys_file(home)),
            public=settings.gateway.host not in LOOPBACK,
            at_once=settings.gateway.max_at_once,
        )
        self._watching = [self.metrics.ended]
        if settings.gateway.log != "off":
            self._watching.append(RequestLog(content=settings.gateway.log_content).ended)
        if self.telemetry is not None:
            self._watching.append(self.telemetry.ended)

    @property
    def arms(self) -> list[Arm]:
        return [self.student, *self.teachers.arms]

    async def start(self) -> None:
        self.admission.admin_key = admin_key(self.home.data / "admin.key")
        self.admission.ring.load()
        for spend in self.teachers.spends.values():
            spend.start()
        await self.recorder.start()
        if self.telemetry is not None:
            self.telemetry.start()
        for arm in self.arms:
            await arm.backend.open()
        self.student.on_ready(self.promotion.restore)
        await self.supervisor.start()
        for arm in self.arms:
            if arm.eager:
                arm.get_ready()

    async def stop(self) -> None:
        for arm in self.arms:
            await arm.close()
        await self.supervisor.stop()
        await self.recorder.stop()
        for spend in self.teachers.spends.values():
            await spend.stop()
        if self.telemetry is not None:
            await self.telemetry.stop()

    def status(self) -> dict[str, Any]:
        """What runs, as /health and /admin/status tell it."""
        processes = {
            p.settings.name: {"pid": p.pid, "ready": p.generation > 0, "restarts": p.restarts}
            for p in self.supervisor.processes
        }
        return {
            "student": _told(self.student),
            "teacher": _told(self.teachers.first),
            "teachers": {arm.label: _told(arm) for arm in self.teachers.arms[1:]},
            "processes": processes,
            "traces": self.recorder.status,
        }

    async def memory(self) -> dict[str, int]:
        """Peak memory in bytes of the local processes behind the arms."""
        told: dict[str, int] = {}
        for arm in self.arms:
            if arm.local and arm.up:
                with contextlib.suppress(BackendError):
                    told[arm.label] = await arm.backend.peak_memory()
        return told

    def _ended(self, turn: Turn) -> None:
        for watch in self._watching:
            try:
                watch(turn)
            except Exception as error:  # noqa: BLE001 - who watches must not cost an answer
                _log.error("a turn was not watched", exc_info=error, trace=turn.id)

    def _rules(self) -> Rules:
        router = self.settings.router
        known = self.student.capabilities
        return Rules(
            policy=router.policy,
            uncertified=router.uncertified,
            taught=bool(self.student.live) or not self.student.local,
            confidence=router.confidence,
            holdout=0.0 if self.teachers.spent else router.holdout,  # nobody is there to be compared with
            hold=router.hold,
            teacher_down=router.teacher_down,
            grammar=known is not None and known.grammar,
            context=self.settings.student.context or (known.context if known is not None else 0),
        )


def build(settings: Settings, home: Home) -> Gateway:
    """A gateway out of settings; nothing runs yet. Raises SettingsError."""
    supervisor = Supervisor(settings.gateway.memory_bytes)
    student = _arm("student", settings.student, home, supervisor)
    named = {"teacher": settings.teacher, **settings.teachers}
    arms = [_arm("teacher", backend, home, supervisor, label) for label, backend in named.items()]
    teachers = Teachers(arms, _spends(named, home), balanced=settings.router.teachers == "balanced")
    return Gateway(settings, home, supervisor, student, teachers)


def _telemetry(settings: Settings) -> Telemetry | None:
    """None where the settings name no collector. Raises SettingsError where the packages for it are missing."""
    endpoint, own = settings.telemetry.otlp_endpoint, settings.gateway
    if not endpoint:
        return None
    try:
        from gateway.telemetry import Telemetry  # brings the SDK, which is an extra
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"telemetry.otlp_endpoint needs a package that is not here ({error.name}): "
            "install Nightschool with its extra 'otel'"
        ) from error
    return Telemetry(endpoint, content=own.log_content, host=own.host, port=own.port)


def _spends(teachers: dict[str, BackendSettings], home: Home) -> dict[str, Spend]:
    """An account for each teacher; without prices it stays empty."""
    prices = {name: Prices(t.price_input, t.price_output, t.daily_limit) for name, t in teachers.items()}
    files = {name: "spend.json" if name == "teacher" else f"spend-{name}.json" for name in teachers}
    return {name: Spend(home.data / files[name], price) for name, price in prices.items()}


def _told(arm: Arm) -> dict[str, Any]:
    """What /health says of an arm. `rests`: seconds for which it is left alone after failures."""
    patience = arm.backend.patience
    rests = round(patience.breaker.waits, 1)
    told = {"model": arm.model, "ready": arm.up, "in_flight": arm.backend.in_flight, "waiting": patience.waiting}
    return {**told, "rests": rests} if rests else told


def _arm(name: ArmName, settings: BackendSettings, home: Home, supervisor: Supervisor, label: str = "") -> Arm:
    label = label or name
    attempts = settings.attempts if name == "teacher" else 1  # a failed student is not waited for: the teacher answers
    manners = Manners(attempts, settings.retry_seconds, settings.at_once, settings.queue, settings.failures)
    timeouts = Timeouts(settings.connect, settings.first_byte, settings.silence)
    if not settings.model:
        key = api_key(settings.api_key_env)
        backend = Backend(Address(settings.url or UNSET_URL), timeouts, manners, key=key)
        return Arm(name, backend, label=label, model=settings.name, eager=bool(settings.url))
    if settings.model == EXPERT:
        port = free_port()
        address, model = Address(f"http://127.0.0.1:{port}/v1"), EXPERT
        command = _own_command("expert", "--port", str(port))
    else:
        folder = require_model(settings.model, home)
        socket_path = Path(tempfile.mkdtemp(prefix="nightschool-"), f"{label}.sock")
        address, model = Address("http://localhost/v1", str(socket_path)), folder.name
        command = _own_command("engine", "--model", _named(folder, home), "--socket", str(socket_path))
        command += ["--home", str(home.models.parent), "--threads", str(settings.threads)]
        if settings.max_kv_size:
            command += ["--max-kv-size", str(settings.max_kv_size)]
    backend = Backend(address, timeouts, manners)
    process = supervisor.add(
        ProcessSettings(
            name=label,
            command=command,
            address=address,
            log=home.data / "logs" / f"{label}.log",
            start=settings.start,
            idle_stop=settings.idle_stop,
            memory_bytes=settings.memory_bytes,
        ),
        busy=lambda: backend.in_flight > 0,
    )
    arm = Arm(name, backend, label=label, model=model, child=process, eager=settings.model in ("embedded", EXPERT))
    process.on_up = arm.get_ready  # so that a restarted engine has its adapters before the next request comes
    return arm


def _named(folder: Path, home: Home) -> str:
    """A model of the catalogue by its name, so that the engine can make what is not there yet; others by folder."""
    return folder.name if folder.parent == home.models else str(folder)


def _own_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gateway.cli", *arguments, "--parent", str(os.getpid())]
