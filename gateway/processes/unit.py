"""What the service manager of the user's own session keeps for us: launchd's agents on a Mac, systemd's user units on
Linux. Never needs root.

Owns the files, written from the templates in deploy/, their check, and the calls that make the manager take them up or
let go of them. Knows nothing of what runs there.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

import msgspec

from gateway.errors import StartError
from gateway.processes.calling import Command, ask, call, to_type
from gateway.settings import shared, unit_folder


class UnitFile(msgspec.Struct, frozen=True):
    """A file as it is meant to be."""

    path: Path
    content: str

    @property
    def written(self) -> bool:
        """Whether the file is there and as it is meant to be."""
        return self.path.exists() and self.path.read_text(encoding="utf-8") == self.content

    def write(self) -> str:
        """Write it where it is not as it should be; the line to tell."""
        if self.written:
            return f"{self.path} is as it should be"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(self.content, encoding="utf-8")
        return f"Wrote {self.path}"


class Unit(msgspec.Struct, frozen=True):
    """A thing that the manager keeps. `name` and `outcome` are for sentences: "the service", "The gateway runs"."""

    name: str
    outcome: str
    files: tuple[UnitFile, ...]
    log: Path
    check: Command  # proves files whose paths are added to it
    clear: tuple[Command, ...]  # before a start, whether or not there is anything to clear
    start: tuple[Command, ...]
    stop: tuple[Command, ...]
    gone: tuple[Command, ...]  # once its files are
    query: Command  # fails where the manager does not have it

    def install(self) -> list[str]:
        """Write the files and have them taken up; the lines to tell. What is there already, as it should be, is taken
        up anew.

        Raises StartError: with what is wrong with a file, and then none is written; with what to type when the manager
        is not there or refuses.
        """
        if faults := self._faults():
            raise StartError(f"{self.name} was not installed, as its file is wrong: {'; '.join(faults)}")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        lines = [file.write() for file in self.files]
        call(self.clear)
        if trouble := call(self.start):
            raise StartError(
                f"{'; '.join(lines)}, but {self.name} did not start ({trouble}): "
                f"type this yourself: {to_type(self.start)}"
            )
        return [*lines, f"{self.outcome}; it logs to {self.log}"]

    def remove(self) -> list[str]:
        """Have the manager let go and take the files away; the lines to tell."""
        there = [file.path for file in self.files if file.path.exists()]
        if not there:
            return [f"There is no {self.files[0].path}: nothing to remove"]
        trouble = call(self.stop)
        for path in there:
            path.unlink()
        call(self.gone)
        told = [f"Removed {path}" for path in there]
        return [*told, f"It may run on ({trouble}): then type {to_type(self.stop)}"] if trouble else told

    def standing(self) -> tuple[bool, list[str]]:
        """Whether the manager has it, and the lines to tell."""
        missing = [file.path for file in self.files if not file.path.exists()]
        if missing:
            return False, [f"Not installed: there is no {missing[0]}"]
        trouble = call([self.query])
        lines = [f"Installed: {file.path}" for file in self.files]
        return not trouble, [*lines, f"Not running ({trouble})" if trouble else "Running"]

    def shown(self) -> list[tuple[str, str]]:
        """Where each file belongs, and what is in it."""
        return [(str(file.path), file.content) for file in self.files]

    def _faults(self) -> list[str]:
        """What the manager's own checker finds wrong with the files; nothing where there is none, or it cannot work."""
        with tempfile.TemporaryDirectory() as folder:
            drafts = [Path(folder, file.path.name) for file in self.files]
            for draft, file in zip(drafts, self.files, strict=True):
                draft.write_text(file.content, encoding="utf-8")
            said = ask([*self.check, *map(str, drafts)], XDG_RUNTIME_DIR=folder)
        ours = tuple(f"{draft}:" for draft in drafts) + tuple(f"{draft.name}:" for draft in drafts)
        lines = [line for line in (said.out + said.err).splitlines() if line.startswith(ours)]
        return [line.removeprefix(f"{folder}/") for line in lines if not line.endswith(": OK")]


class Job(msgspec.Struct, frozen=True):
    """What is to be run: a command, in which home, and the file under its data/logs that it logs to."""

    command: Sequence[str]
    home: Path
    logs: str

    @property
    def log(self) -> Path:
        return self.home / "data" / "logs" / self.logs


def launchd_unit(name: str, outcome: str, label: str, template: str, job: Job) -> Unit:
    """An agent of launchd, which takes up a changed file only if it does not have the old one."""
    path, domain = unit_folder("Darwin") / f"{label}.plist", f"gui/{os.getuid()}"
    out = ("launchctl", "bootout", f"{domain}/{label}")
    return Unit(
        name=name,
        outcome=outcome,
        files=(UnitFile(path, _as_plist(template, label, job)),),
        log=job.log,
        check=("plutil", "-lint"),
        clear=(out,),
        start=(("launchctl", "bootstrap", domain, str(path)),),
        stop=(out,),
        gone=(),
        query=("launchctl", "print", f"{domain}/{label}"),
    )


def systemd_unit(name: str, outcome: str, templates: Sequence[str], job: Job) -> Unit:
    """User units of systemd, named like their templates; the first is the one that is enabled."""
    systemctl, first, folder = ("systemctl", "--user"), templates[0], unit_folder("Linux")
    reload = (*systemctl, "daemon-reload")
    return Unit(
        name=name,
        outcome=outcome,
        files=tuple(UnitFile(folder / template, _as_unit(template, job)) for template in templates),
        log=job.log,
        check=("systemd-analyze", "--user", "verify"),
        clear=(),
        start=(reload, (*systemctl, "enable", first), (*systemctl, "restart", first)),
        stop=((*systemctl, "disable", "--now", first),),
        gone=(reload,),
        query=(*systemctl, "is-active", "--quiet", first),
    )


def _as_plist(template: str, label: str, job: Job) -> str:
    lines = "\n".join(f"    <string>{_xml(part)}</string>" for part in job.command)
    home = _xml(job.home)
    return _template(template).substitute(label=label, command=lines, home=home, folder=home, log=_xml(job.log))


def _as_unit(template: str, job: Job) -> str:
    program, *rest = job.command
    return _template(template).substitute(
        command=" ".join([_quoted(program), *(_quoted(part.replace("$", "$$")) for part in rest)]),
        environment=_quoted(f"NIGHTSCHOOL_HOME={job.home}"),
        folder=_specifiers(job.home),
        log=_specifiers(job.log),
    )


def _template(name: str) -> Template:
    return Template(shared("deploy", name).read_text(encoding="utf-8"))


def _xml(value: object) -> str:
    return escape(str(value), quote=False)


def _specifiers(value: object) -> str:
    return str(value).replace("%", "%%")


def _quoted(value: str) -> str:
    """As systemd reads a word back, whatever is in it."""
    return '"' + _specifiers(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
