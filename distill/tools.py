"""The exploring agent's three tools: run_command, read_file, list_files. Read-only and confined to one repository.

Owns running what `distill.commands` allows, with limits on time, output, memory and processes, and how results read.
Knows nothing of models or of HTTP. There is no shell anywhere: a command is an argv list from start to end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import msgspec

from distill.commands import Command, check, confine, is_binary
from distill.errors import RepositoryError, ToolError
from router.chat import FunctionSpec, Tool

NOTHING = "(no output)"
ERROR = "error: "
_PROGRAM_FOLDERS = os.pathsep.join(["/usr/bin", "/bin", "/usr/local/bin", "/run/current-system/sw/bin"])
_COMPLAINT_BYTES = 65536
_MATCHED_LINE = re.compile(r"^(.*?):\d+:")

# Limits are set by a child of the child that then becomes the program: `preexec_fn` would run Python in a fork of a
# process with threads, and a shell's `ulimit` would be a shell. Soft and hard limit are lowered alike; what the
# platform cannot limit (macOS: address space) is left to the time and output limits.
_LAUNCHER = """\
import os, resource, sys
names = ("CPU", "AS", "NPROC", "FSIZE", "CORE", "NOFILE")
for name, value in zip(names, sys.argv[1].split(",")):
    try:
        resource.setrlimit(getattr(resource, "RLIMIT_" + name), (int(value), int(value)))
    except (ValueError, OSError):
        pass
os.execve(sys.argv[2], [os.path.basename(sys.argv[2]), *sys.argv[3:]], {})
"""


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


def _spec(name: str, description: str, properties: dict[str, Any], required: list[str]) -> Tool:
    parameters = {"type": "object", "properties": properties, "required": required}
    return Tool(FunctionSpec(name, description, parameters))


# Every request carries these, so each word costs prompt tokens: names say what they can.
SPECS = [
    _spec(
        "run_command",
        "Run grep, find, ls, cat, head, tail or wc.",
        {"command": {"type": "string"}, "args": {"type": "array", "items": {"type": "string"}}},
        ["command", "args"],
    ),
    _spec(
        "read_file",
        "Read lines of a file.",
        {"path": {"type": "string"}, "start": {"type": "integer"}, "lines": {"type": "integer"}},
        ["path"],
    ),
    _spec("list_files", "List a directory.", {"path": {"type": "string"}}, []),
]


class Toolbox:
    """The tools on one repository. Raises RepositoryError where `root` is not a folder."""

    def __init__(self, root: Path, limits: Limits | None = None) -> None:
        self.root = root.resolve()
        self.limits = limits or Limits()
        if not self.root.is_dir():
            raise RepositoryError(f"There is no folder {root}.")

    @property
    def specs(self) -> list[Tool]:
        return SPECS

    async def call(self, name: str, arguments: str) -> str:
        """What the tool says. Whatever the model wrote, this returns a text; a failure begins with "error:"."""
        try:
            return self._shorten(await self._dispatch(name, arguments))
        except ToolError as refusal:
            return ERROR + self._shorten(str(refusal))
        except (msgspec.MsgspecError, RecursionError) as error:
            return ERROR + self._shorten(f"wrong arguments for {name}: {error}")
        except (OSError, UnicodeError) as error:
            return ERROR + self._shorten(f"{name} failed: {error}")

    async def _dispatch(self, name: str, arguments: str) -> str:
        raw = arguments.strip() or "{}"
        if name == "run_command":
            command = msgspec.json.decode(raw, type=RunCommand)
            return await self._run(check(self.root, command.command, command.args))
        if name == "read_file":
            return await asyncio.to_thread(self._read, msgspec.json.decode(raw, type=ReadFile))
        if name == "list_files":
            return await asyncio.to_thread(self._list, msgspec.json.decode(raw, type=ListFiles))
        raise ToolError(f"there is no tool {name!r}")

    def _read(self, request: ReadFile) -> str:
        target = confine(self.root, request.path)
        if target.is_dir():
            raise ToolError(f"{request.path} is a directory")
        if target.stat().st_size > self.limits.file:
            raise ToolError(f"{request.path} is too large to read")
        if is_binary(target):
            raise ToolError(f"{request.path} is a binary file")
        stop = request.start - 1 + min(request.lines, self.limits.lines)
        with target.open(encoding="utf-8", errors="replace") as file:
            wanted = list(islice(file, request.start - 1, stop))
        numbered = (f"{number}: {line.rstrip()}" for number, line in enumerate(wanted, request.start))
        return "\n".join(numbered) or NOTHING

    def _list(self, request: ListFiles) -> str:
        target = confine(self.root, request.path)
        if not target.is_dir():
            raise ToolError(f"{request.path} is not a directory")
        entries = (entry.name + "/" * entry.is_dir() for entry in target.iterdir() if entry.name != ".git")
        return "\n".join(sorted(entries)) or NOTHING

    async def _run(self, command: Command) -> str:
        status, output, complaint = await self._execute(_argv(command))
        if status not in (0, 1) or (complaint and not output):
            first = complaint.splitlines()[0] if complaint else f"{command.program} ended with status {status}"
            raise ToolError(first)
        return _steady(command, output) or NOTHING

    async def _execute(self, argv: list[str]) -> tuple[int, str, str]:
        limits = self.limits
        bounds = f"{limits.cpu_seconds},{limits.memory},0,0,0,64"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-c", _LAUNCHER, bounds, *argv),
            cwd=self.root,
            env={},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            async with asyncio.timeout(limits.seconds):
                output, complaint = await asyncio.gather(
                    _collect(process, process.stdout, limits.collected),
                    _collect(process, process.stderr, _COMPLAINT_BYTES),
                )
                if len(output) >= limits.collected or len(complaint) >= _COMPLAINT_BYTES:
                    raise ToolError("too much output; ask for less")
                status = await process.wait()
        except TimeoutError:
            raise ToolError(f"took longer than {limits.seconds:g} s") from None
        finally:
            await _end(process)
        return status, output.decode(errors="replace"), complaint.decode(errors="replace")

    def _shorten(self, text: str) -> str:
        """The beginning of a text that is too long, with a line that says how much is missing."""
        excess = len(text) - self.limits.output
        if excess <= 0:
            return text
        kept = text[: self.limits.output]
        kept = kept[: kept.rfind("\n")] if "\n" in kept else kept
        return f"{kept}\n[{len(text) - len(kept)} more characters not shown]"


def _argv(command: Command) -> list[str]:
    path = shutil.which(command.program, path=_PROGRAM_FOLDERS)
    if path is None:
        raise ToolError(f"{command.program} is not installed")
    # binary files are passed over on every platform alike
    extra = ["-I"] if command.program == "grep" else []
    if extra and command.recursive:
        extra.append("--exclude-dir=.git")
    return [path, *extra, *command.argv]


async def _collect(process: asyncio.subprocess.Process, stream: asyncio.StreamReader, limit: int) -> bytes:
    """At most `limit` bytes; a command that writes as much is ended."""
    parts: list[bytes] = []
    size = 0
    while size < limit and (part := await stream.read(min(65536, limit - size))):
        parts.append(part)
        size += len(part)
    if size >= limit:
        _kill(process)
    return b"".join(parts)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        _kill(process)
    await process.communicate()  # what was left unread, so that the pipes close


def _kill(process: asyncio.subprocess.Process) -> None:
    """Ends the command's whole process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _steady(command: Command, output: str) -> str:
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
