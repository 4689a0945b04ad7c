"""What a line of a shell prints of a snapshot once more, against what an agent was told that it printed.

Owns running lines that only read, where there is a confinement, and what a difference proves. Plain commands, which
need no program, are re-execution's own.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

from distill.commands import Command
from distill.confinement import Confined, Printed
from distill.filters.calls import arguments_of, line_of
from distill.lines import Line, plain_settings, reading_line
from distill.reading import NOTHING, Reader, steady
from distill.results import found_nothing, output_of, says_cut
from distill.workspace import Workspace
from router.chat import ToolCall

_FOLDERS = ("workdir", "cwd", "directory", "working_directory")


@dataclass(frozen=True)
class Place:
    """Where a conversation's lines are run again. `whole`: the agent had no other files before it."""

    reader: Reader
    confined: Confined | None
    workspace: Workspace
    whole: bool

    @property
    def believed(self) -> str:
        """The folder that lines may name: where a conversation has it, if they find it there."""
        wanted = self.workspace.folder
        found = wanted and self.confined is not None and self.confined.place(self.reader.root, wanted) == wanted
        return wanted if found else ""


class Again(NamedTuple):
    """What a call gives once more, as far as it is compared, and whether it is what it gave."""

    given: str
    same: bool


def line_again(call: ToolCall, result: str, place: Place) -> Again | None:
    """What a shell's line prints in the confinement, in whatever order; None where nothing follows from it."""
    below = folder_below(call, place.workspace)
    known = reading_line(line_of(call), place.believed)
    if below is None or known is None or (printed := _run(known, below, place)) is None:
        return None
    if _same(printed.output.rstrip("\n") or NOTHING, result):
        return Again(printed.output, same=True) if printed.output or not printed.complaint else None
    if printed.complaint and _same(printed.output + printed.complaint, result):
        return Again(printed.output, same=True)
    if says_cut(result) or not _is_sure(known, printed, place):
        return None
    return Again(printed.output, same=False)


def command_again(command: Command, place: Place) -> str | None:
    """What a checked command of ours prints, as our tool shows it; None where that cannot be said."""
    line = reading_line(shlex.join(command.words), "")
    # our tools run programs in no locale
    printed = None if line is None else _run(line, ".", place, before="LC_ALL=C ")
    if printed is None or printed.complaint or printed.status not in (0, 1):
        return None
    return place.reader.shorten(steady(command, printed.output) or NOTHING)


def folder_below(call: ToolCall, workspace: Workspace) -> str | None:
    """The folder that a call is run in, below the workspace's; None where it is not below."""
    arguments = arguments_of(call)
    told = [arguments[key] for key in _FOLDERS if arguments.get(key) not in (None, "")]
    if not all(isinstance(folder, str) for folder in told) or len(told) > 1:
        return None
    path = PurePosixPath(told[0] if told else ".")
    if path.is_absolute():
        if not workspace.folder or not path.is_relative_to(workspace.folder):
            return None
        path = path.relative_to(workspace.folder)
    return None if ".." in path.parts else str(path)


def _run(line: Line, below: str, place: Place, before: str = "") -> Printed | None:
    root = place.reader.root
    if place.confined is None or not line.steady or (line.git and not plain_settings(root)):
        return None
    return place.confined.printed(root, place.workspace.folder, below, before + line.text)


def _is_sure(line: Line, printed: Printed, place: Place) -> bool:
    """Whether other output means other files: not where something failed, or the agent may have had files besides."""
    known = not line.ignoring or (place.reader.root / ".git").exists()
    return place.whole and line.certain and known and not printed.complaint and printed.status in (0, 1)


def _same(given: str, result: str) -> bool:
    shown = output_of(result)
    mine, theirs = (sorted(text.removeprefix("./").strip() for text in said.splitlines()) for said in (given, shown))
    return mine == theirs or (given == NOTHING and found_nothing(result))
