"""What of the exploring agent's tools needs no program: reading and listing one folder within this process.

Owns how results read, and the limits on them; `distill.searching` does what grep and find do. Serves the tools by day
and, by night, whoever wants to know what a tool would say of a snapshot. Knows nothing of processes or models.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Annotated

import msgspec

from distill.commands import Command, check, confine
from distill.errors import RepositoryError, ToolError
from distill.opening import HEAD, open_inside
from distill.searching import find, grep

NOTHING = "(no output)"
ERROR = "error: "
FAILURES = (ToolError, RepositoryError, msgspec.MsgspecError, RecursionError, OSError, UnicodeError)
_MATCHED_LINE = re.compile(r"^(.*?):\d+:")
_COUNT = re.compile(r"-n?(\d{1,9})|--lines=(\d{1,9})")


class Limits(msgspec.Struct, frozen=True):
    """`seconds` of wall time and `cpu_seconds` of each command; `memory` bytes; `output` characters of each result;
    `collected` bytes read from a command before it is stopped; `file` bytes of the largest file read_file opens."""

    seconds: float = 10.0
    cpu_seconds: int = 10
    memory: int = 1 << 30
    output: int = 8000
    collected: int = 4 << 20
    file: int = 32 << 20
    lines: int = 400


class RunCommand(msgspec.Struct, forbid_unknown_fields=True):
    command: str
    args: list[str] = msgspec.field(default_factory=list)


class ReadFile(msgspec.Struct, forbid_unknown_fields=True):
    path: str
    start: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 1
    lines: Annotated[int, msgspec.Meta(ge=1)] = 40


class ListFiles(msgspec.Struct, forbid_unknown_fields=True):
    path: str = "."


class Reader:
    """Reads one folder; `top` is the folder around it by whose ways it is opened, itself where none is told. Raises
    RepositoryError where `root` is none, or not in `top`."""

    def __init__(self, root: Path, limits: Limits | None = None, top: Path | None = None) -> None:
        self.root = root.resolve()
        self.top = top or self.root
        self.limits = limits or Limits()
        if not self.root.is_dir() or not self.root.is_relative_to(self.top):
            raise RepositoryError(f"There is no folder {root}.")

    def answer(self, name: str, arguments: str) -> str | None:
        """What a tool says to arguments in JSON, as `Toolbox.call` does; None where it would have to run a program."""
        if name != "run_command":
            return self.say(name, arguments)
        try:
            output = self.run(command_of(self.root, arguments))
            return None if output is None else self.shorten(output)
        except FAILURES as error:
            return self.failure(name, error)

    def say(self, name: str, arguments: str) -> str:
        """What one of the tools that run no program says; a failure that a model can bring about is a text, too."""
        raw = arguments.strip() or "{}"
        try:
            if name == "read_file":
                return self.shorten(self.read(msgspec.json.decode(raw, type=ReadFile)))
            if name == "list_files":
                return self.shorten(self.list(msgspec.json.decode(raw, type=ListFiles)))
            raise ToolError(f"there is no tool {name!r}")
        except FAILURES as error:
            return self.failure(name, error)

    def failure(self, name: str, error: Exception) -> str:
        """One of FAILURES as a text for the model; it begins with "error:"."""
        if isinstance(error, ToolError):
            return ERROR + self.shorten(str(error))
        if isinstance(error, (msgspec.MsgspecError, RecursionError)):
            return ERROR + self.shorten(f"wrong arguments for {name}: {error}")
        return ERROR + self.shorten(f"{name} failed: {error}")

    def read(self, request: ReadFile) -> str:
        """Lines of a file with their numbers. Raises ToolError with a sentence for the model, OSError."""
        target = confine(self.root, request.path)
        if target.is_dir():
            raise ToolError(f"{request.path} is a directory")
        stop = request.start - 1 + min(request.lines, self.limits.lines)
        with os.fdopen(open_inside(self.top, target), encoding="utf-8", errors="replace") as file:
            if os.fstat(file.fileno()).st_size > self.limits.file:
                raise ToolError(f"{request.path} is too large to read")
            if b"\0" in bytes(file.buffer.read(HEAD)):
                raise ToolError(f"{request.path} is a binary file")
            file.seek(0)
            wanted = [*islice(file, request.start - 1, stop)]
        numbered = (f"{number}: {line.rstrip()}" for number, line in enumerate(wanted, request.start))
        return "\n".join(numbered) or NOTHING

    def list(self, request: ListFiles) -> str:
        """A folder's entries by name. Raises ToolError with a sentence for the model, OSError."""
        target = confine(self.root, request.path)
        if not target.is_dir():
            raise ToolError(f"{request.path} is not a directory")
        descriptor = open_inside(self.top, target)
        try:  # where a link leads to is not told: it may be anywhere
            with os.scandir(descriptor) as entries:
                names = [entry.name + "/" * entry.is_dir(follow_symlinks=False) for entry in entries]
        finally:
            os.close(descriptor)
        return "\n".join(sorted(name for name in names if name.rstrip("/") != ".git")) or NOTHING

    def run(self, command: Command) -> str | None:
        """What a checked command prints; None where only the program itself knows."""
        try:
            if sum((self.root / path).stat().st_size for path in command.paths) > self.limits.file:
                return None
            output = _PRINTS[command.program](self.root, command)
        except OSError:  # each program says it in words of its own
            return None
        if output is None or len(output) >= self.limits.collected:
            return None
        return steady(command, output) or NOTHING

    def shorten(self, text: str) -> str:
        """The beginning of a text that is too long, with a line that says how much is missing; always one that can be
        sent, whatever bytes a file's name is made of."""
        text = text.encode(errors="surrogateescape").decode(errors="replace")
        excess = len(text) - self.limits.output
        if excess <= 0:
            return text
        kept = text[: self.limits.output]
        kept = kept[: kept.rfind("\n")] if "\n" in kept else kept
        return f"{kept}\n[{len(text) - len(kept)} more characters not shown]"


def command_of(root: Path, arguments: str) -> Command:
    """The arguments of run_command as a command that may be run. Raises ToolError, msgspec.MsgspecError."""
    wanted = msgspec.json.decode(arguments.strip() or "{}", type=RunCommand)
    return check(root, wanted.command, wanted.args)


def steady(command: Command, output: str) -> str:
    """The same text on every filesystem and platform: in the order of the paths, which come without './'."""
    lines = [line.removeprefix("./") for line in output.rstrip("\n").split("\n")]
    if command.program == "wc":
        lines = [line.strip() for line in lines]
    if command.program == "find":
        lines = sorted(line for line in lines if line != ".git" and not line.startswith(".git/"))
    if command.program == "grep" and command.recursive:
        lines = _by_path(lines, command.context)
    return "\n".join(lines)


def _by_path(lines: list[str], context: bool) -> list[str]:
    if not context:
        return sorted(lines, key=lambda line: line.split(":", 1)[0])
    groups = [group.strip("\n") for group in ("\n" + "\n".join(lines) + "\n").split("\n--\n")]
    return "\n--\n".join(sorted(groups, key=_path_of)).split("\n")


def _path_of(group: str) -> str:
    matched = (match for line in group.splitlines() if (match := _MATCHED_LINE.match(line)))
    first = next(matched, None)
    return first[1] if first else group


def _cat(root: Path, command: Command) -> str | None:
    if command.argv != command.paths:
        return None
    return "".join(_text(root, path) for path in command.paths)


def _head(root: Path, command: Command) -> str | None:
    count = _lines_wanted(command)
    if count is None:
        return None
    with (root / command.paths[0]).open("rb") as file:
        return b"".join(islice(file, count)).decode(errors="replace")


def _tail(root: Path, command: Command) -> str | None:
    count = _lines_wanted(command)
    if count is None or any(arg.startswith(("+", "-n+")) for arg in command.argv):
        return None
    with (root / command.paths[0]).open("rb") as file:
        return b"".join(deque(file, count)).decode(errors="replace")


def _lines_wanted(command: Command) -> int | None:
    """How many lines of one file head or tail show; None for any other use of them."""
    options = [arg for arg in command.argv if arg not in command.paths]
    if len(command.paths) != 1 or len(options) > 2:
        return None
    if not options:
        return 10
    given = _COUNT.fullmatch("".join(options))
    return int(given[1] or given[2]) if given else None


def _wc(root: Path, command: Command) -> str | None:
    if len(command.paths) != 1 or set(command.argv) - set(command.paths) != {"-l"}:
        return None
    path = command.paths[0]
    with (root / path).open("rb") as file:
        count = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 16), b""))
    return f"{count} {path}\n"


def _ls(root: Path, command: Command) -> str | None:
    if len(command.paths) > 1 or command.argv != command.paths:
        return None
    target = root / (command.paths[0] if command.paths else ".")
    if not target.is_dir():
        return f"{command.paths[0]}\n"
    names = sorted(os.fsencode(entry.name) for entry in target.iterdir() if not entry.name.startswith("."))
    return "".join(name.decode(errors="replace") + "\n" for name in names)


def _text(root: Path, path: str) -> str:
    return (root / path).read_bytes().decode(errors="replace")


_PRINTS: dict[str, Callable[[Path, Command], str | None]] = {
    "cat": _cat,
    "head": _head,
    "tail": _tail,
    "wc": _wc,
    "ls": _ls,
    "grep": grep,
    "find": find,
}
