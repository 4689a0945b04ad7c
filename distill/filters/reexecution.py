"""Re-execution: the results of read-only calls against what a snapshot of the files gives. No shell and no program.

Owns which calls are read again: those of our own tools by their own implementation, and of other agents' tools those
that read a file, by the numbered lines in their results, and plain commands, which `distill.reading` does without a
program. A call that cannot be read again is noted and proves nothing either way.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from distill.commands import PROGRAMS, check, confine, is_binary
from distill.errors import RepositoryError, ToolError
from distill.filters.reasons import Finding
from distill.filters.told import Told
from distill.reading import NOTHING, Reader
from distill.results import failed, found_nothing, output_of
from distill.tools import SPECS
from distill.trajectory import Run, Step, Trajectory
from distill.workspace import Workspace, workspace_of
from router.chat import Tool, ToolCall

_OURS = {tool.function.name: tool for tool in SPECS}
_READS = frozenset({"read", "read_file", "readfile", "view", "view_file", "open_file", "cat"})
_HARMLESS = _READS | {"grep", "glob", "ls", "list", "list_files", "list_dir", "search", "search_files", "find"}
_SHELLS = frozenset({"bash", "shell", "exec_command", "run_shell_command", "run_terminal_cmd", "execute_command"})
_COMMANDS = ("command", "cmd")
_FOLDERS = ("workdir", "cwd", "directory")
_SHELL_SIGNS = re.compile(r"[|;&<>$`*?~#\n\\()\[\]{}!]")
_CUT = re.compile(r"truncated|omitted|\.\.\.|…")
_PATHS = ("file_path", "filePath", "path", "filename", "target_file")
_EDGE = 400  # characters at either end of a result where an agent says that it cut it
_LONGEST = 1000  # characters of a command
_LARGEST = 4 << 20  # bytes of a file that is read again
_NUMBERED = re.compile(r"\s{0,10}(\d{1,7})(?:→|\t|: |\| )(.*)")


def is_ours(tools: Sequence[Tool]) -> bool:
    """Whether the tools that were offered are those of the exploring agent."""
    return bool(tools) and all(_same(tool) for tool in tools)


def rerun(trajectory: Trajectory, runs: Sequence[Run], told: Told) -> Iterator[Finding]:
    """Each result is what the snapshot gives."""
    workspace = workspace_of(trajectory.last.request)
    reader = _reader(told.snapshot(workspace) if told.snapshot is not None else None)
    alive = {step.at: run for run in runs for step in run.steps}
    touched = False  # by a call that may have changed the files
    for step in trajectory.steps:
        for call in step.calls:
            if step.at in alive:
                yield from _compare(step, call, reader, workspace, alive[step.at], touched)
            touched = touched or not _is_harmless(step, call)


def _compare(
    step: Step, call: ToolCall, reader: Reader | None, workspace: Workspace, run: Run, touched: bool
) -> Iterator[Finding]:
    name, result = call.function.name, step.result_of(call)
    if reader is None or result is None:
        yield Finding("rerun", "noted", "not_rerun", step.at, f"{name}: no snapshot")
        return
    same = _again(step, call, result, reader, workspace)
    if same is None:
        yield Finding("rerun", "noted", "not_rerun", step.at, f"{name}: needs its own program")
    elif not same and (touched or (step.trace is not None and step.trace.redacted)):
        yield Finding("rerun", "noted", "not_rerun", step.at, f"{name}: changed or redacted since")
    elif not same:
        yield Finding("rerun", "dropped", "stale_result", run.end - 1, f"{name} of message {step.at}")


def _again(step: Step, call: ToolCall, result: str, reader: Reader, workspace: Workspace) -> bool | None:
    """Whether the call would give the same result once more; None where that cannot be said."""
    if _is_ours(step, call):
        given = reader.answer(call.function.name, call.function.arguments)
        return None if given is None else given == result
    tool = call.function.name.lower()
    if failed(result):
        return None
    if tool in _SHELLS:
        return _printed_again(call, result, reader, workspace)
    return _read_again(call, result, reader, workspace) if tool in _READS else None


def _read_again(call: ToolCall, result: str, reader: Reader, workspace: Workspace) -> bool | None:
    """Whether a file still has the numbered lines that were shown of it."""
    target = _target(call, reader.root, workspace)
    numbered = [found for line in result.splitlines() if (found := _NUMBERED.fullmatch(line))]
    if target is None or not numbered:
        return None
    try:
        lines = target.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    shown = ((int(found[1]), found[2].rstrip()) for found in numbered)
    return all(0 < number <= len(lines) and lines[number - 1].rstrip() == text for number, text in shown)


def _printed_again(call: ToolCall, result: str, reader: Reader, workspace: Workspace) -> bool | None:
    """Whether a plain command prints the same lines, in whatever order a file system has them."""
    arguments = _arguments(call)
    elsewhere = [arguments[key] for key in _FOLDERS if arguments.get(key) not in (None, "", ".", workspace.folder)]
    words = _plain_words(call)
    if not words or elsewhere:
        return None
    try:
        given = reader.run(check(reader.root, words[0], words[1:]))
    except ToolError:
        return None
    shown = output_of(result)
    if given is None or _CUT.search(shown[-_EDGE:]) or _CUT.search(shown[:_EDGE]):
        return None
    mine, theirs = (sorted(text.removeprefix("./").strip() for text in said.splitlines()) for said in (given, shown))
    return mine == theirs or (given == NOTHING and found_nothing(result))


def _plain_words(call: ToolCall) -> list[str]:
    """The words of a command in which a shell has nothing to do but to part them; none where it has."""
    arguments = _arguments(call)
    line = next((arguments[key] for key in _COMMANDS if isinstance(arguments.get(key), str)), "")
    if len(line) > _LONGEST or _SHELL_SIGNS.search(line):
        return []
    try:
        return shlex.split(line)
    except ValueError:
        return []


def _is_harmless(step: Step, call: ToolCall) -> bool:
    """Whether a call changes no file."""
    tool = call.function.name.lower()
    plain = _plain_words(call) if tool in _SHELLS else []
    return _is_ours(step, call) or tool in _HARMLESS or plain[:1] in [[program] for program in PROGRAMS]


def _target(call: ToolCall, root: Path, workspace: Workspace) -> Path | None:
    """The snapshot's file that a call means by a path inside of the workspace."""
    arguments = _arguments(call)
    try:
        named = next(arguments[key] for key in _PATHS if key in arguments)
        path = PurePosixPath(named)
        inside = path.relative_to(workspace.folder) if path.is_absolute() else path
        target = confine(root, str(inside))
        return None if target.is_dir() or is_binary(target) or target.stat().st_size > _LARGEST else target
    except (StopIteration, TypeError, ValueError, OSError, ToolError):
        return None


def _arguments(call: ToolCall) -> dict[str, Any]:
    try:
        decoded = msgspec.json.decode(call.function.arguments)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return {}
    return decoded if isinstance(decoded, dict) else {}


def _reader(folder: Path | None) -> Reader | None:
    try:
        return None if folder is None else Reader(folder)
    except RepositoryError:
        return None


def _is_ours(step: Step, call: ToolCall) -> bool:
    tool = step.tools.get(call.function.name)
    return tool is not None and _same(tool)


def _same(tool: Tool) -> bool:
    known = _OURS.get(tool.function.name)
    return known is not None and known.function.parameters == tool.function.parameters
