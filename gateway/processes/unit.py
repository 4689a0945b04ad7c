"""The gateway as a service of the user's own session: launchd's agent on a Mac, systemd's user unit on Linux.

Owns the unit file, written from the templates in deploy/, and the calls that make the service manager take it up. Never
needs root. Knows nothing of what the service does.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

import msgspec

from gateway.errors import StartError
from gateway.settings import shared, unit_folder

LABEL = "local.nightschool.gateway"
_UNIT = "nightschool.service"
_PATIENCE = 60.0  # seconds for the service manager
_SYSTEMS = ("Darwin", "Linux")


class Unit(msgspec.Struct, frozen=True):
    """The service as it is meant to be: where its file lies and what is in it."""

    system: str
    path: Path
    content: str

    @property
    def written(self) -> bool:
        """Whether the file is there and as it is meant to be."""
        return self.path.exists() and self.path.read_text(encoding="utf-8") == self.content


def make_unit(system: str, command: Sequence[str], home: Path) -> Unit:
    """The unit for `system`, which is "Darwin" or "Linux". Raises StartError for another."""
    if system not in _SYSTEMS:
        raise StartError(f"on {system} there is no service manager that is known: start 'nightschool serve' yourself")
    name = f"{LABEL}.plist" if system == "Darwin" else _UNIT
    return Unit(system, unit_folder(system) / name, render_unit(system, command, home))


def render_unit(system: str, command: Sequence[str], home: Path) -> str:
    """The unit's text: run `command` with NIGHTSCHOOL_HOME set to `home`, and log into its data/logs."""
    log = home / "data" / "logs" / "service.log"
    if system == "Darwin":
        lines = "\n".join(f"    <string>{_xml(part)}</string>" for part in command)
        values = {"label": LABEL, "command": lines, "home": _xml(home), "folder": _xml(home), "log": _xml(log)}
        return _template("nightschool.plist").substitute(values)
    return _template(_UNIT).substitute(
        command=" ".join([_quoted(command[0]), *(_quoted(part.replace("$", "$$")) for part in command[1:])]),
        environment=_quoted(f"NIGHTSCHOOL_HOME={home}"),
        folder=_specifiers(home),
        log=_specifiers(log),
    )


def start_commands(unit: Unit) -> list[list[str]]:
    """What makes the service manager take the unit up, now and at every login."""
    if unit.system == "Darwin":
        return [["launchctl", "bootstrap", _domain(), str(unit.path)]]
    systemctl = ["systemctl", "--user"]
    return [[*systemctl, "daemon-reload"], [*systemctl, "enable", _UNIT], [*systemctl, "restart", _UNIT]]


def stop_commands(unit: Unit) -> list[list[str]]:
    """What makes the service manager let go of it."""
    if unit.system == "Darwin":
        return [["launchctl", "bootout", f"{_domain()}/{LABEL}"]]
    return [["systemctl", "--user", "disable", "--now", _UNIT]]


def install(unit: Unit, home: Path) -> list[str]:
    """Write the unit and start it; the lines to tell. A unit that is there already, as it should be, is started.

    Raises StartError with what to type when the service manager is not there or refuses.
    """
    (home / "data" / "logs").mkdir(parents=True, exist_ok=True)
    lines = [f"{unit.path} is as it should be"]
    if not unit.written:
        unit.path.parent.mkdir(parents=True, exist_ok=True)
        unit.path.write_text(unit.content, encoding="utf-8")
        lines = [f"Wrote {unit.path}"]
    if unit.system == "Darwin":
        _call(stop_commands(unit))  # launchd takes up a changed file only if it does not have the old one
    trouble = _call(start_commands(unit))
    if trouble:
        typed = "; ".join(shlex.join(command) for command in start_commands(unit))
        raise StartError(f"{lines[0]}, but the service did not start ({trouble}): type this yourself: {typed}")
    return [*lines, f"The gateway runs, and starts at every login; it logs to {home / 'data' / 'logs' / 'service.log'}"]


def remove(unit: Unit) -> list[str]:
    """Stop the service and take its file away; the lines to tell."""
    if not unit.path.exists():
        return [f"There is no {unit.path}: nothing to remove"]
    trouble = _call(stop_commands(unit))
    unit.path.unlink()
    if unit.system == "Linux":
        _call([["systemctl", "--user", "daemon-reload"]])
    told = [f"Removed {unit.path}"]
    if trouble:
        typed = "; ".join(shlex.join(command) for command in stop_commands(unit))
        told.append(f"It may run on ({trouble}): then type {typed}")
    return told


def standing(unit: Unit) -> tuple[bool, list[str]]:
    """Whether the service manager runs it, and the lines to tell."""
    query = ["launchctl", "print", f"{_domain()}/{LABEL}"]
    if unit.system == "Linux":
        query = ["systemctl", "--user", "is-active", "--quiet", _UNIT]
    if not unit.path.exists():
        return False, [f"Not installed: there is no {unit.path}"]
    trouble = _call([query])
    return not trouble, [f"Installed: {unit.path}", f"Not running ({trouble})" if trouble else "Running"]


def _call(commands: Sequence[Sequence[str]]) -> str:
    """Run commands up to the first that fails; what went wrong, empty if nothing did."""
    for command in commands:
        if shutil.which(command[0]) is None:
            return f"there is no {command[0]}"
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            return said[-1] if said else f"{command[0]} ended with code {done.returncode}"
    return ""


def _domain() -> str:
    return f"gui/{os.getuid()}"


def _template(name: str) -> Template:
    return Template(shared("deploy", name).read_text(encoding="utf-8"))


def _xml(value: object) -> str:
    return escape(str(value), quote=False)


def _specifiers(value: object) -> str:
    return str(value).replace("%", "%%")


def _quoted(value: str) -> str:
    """As systemd reads a word back, whatever is in it."""
    return '"' + _specifiers(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
