"""Re-execution: the results of read-only calls against what a snapshot of the files gives.

Owns which calls are read again: those of our own tools by their own implementation, and of other agents' tools those
that read a file or search, by the numbered lines in their results; plain commands, which `distill.reading` does without
program; and other lines of a shell, as `distill.filters.shells` runs them. A call that cannot be read again is noted
and proves nothing either way. So does a result that differs, unless it is sure that the agent had the snapshot's files
before it, and no others that count.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from distill.commands import Command, check, confine, is_binary
from distill.errors import RepositoryError, ToolError
from distill.filters.calls import READS, SEARCHES, SHELLS, arguments_of, is_ours, may_change_files, path_of, plain_words
from distill.filters.reasons import Finding
from distill.filters.shells import Again, Place, command_again, folder_below, line_again
from distill.filters.told import Snapshot, Told
from distill.reading import NOTHING, Reader, command_of
from distill.results import failed, found_lines, found_nothing, numbered_lines, output_of, says_cut
from distill.trajectory import Run, Step, Trajectory
from distill.workspace import Workspace, after_home, workspace_of
from router.chat import ToolCall

_EDGE = 400  # characters at either end of a result where an agent says that it cut it
_LARGEST = 4 << 20  # bytes of a file that is read again
_SHOWN = 1000  # characters of a line that agents show in any case
_CUT = 60  # characters of a found line that an agent may have cut
_FOLDERS = ("folder", "directory", "dir")
_MOST_FILES = 200  # that one search found something in
_HOME = re.compile(r"((?:/home/|[/\\]{1,4}Users[/\\]{1,4}))[^\W_][\w.@-]{0,63}")
_UNREADABLE = "\ufffd"


class _Files(NamedTuple):
    """The snapshot, and what the agent called the same folder."""

    reader: Reader
    snapshot: Snapshot
    workspace: Workspace
    place: Place

    def word(self, word: str) -> str:
        """A word of a command, with a path inside of the workspace as one inside of the snapshot."""
        folder = self.workspace.folder.rstrip("/")
        if not folder or (word != folder and not word.startswith(f"{folder}/")):
            return word
        return word.removeprefix(folder).strip("/") or "."

    def target(self, name: str, below: str = ".") -> Path | None:
        """The file that a path means, from the folder or one in it."""
        try:
            path = PurePosixPath(below, name)
            inside = path.relative_to(self.workspace.folder) if path.is_absolute() else path
            target = confine(self.reader.root, str(inside))
            usable = target.is_file() and not is_binary(self.reader.root, target)
            return target if usable and target.stat().st_size <= _LARGEST else None
        except (ValueError, OSError, ToolError):
            return None

    def lines(self, target: Path) -> list[str]:
        """Raises OSError."""
        return target.read_bytes().decode("utf-8", "replace").removeprefix("\ufeff").split("\n")


def first_change(ways: Iterable[Trajectory]) -> float:
    """When (Unix seconds) the first call was asked for that may have changed files; without one: never."""
    steps = (step for way in ways for step in way.steps if _may_change(step))
    return min((step.trace.created for step in steps if step.trace is not None), default=math.inf)


def rerun(trajectory: Trajectory, runs: Sequence[Run], told: Told) -> Iterator[Finding]:
    """Each result is what the snapshot gives."""
    files = _files(trajectory, told)
    alive = {step.at: run for run in runs for step in run.steps}
    changed = False  # maybe, by a call
    for step in trajectory.steps:
        changed = changed or (step.trace is not None and step.trace.created > told.changed)
        for call in step.calls if step.at in alive else ():
            result = step.result_of(call)
            again = None if files is None or result is None else _again(step, call, result, files)
            if again is not None and again.same:
                continue
            doubt = "cannot be read again" if files is not None else "no snapshot"
            if files is not None and again is not None:
                doubt = _doubt(trajectory, step, files, changed or _may_change(step), again, told)
            if doubt:
                yield Finding("rerun", "noted", "not_rerun", step.at, f"{call.function.name}: {doubt}")
            else:
                detail = f"{call.function.name} of message {step.at}"
                yield Finding("rerun", "dropped", "stale_result", alive[step.at].end - 1, detail)
        changed = changed or _may_change(step)


def _doubt(trajectory: Trajectory, step: Step, files: _Files, changed: bool, again: Again, told: Told) -> str:
    """Why a result that differs may be right all the same; empty where it cannot."""
    if not files.snapshot.clean:
        return "differs, and nobody said that no file was changed"
    if changed:
        return "differs, and a call may have changed files before"
    if not files.snapshot.whole and step.at >= trajectory.runs[0].end:
        return "differs, and the user may have changed files since"
    replaced = max(trace.redacted for trace in trajectory.traces)
    if replaced > int(after_home(files.workspace.folder) is not None):  # besides the name of a home folder
        return "differs, and was redacted"
    if told.finds_secret is not None and told.finds_secret(again.given):
        return "differs, and may have been redacted"
    return ""


def _again(step: Step, call: ToolCall, result: str, files: _Files) -> Again | None:
    """What the call would give once more; None where that cannot be said, or nothing follows from it."""
    if is_ours(step.tools.get(call.function.name)):
        return _ours_again(call, result, files)
    tool = call.function.name.lower()
    if failed(result):
        return None
    if tool in SHELLS:
        return _printed_again(call, result, files) or line_again(call, result, files.place)
    if tool in SEARCHES:
        return _found_again(call, result, files)
    return _read_again(call, result, files) if tool in READS else None


def _ours_again(call: ToolCall, result: str, files: _Files) -> Again | None:
    given = files.reader.answer(call.function.name, call.function.arguments)
    if given is None:  # so its arguments are good
        given = command_again(command_of(files.reader.root, call.function.arguments), files.place)
    if given is None:
        return None
    same = _homeless(given) == _homeless(result)
    surely = files.snapshot.whole or (call.function.name == "read_file" and files.target(path_of(call)) is not None)
    return Again(_homeless(given), same) if same or surely else None


def _read_again(call: ToolCall, result: str, files: _Files) -> Again | None:
    """Whether a file still has the numbered lines that were shown of it."""
    target = files.target(path_of(call))
    shown = numbered_lines(result)
    if target is None or not shown:
        return None
    try:
        held = dict(enumerate(files.lines(target), 1))
    except OSError:
        return None
    differing = [number for number, text in shown if number not in held or _compared(held[number]) != _compared(text)]
    read = "\n".join(_homeless(held.get(number, "")) for number in differing)
    return None if _UNREADABLE in read else Again(read, not differing)


def _found_again(call: ToolCall, result: str, files: _Files) -> Again | None:
    """Whether files still have the lines that a search showed of them, cut at their ends perhaps. That it showed all of
    them is not looked at: what a pattern means, every tool says for itself."""
    held: dict[str, dict[int, str]] = {}
    differing = []
    shown = found_lines(result)
    try:
        for path, number, text in shown:
            if path not in held:
                target = files.target(path) or files.target(path, path_of(call) or _folder_of(call))
                if target is None or len(held) >= _MOST_FILES:
                    return None
                held[path] = dict(enumerate(files.lines(target), 1))
            line, said = (_homeless(words).strip() for words in (held[path].get(number, ""), text))
            if line != said and not (len(said) >= _CUT and line.startswith(said)):
                differing.append((said, line))
    except OSError:
        return None
    if not shown or any(len(said) >= _CUT or _UNREADABLE in line for said, line in differing):
        return None  # an agent may leave something out in the middle of a long line
    return Again("\n".join(line for _, line in differing), not differing)


def _folder_of(call: ToolCall) -> str:
    """The folder that a search was done in."""
    arguments = arguments_of(call)
    return next((arguments[key] for key in _FOLDERS if isinstance(arguments.get(key), str)), ".")


def _printed_again(call: ToolCall, result: str, files: _Files) -> Again | None:
    """Whether a plain command prints the same lines, in whatever order a file system has them."""
    command = _command(call, files)
    if command is None:
        return None
    given = files.reader.run(command)
    shown = output_of(result)
    if given is None or says_cut(result, _EDGE):
        return None
    mine, theirs = (Counter(_bare(line, files) for line in text.splitlines()) for text in (given, shown))
    same = mine == theirs or (given == NOTHING and found_nothing(result))
    if not (same or files.snapshot.whole) and _shows_others(command, mine, theirs, files.reader.root):
        return None
    return Again(_homeless(given), same)


def _command(call: ToolCall, files: _Files) -> Command | None:
    """What a shell was asked to do, where it is one command that needs no program; paths as the snapshot has them."""
    words = plain_words(call)
    if not words or folder_below(call, files.workspace) != ".":
        return None
    moved = [words[0], *map(files.word, words[1:])]
    sought = next((at for at, word in enumerate(words) if at and not word.startswith("-")), 0)
    if words[0] == "grep" and moved[sought] != words[sought]:  # a pattern, and no path
        return None
    try:
        return check(files.reader.root, moved[0], moved[1:])
    except ToolError:
        return None


def _shows_others(command: Command, mine: Counter[str], theirs: Counter[str], root: Path) -> bool:
    """Whether the only difference is what a folder has besides the snapshot's files: what git ignores."""
    if mine - theirs and mine != Counter([NOTHING]):
        return False
    walks = command.recursive or command.program == "ls"
    return walks and not any(_is_there(root, line.partition(":")[0]) for line in theirs - mine)


def _is_there(root: Path, name: str) -> bool:
    try:
        return bool(name) and (root / name).exists()
    except (OSError, ValueError):
        return False


def _bare(line: str, files: _Files) -> str:
    """A line of a listing or search, with paths relative to the folder."""
    folder = files.workspace.folder.rstrip("/")
    bare = line.strip()
    if folder and (bare == folder or bare.startswith(f"{folder}/")):
        bare = bare.removeprefix(folder).removeprefix("/") or "."
    return _homeless(bare.removeprefix("./"))


def _compared(line: str) -> str:
    return _homeless(line[:_SHOWN]).rstrip()


def _homeless(text: str) -> str:
    """A text in which all home folders have the name that a replaced one has."""
    return _HOME.sub(r"\1user", text)


def _files(trajectory: Trajectory, told: Told) -> _Files | None:
    workspace = workspace_of(trajectory.last.request)
    snapshot = told.snapshot(workspace) if told.snapshot is not None else None
    if snapshot is None:
        return None
    try:
        reader = Reader(snapshot.root)
    except RepositoryError:
        return None
    return _Files(reader, snapshot, workspace, Place(reader, told.confined, workspace, snapshot.whole))


def _may_change(step: Step) -> bool:
    return any(may_change_files(call, step.tools) for call in step.calls)
