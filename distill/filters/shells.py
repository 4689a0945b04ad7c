"""What a line of a shell prints of a snapshot once more, against what an agent was told that it printed.

Owns which of the ways is taken: plain commands are done by `distill.reading` without a program; other lines that only
read are run, where there is a confinement; and what a difference proves.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import msgspec

from distill.commands import Command, check
from distill.confinement import Confined, Printed
from distill.errors import ToolError
from distill.lines import Line, plain_settings, reading_line
from distill.reading import NOTHING, Reader, steady
from distill.results import found_nothing, output_of
from distill.workspace import Workspace
from router.chat import ToolCall

SHELLS = frozenset(
    ["bash", "shell", "exec_command", "local_shell", "run_shell_command", "run_terminal_cmd", "execute_command"]
)
_COMMANDS = ("command", "cmd")
_FOLDERS = ("workdir", "cwd", "directory", "working_directory")
_THROUGH_SHELL = re.compile(r"(?:/bin/|/usr/bin/)?(?:sh|bash|zsh)")
_SIGNS = re.compile(r"[|;&<>$`*?~#\n\\()\[\]{}!]")
_CUT = re.compile(r"truncated|omitted|\.\.\.|…")
_EDGE = 400  # characters at either end of a result where an agent says that it cut it
_LONGEST = 1000  # characters of a line


@dataclass(frozen=True)
class Place:
    """Where a conversation's lines are run again."""

    reader: Reader
    confined: Confined | None
    workspace: Workspace

    @property
    def believed(self) -> str:
        """The folder that lines may name: where a conversation has it, if they find it there."""
        wanted = self.workspace.folder
        found = wanted and self.confined is not None and self.confined.place(self.reader.root, wanted) == wanted
        return wanted if found else ""


def arguments_of(call: ToolCall) -> dict[str, Any]:
    """A call's arguments; none where they are no JSON object."""
    try:
        decoded = msgspec.json.decode(call.function.arguments)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return {}
    return decoded if isinstance(decoded, dict) else {}


def only_reads(call: ToolCall, workspace: Workspace) -> bool:
    """Whether a shell's call changes no file."""
    return reading_line(_line_of(call), workspace.folder) is not None


def printed_again(call: ToolCall, result: str, place: Place) -> bool | None:
    """Whether a shell's call prints the same lines, in whatever order; None where that cannot be said."""
    below = _below(call, place.workspace)
    if below is None:
        return None
    line = _line_of(call)
    plain = _without_program(line, place.reader) if below == "." else None
    if plain is not None:
        return _same(plain, result) or (None if _is_cut(result, _EDGE) else False)
    known = reading_line(line, place.believed)
    if known is None or (printed := _run(known, below, place)) is None:
        return None
    if _same(printed.output.rstrip("\n") or NOTHING, result):
        return True if printed.output or not printed.complaint else None
    if printed.complaint and _same(printed.output + printed.complaint, result):
        return True
    return False if _is_sure(known, printed, place) and not _is_cut(result, len(result)) else None


def commanded_again(command: Command, place: Place) -> str | None:
    """What a checked command of ours prints, as our tool shows it; None where that cannot be said."""
    line = reading_line(shlex.join(command.words), "")
    # our tools run programs in no locale
    printed = None if line is None else _run(line, ".", place, before="LC_ALL=C ")
    if printed is None or printed.complaint or printed.status not in (0, 1):
        return None
    return place.reader.shorten(steady(command, printed.output) or NOTHING)


def _run(line: Line, below: str, place: Place, before: str = "") -> Printed | None:
    root = place.reader.root
    if place.confined is None or not line.steady or (line.git and not plain_settings(root)):
        return None
    return place.confined.printed(root, place.workspace.folder, below, before + line.text)


def _is_sure(line: Line, printed: Printed, place: Place) -> bool:
    """Whether other output means other files: not where something failed, or nobody knows what is ignored."""
    known = not line.ignoring or (place.reader.root / ".git").exists()
    return line.certain and known and not printed.complaint and printed.status in (0, 1)


def _same(given: str, result: str) -> bool:
    shown = output_of(result)
    mine, theirs = (sorted(text.removeprefix("./").strip() for text in said.splitlines()) for said in (given, shown))
    return mine == theirs or (given == NOTHING and found_nothing(result))


def _is_cut(result: str, edge: int) -> bool:
    """Whether an agent says, within the edge, that it left something out."""
    shown = output_of(result)
    return bool(_CUT.search(shown[-edge:]) or _CUT.search(shown[:edge]))


def _without_program(line: str, reader: Reader) -> str | None:
    """What a plain command prints, by reading alone."""
    if len(line) > _LONGEST or _SIGNS.search(line):
        return None
    try:
        words = shlex.split(line)
        return reader.run(check(reader.root, words[0], words[1:])) if words else None
    except (ValueError, ToolError):
        return None


def _line_of(call: ToolCall) -> str:
    """The line that a call has run, also where it comes as words, with or without a shell before them."""
    arguments = arguments_of(call)
    given = next((arguments[key] for key in _COMMANDS if key in arguments), "")
    if isinstance(given, list) and all(isinstance(word, str) for word in given):
        through = len(given) == 3 and _THROUGH_SHELL.fullmatch(given[0]) and given[1] in ("-c", "-lc")
        return str(given[2]) if through else shlex.join(given)
    return given if isinstance(given, str) else ""


def _below(call: ToolCall, workspace: Workspace) -> str | None:
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
