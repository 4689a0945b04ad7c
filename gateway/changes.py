"""What of changed settings can be taken up while the gateway runs.

Owns that rule alone; pure. What stays as it was until the next start is the address, the server and the folders, the
memory, how traces are kept, what is told to logs and collectors, and everything about local models but their prices.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.build import priced_as
from gateway.sections import BackendSettings, Settings

_FIXED = ("host", "port", "server", "home", "memory_bytes", "log", "log_content")  # of the gateway


class Change(msgspec.Struct, frozen=True):
    """The settings to go on with; the names of those that are taken up, and of those that would need a new start."""

    settings: Settings
    changed: list[str]
    left: list[str]


def possible(now: Settings, wanted: Settings) -> Change:
    """The way from one to the other, as far as it goes."""
    kept = {name: getattr(now.gateway, name) for name in _FIXED}
    found = msgspec.structs.replace(
        wanted,
        gateway=msgspec.structs.replace(wanted.gateway, **kept),
        traces=now.traces,
        telemetry=now.telemetry,
        student=_backend(now.student, wanted.student),
        teacher=_backend(now.teacher, wanted.teacher),
        teachers=_teachers(now.teachers, wanted.teachers),
    )
    return Change(found, differing(now, found), differing(found, wanted))


def differing(one: Settings, other: Settings) -> list[str]:
    """The names of the settings that differ, as gateway.port; a whole section where only one of the two has it."""
    return sorted(_differing(msgspec.to_builtins(one), msgspec.to_builtins(other), ""))


def _backend(now: BackendSettings, wanted: BackendSettings) -> BackendSettings:
    """An endpoint may be exchanged for another; a local model runs on as it was started, at its new prices."""
    if not (now.model or wanted.model):
        return wanted
    return priced_as(now, wanted) if now.model == wanted.model else now


def _teachers(now: dict[str, BackendSettings], wanted: dict[str, BackendSettings]) -> dict[str, BackendSettings]:
    found = {name: _backend(now.get(name, backend), backend) for name, backend in wanted.items()}
    found = {name: backend for name, backend in found.items() if name in now or not backend.model}
    return found | {name: backend for name, backend in now.items() if name not in wanted and backend.model}


def _differing(one: dict[str, Any], other: dict[str, Any], prefix: str) -> list[str]:
    names = []
    for key in one.keys() | other.keys():
        mine, theirs = one.get(key), other.get(key)
        if isinstance(mine, dict) and isinstance(theirs, dict):
            names += _differing(mine, theirs, f"{prefix}{key}.")
        elif mine != theirs:
            names.append(prefix + key)
    return names
