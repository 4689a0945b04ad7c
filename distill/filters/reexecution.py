"""Re-execution: the results of read-only calls against what a snapshot of the files gives.

Owns which calls are read again: those of our own tools by their own implementation, and of other agents' tools those
that read a file, by the numbered lines in their results, and a shell's lines, as `distill.filters.shells` does.
Programs run in the confinement that the caller hands over, and without one not at all. A call that cannot be read again
is noted and proves nothing either way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from distill.commands import confine, is_binary
from distill.errors import RepositoryError, ToolError
from distill.filters.reasons import Finding
from distill.filters.shells import SHELLS, Place, arguments_of, commanded_again, only_reads, printed_again
from distill.filters.told import Told
from distill.reading import Reader, command_of
from distill.results import failed
from distill.tools import SPECS
from distill.trajectory import Run, Step, Trajectory
from distill.workspace import Workspace, workspace_of
from router.chat import Tool, ToolCall

_OURS = {tool.function.name: tool for tool in SPECS}
_READS = frozenset({"read", "read_file", "readfile", "view", "view_file", "open_file", "cat"})
_HARMLESS = _READS | {"grep", "glob", "ls", "list", "list_files", "list_dir", "search", "search_files", "find"}
_PATHS = ("file_path", "filePath", "path", "filename", "target_file")
_LARGEST = 4 << 20  # bytes of a file that is read again
_NUMBERED = re.compile(r"\s{0,10}(\d{1,7})(?:→|\t|: |\| )(.*)")


def is_ours(tools: Sequence[Tool]) -> bool:
    """Whether the tools that were offered are those of the exploring agent."""
    return bool(tools) and all(_same(tool) for tool in tools)


def rerun(trajectory: Trajectory, runs: Sequence[Run], told: Told) -> Iterator[Finding]:
    """Each result is what the snapshot gives."""
    workspace = workspace_of(trajectory.last.request)
    reader = _reader(told.snapshot(workspace) if told.snapshot is not None else None)
    place = None if reader is None else Place(reader, told.confined, workspace)
    alive = {step.at: run for run in runs for step in run.steps}
    touched = False  # by a call that may have changed the files
    for step in trajectory.steps:
        for call in step.calls:
            if step.at in alive:
                yield from _compare(step, call, place, alive[step.at], touched)
            touched = touched or not _is_harmless(step, call, workspace)


def _compare(step: Step, call: ToolCall, place: Place | None, run: Run, touched: bool) -> Iterator[Finding]:
    name, result = call.function.name, step.result_of(call)
    if place is None or result is None:
        yield Finding("rerun", "noted", "not_rerun", step.at, f"{name}: no snapshot")
        return
    same = _again(step, call, result, place)
    if same is None:
        yield Finding("rerun", "noted", "not_rerun", step.at, f"{name}: needs its own program")
    elif not same and (touched or (step.trace is not None and step.trace.redacted)):
        yield Finding("rerun", "noted", "not_rerun", step.at, f"{name}: changed or redacted since")
    elif not same:
        yield Finding("rerun", "dropped", "stale_result", run.end - 1, f"{name} of message {step.at}")


def _again(step: Step, call: ToolCall, result: str, place: Place) -> bool | None:
    """Whether the call would give the same result once more; None where that cannot be said."""
    if _is_ours(step, call):
        given = place.reader.answer(call.function.name, call.function.arguments)
        if given is None:  # so its arguments are good
            given = commanded_again(command_of(place.reader.root, call.function.arguments), place)
        return None if given is None else given == result
    tool = call.function.name.lower()
    if failed(result):
        return None
    if tool in SHELLS:
        return printed_again(call, result, place)
    return _read_again(call, result, place) if tool in _READS else None


def _read_again(call: ToolCall, result: str, place: Place) -> bool | None:
    """Whether a file still has the numbered lines that were shown of it."""
    target = _target(call, place.reader.root, place.workspace)
    numbered = [found for line in result.splitlines() if (found := _NUMBERED.fullmatch(line))]
    if target is None or not numbered:
        return None
    try:
        lines = target.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    shown = ((int(found[1]), found[2].rstrip()) for found in numbered)
    return all(0 < number <= len(lines) and lines[number - 1].rstrip() == text for number, text in shown)


def _is_harmless(step: Step, call: ToolCall, workspace: Workspace) -> bool:
    """Whether a call changes no file."""
    tool = call.function.name.lower()
    return _is_ours(step, call) or tool in _HARMLESS or (tool in SHELLS and only_reads(call, workspace))


def _target(call: ToolCall, root: Path, workspace: Workspace) -> Path | None:
    """The snapshot's file that a call means by a path inside of the workspace."""
    arguments = arguments_of(call)
    try:
        named = next(arguments[key] for key in _PATHS if key in arguments)
        path = PurePosixPath(named)
        inside = path.relative_to(workspace.folder) if path.is_absolute() else path
        target = confine(root, str(inside))
        return None if target.is_dir() or is_binary(target) or target.stat().st_size > _LARGEST else target
    except (StopIteration, TypeError, ValueError, OSError, ToolError):
        return None


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
