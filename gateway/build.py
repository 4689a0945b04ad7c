"""Who answers, made out of settings: a student and its teachers, with their backends, processes and accounts.

Owns how a section of the settings becomes something that can be asked; nothing runs yet. Knows nothing of requests.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway.access.spend import Prices, Spend
from gateway.answering.arms import Arm
from gateway.answering.teachers import Teachers
from gateway.backends.client import Address, Backend, Timeouts
from gateway.backends.patience import Manners
from gateway.processes.ports import free_port
from gateway.processes.supervisor import ProcessSettings, Supervisor
from gateway.sections import EXPERT, BackendSettings, Settings
from gateway.settings import Home, api_key, require_model, shared
from router.decision import Arm as ArmName

if TYPE_CHECKING:
    from gateway.answering.prompting import Prompting

UNSET_URL = "http://127.0.0.1:9/v1"  # the arm that a policy of "student" or "teacher" never asks


class Crew(msgspec.Struct, frozen=True):
    """A student and its teachers, and the settings that they were made of."""

    settings: Settings
    student: Arm
    teachers: Teachers

    @property
    def arms(self) -> list[Arm]:
        return [self.student, *self.teachers.arms]


class Builder:
    """Makes crews. `spends` are the accounts of all teachers there have been; one that comes back finds its own."""

    def __init__(self, home: Home, supervisor: Supervisor) -> None:
        self._home = home
        self._supervisor = supervisor
        self.spends: dict[str, Spend] = {}

    def crew(self, settings: Settings, before: Crew | None = None) -> Crew:
        """Who answers by these settings; whoever is set as `before` stays the same. Raises SettingsError."""
        student = before.student if before is not None and _same(before.settings.student, settings.student) else None
        teachers = teachers_of(settings)
        known = {arm.label: arm for arm in before.teachers.arms} if before is not None else {}
        earlier = teachers_of(before.settings) if before is not None else {}
        arms = [
            known[label] if label in known and _same(earlier[label], backend) else self._arm("teacher", backend, label)
            for label, backend in teachers.items()
        ]
        accounts = {label: self._account(label, backend) for label, backend in teachers.items()}
        balanced = settings.router.teachers == "balanced"
        return Crew(
            settings, student or self._arm("student", settings.student), Teachers(arms, accounts, balanced=balanced)
        )

    def _account(self, label: str, backend: BackendSettings) -> Spend:
        """A teacher's account; without prices it stays empty."""
        if label not in self.spends:
            file = "spend.json" if label == "teacher" else f"spend-{label}.json"
            self.spends[label] = Spend(self._home.data / file, prices_of(backend))
        return self.spends[label]

    def _arm(self, name: ArmName, settings: BackendSettings, label: str = "") -> Arm:
        label = label or name
        attempts = settings.attempts if name == "teacher" else 1  # a failed student is not waited for
        manners = Manners(attempts, settings.retry_seconds, settings.at_once, settings.queue, settings.failures)
        timeouts = Timeouts(settings.connect, settings.first_byte, settings.silence)
        if not settings.model:
            key = api_key(settings.api_key_env)
            backend = Backend(Address(settings.url or UNSET_URL), timeouts, manners, key=key)
            return Arm(
                name,
                backend,
                label=label,
                model=settings.name,
                embeddings=settings.embeddings,
                prompting=_prompting(settings),
                eager=bool(settings.url),
            )
        address, model, command = self._local(settings, label)
        backend = Backend(address, timeouts, manners)
        process = self._supervisor.add(
            ProcessSettings(
                name=label,
                command=command,
                address=address,
                log=self._home.data / "logs" / f"{label}.log",
                start=settings.start,
                idle_stop=settings.idle_stop,
                memory_bytes=settings.memory_bytes,
            ),
            busy=lambda: backend.in_flight > 0,
        )
        eager = settings.model in ("embedded", EXPERT)
        arm = Arm(name, backend, label=label, model=model, child=process, prompting=_prompting(settings), eager=eager)
        process.on_up = arm.get_ready  # so that a restarted engine has its adapters before the next request comes
        return arm

    def _local(self, settings: BackendSettings, label: str) -> tuple[Address, str, list[str]]:
        """Where a local model will listen, its name, and the command that runs it."""
        if settings.model == EXPERT:
            port = free_port()
            return Address(f"http://127.0.0.1:{port}/v1"), EXPERT, _own_command("expert", "--port", str(port))
        folder = require_model(settings.model, self._home)
        socket_path = Path(tempfile.mkdtemp(prefix="nightschool-"), f"{label}.sock")
        command = _own_command("engine", "--model", self._named(folder), "--socket", str(socket_path))
        command += ["--home", str(self._home.models.parent), "--threads", str(settings.threads)]
        if settings.max_kv_size:
            command += ["--max-kv-size", str(settings.max_kv_size)]
        return Address("http://localhost/v1", str(socket_path)), folder.name, command

    def _named(self, folder: Path) -> str:
        """A model of the catalogue by its name, so that the engine can make what is not there yet; others by folder."""
        return folder.name if folder.parent == self._home.models else str(folder)


def teachers_of(settings: Settings) -> dict[str, BackendSettings]:
    """The settings of all teachers by label, in the order in which they are asked."""
    return {"teacher": settings.teacher, **settings.teachers}


def _prompting(backend: BackendSettings) -> Prompting | None:
    return prompting_named(backend.prompt) if backend.prompt else None


def prompting_named(name: str) -> Prompting:
    """Raises SettingsError for a prompt that is not there, or is damaged."""
    from distill.vocabularies import load_vocabularies  # few gateways need these, and all would wait for them
    from gateway.answering.prompting import Prompting
    from gateway.prompts import prompt_named

    vocabularies = load_vocabularies(shared("data", "vocabularies"))
    return Prompting(prompt_named(name), vocabularies.values())


def prices_of(backend: BackendSettings) -> Prices:
    return Prices(backend.price_input, backend.price_output, backend.daily_limit)


def priced_as(backend: BackendSettings, other: BackendSettings) -> BackendSettings:
    """`backend` with the prices and the known context of `other`, which are no business of its client or process."""
    return msgspec.structs.replace(
        backend,
        price_input=other.price_input,
        price_output=other.price_output,
        daily_limit=other.daily_limit,
        context=other.context,
    )


def _same(one: BackendSettings, other: BackendSettings) -> bool:
    """Whether one backend serves both."""
    return priced_as(one, other) == other


def _own_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gateway.cli", *arguments, "--parent", str(os.getpid())]
