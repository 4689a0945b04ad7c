"""A line in the user's own crontab, for machines without launchd and systemd.

Owns that line, how cron reads it, and that all other lines stay as they are. Knows nothing of what it runs.
"""

from __future__ import annotations

import shlex

import msgspec

from gateway.errors import StartError
from gateway.processes.calling import ask
from gateway.processes.unit import Job

MARK = "# nightschool schedule"
_NONE = ("no crontab", "no such file")  # what `crontab -l` says where there is none
_PLACE = "your crontab"


class Crontab(msgspec.Struct, frozen=True):
    """The line as it is meant to be, at the end of which it is marked as ours."""

    job: Job

    @property
    def line(self) -> str:
        """Raises StartError for what no crontab can hold."""
        home, job = self.job.home, self.job
        command = " ".join(map(_quoted, job.command))
        variable = f"NIGHTSCHOOL_HOME={_quoted(home)}"
        line = f"*/30 * * * * cd {_quoted(home)} && {variable} {command} >> {_quoted(job.log)} 2>&1 {MARK}"
        if "\n" in line:
            raise StartError("a path with a line break in it cannot stand in a crontab: choose another")
        return line

    def install(self) -> list[str]:
        """Put the line into the crontab; the lines to tell. Raises StartError with what to put there yourself."""
        line = self.line
        try:
            ours, others = _read()
        except StartError as error:
            raise StartError(f"{error}; nothing was changed: put this line into it yourself: {line}") from error
        self.job.log.parent.mkdir(parents=True, exist_ok=True)
        logs = f"Every half hour it asks whether a night is due; it logs to {self.job.log}"
        if ours == [line]:
            return [f"The line in {_PLACE} is as it should be", logs]
        if trouble := _write([*others, line]):
            raise StartError(f"{_PLACE} was not changed ({trouble}): put this line into it yourself: {line}")
        return [f"Wrote a line into {_PLACE}", logs]

    def remove(self) -> list[str]:
        """Take the line away; the lines to tell. Raises StartError."""
        ours, others = _read()
        if not ours:
            return [f"There is no line of ours in {_PLACE}: nothing to remove"]
        if trouble := _write(others):
            raise StartError(f"{_PLACE} was not changed ({trouble}): take the line with '{MARK}' out of it yourself")
        return [f"Removed the line from {_PLACE}"]

    def standing(self) -> tuple[bool, list[str]]:
        """Whether the line is there, and the lines to tell."""
        try:
            ours, _ = _read()
        except StartError as error:
            return False, [str(error)]
        if not ours:
            return False, [f"Not installed: there is no line of ours in {_PLACE}"]
        return True, [f"Installed: a line in {_PLACE}"]

    def shown(self) -> list[tuple[str, str]]:
        return [(_PLACE, f"{self.line}\n")]


def _read() -> tuple[list[str], list[str]]:
    """The lines of ours and those of others. Raises StartError."""
    said = ask(("crontab", "-l"))
    if said.trouble and not any(none in said.trouble.lower() for none in _NONE):
        raise StartError(f"{_PLACE} cannot be read ({said.trouble})")
    lines = [] if said.trouble else said.out.removesuffix("\n").split("\n")
    lines = [] if lines == [""] else lines
    return [line for line in lines if line.endswith(MARK)], [line for line in lines if not line.endswith(MARK)]


def _write(lines: list[str]) -> str:
    """Replace the crontab; what went wrong, empty if nothing did."""
    return ask(("crontab", "-"), "".join(f"{line}\n" for line in lines)).trouble


def _quoted(value: object) -> str:
    """As the shell reads a word back after cron, which takes % for the end of the line unless \\ is before it. The
    quotes between keep that \\ apart from one of the word's own."""
    return shlex.quote(str(value)).replace("%", "''\\%")
