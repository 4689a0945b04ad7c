"""The timer that asks every half hour whether a night is due: an agent of launchd, a timer of systemd, or a line for
cron.

Owns which of them it is on this machine, and their names. Knows nothing of when a night is due: it asks by day as well,
so that a change of the clock or of the settings needs no new timer, and what was missed can be made up for.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal, Protocol

from gateway.errors import StartError
from gateway.processes.unit import Job, launchd_unit, systemd_unit
from gateway.schedule.crontab import Crontab

LABEL = "local.nightschool.night"
LOG = "night.log"  # under data/logs
_UNITS = ("nightschool-night.timer", "nightschool-night.service")
_NAME = "the timer"
_OUTCOME = "Every half hour it asks whether a night is due"
_BOOTED = Path("/run/systemd/system")  # there where systemd is what the machine was started by

Kind = Literal["launchd", "systemd", "cron"]


class Timer(Protocol):
    """As it comes and goes: each call gives the lines to tell."""

    def install(self) -> list[str]: ...
    def remove(self) -> list[str]: ...
    def standing(self) -> tuple[bool, list[str]]: ...
    def shown(self) -> list[tuple[str, str]]: ...


def kind_here(system: str, booted: Path = _BOOTED) -> Kind:
    """What keeps timers on this machine. Raises StartError where nothing does."""
    if system == "Darwin":
        return "launchd"
    if booted.is_dir() and shutil.which("systemctl"):
        return "systemd"
    if shutil.which("crontab"):
        return "cron"
    raise StartError(
        "nothing that keeps timers is here, neither launchd nor systemd nor cron: install cron, or have "
        "'nightschool night --scheduled' started every half hour in a way of your own"
    )


def make_timer(kind: Kind, job: Job) -> Timer:
    if kind == "launchd":
        return launchd_unit(_NAME, _OUTCOME, LABEL, "nightschool-night.plist", job)
    if kind == "systemd":
        return systemd_unit(_NAME, _OUTCOME, _UNITS, job)
    return Crontab(job)
