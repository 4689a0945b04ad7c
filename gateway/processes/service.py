"""The gateway as a service of the user's own session. Owns its names and what is said of it; unit does the rest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gateway.errors import StartError
from gateway.processes.unit import Job, Unit, launchd_unit, systemd_unit

LABEL = "local.nightschool.gateway"
_NAME = "the service"
_OUTCOME = "The gateway runs, and starts at every login"


def service_unit(system: str, command: Sequence[str], home: Path) -> Unit:
    """The service on `system`, which is "Darwin" or "Linux". Raises StartError for another."""
    job = Job(command, home, "service.log")
    if system == "Darwin":
        return launchd_unit(_NAME, _OUTCOME, LABEL, "nightschool.plist", job)
    if system == "Linux":
        return systemd_unit(_NAME, _OUTCOME, ("nightschool.service",), job)
    raise StartError(f"on {system} there is no service manager that is known: start 'nightschool serve' yourself")
