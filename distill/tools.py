"""The exploring agent's three tools: run_command, read_file, list_files. Read-only and confined to one repository.

Owns running what `distill.commands` allows, with limits on time, output, memory and processes; `distill.reading` does
what needs no program. A toolbox may offer the tools of another agent's vocabulary: each of their calls is put as one of
the three and done as such. Knows nothing of models or of HTTP. There is no shell anywhere: a command is an argv list
from start to end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from distill.commands import Command, confine
from distill.errors import ToolError
from distill.reading import ERROR, FAILURES, NOTHING, Limits, Reader, command_of, steady
from router.chat import FunctionSpec, Tool

if TYPE_CHECKING:
    from distill.vocabularies import Vocabulary

__all__ = ["ERROR", "NOTHING", "SPECS", "Limits", "Toolbox"]

_PROGRAM_FOLDERS = os.pathsep.join(["/usr/bin", "/bin", "/usr/local/bin", "/run/current-system/sw/bin"])
_COMPLAINT_BYTES = 65536

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
    """The tools on one repository; `version` names its files' content, where somebody knows it. Raises RepositoryError
    where `root` is not a folder. `vocabulary` is whose tools it offers; None: all of the exploring agent's own."""

    def __init__(self, root: Path, limits: Limits | None = None, version: str = "") -> None:
        self.version = version
        self.vocabulary: Vocabulary | None = None
        self._withheld: frozenset[str] = frozenset()
        self._reader = Reader(root, limits)
        self.root = self._reader.root
        self.limits = self._reader.limits

    @property
    def specs(self) -> list[Tool]:
        return SPECS if self.vocabulary is None else self.vocabulary.offered(self._withheld)

    def offering(self, vocabulary: Vocabulary, withheld: Collection[str] = ()) -> Toolbox:
        """The same folder, limits and confinement behind a vocabulary's tools, but for those that mean one of the three
        that are `withheld`."""
        made = Toolbox(self.root, self.limits, self.version)
        made.vocabulary, made._withheld = vocabulary, frozenset(withheld)
        return made

    async def call(self, name: str, arguments: str) -> str:
        """What the tool says. Whatever the model wrote, this returns a text; a failure is said as the vocabulary says
        one, among the three with "error:" before it."""
        if self.vocabulary is None:
            return await self._do(name, arguments)
        try:
            return await self._translated(self.vocabulary, name, arguments)
        except FAILURES as error:
            return self.vocabulary.failure(self._reader.failure(name, error))

    async def _translated(self, vocabulary: Vocabulary, name: str, arguments: str) -> str:
        """Raises ToolError, msgspec.MsgspecError, RecursionError."""
        if name not in {tool.function.name for tool in self.specs}:
            raise ToolError(f"there is no tool {name!r}")
        given = msgspec.json.decode(arguments.strip() or "{}", type=dict[str, Any])
        wanted = vocabulary.wanted(name, given)
        call, place = wanted.call, self
        if call.name in self._withheld:
            raise ToolError(f"{name} cannot do that here")
        if wanted.folder != ".":
            place = Toolbox(_folder(self.root, wanted.folder), self.limits)
        result = await place._do(call.name, msgspec.json.encode(call.arguments).decode())
        return vocabulary.printed(name, wanted, result)

    async def _do(self, name: str, arguments: str) -> str:
        try:
            if name == "run_command":
                return self._reader.shorten(await self._run(command_of(self.root, arguments)))
        except FAILURES as error:
            return self._reader.failure(name, error)
        return await asyncio.to_thread(self._reader.say, name, arguments)

    async def _run(self, command: Command) -> str:
        status, output, complaint = await self._execute(_argv(command))
        if status not in (0, 1) or (complaint and not output):
            first = complaint.splitlines()[0] if complaint else f"{command.program} ended with status {status}"
            raise ToolError(first)
        return steady(command, output) or NOTHING

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


def _folder(root: Path, path: str) -> Path:
    folder = confine(root, path)
    if not folder.is_dir():
        raise ToolError(f"{path} is not a directory")
    return folder


def _argv(command: Command) -> list[str]:
    path = shutil.which(command.program, path=_PROGRAM_FOLDERS)
    if path is None:
        raise ToolError(f"{command.program} is not installed")
    return [path, *command.words[1:]]


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
