"""Lines that only read one folder, and what of their output is sure. Owns what each program may be asked to do.

Two things make a difference in the output prove nothing: that it hangs on more than the files (git's branches, the
machine), and that something was cut by its place (`head`) of what comes in no certain order (`find`, `rg`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from distill.commands import NUMBER, split_options
from distill.errors import ToolError
from distill.lines.grammars import (
    FIND,
    GIT_COMMANDS,
    GIT_FLAGS,
    GIT_NUMBER,
    GIT_SURE,
    PATTERNS,
    PLAIN,
    SED_SCRIPT,
    XARGS,
)
from distill.lines.words import Stage, Word, parse

_MOST = 40  # words of a program
_BY_PLACE = frozenset({"n", "A", "B", "C", "m", "line-number", "context", "after-context", "before-context"})


@dataclass(frozen=True)
class Line:
    """`text` is what to run: the line, its errors apart from its output. `certain`: other output than this means other
    files. `git`: it reads a repository's own settings."""

    text: str
    certain: bool
    git: bool


@dataclass(frozen=True)
class _Use:
    """What one program does: `loose` prints in no certain order, `placed` goes by the place of what it is given, `vague`
    tells of more than files."""

    loose: bool = False
    placed: bool = False
    vague: bool = False
    git: bool = False


def reading_line(line: str, folder: str) -> Line | None:
    """A line that only reads `folder`, which is where it believes itself to be; None where it might do else."""
    parsed = parse(line)
    if parsed is None:
        return None
    uses = []
    certain = True
    try:
        for pipeline in parsed.pipelines:
            used = [_use(stage, folder, first=len(pipeline) == 1) for stage in pipeline]
            loose = [number for number, use in enumerate(used) if use.loose]
            cut = bool(loose) and any(use.placed for use in used[loose[0] + 1 :])
            certain = certain and not cut and not any(use.vague for use in used)
            uses += used
    except ToolError:
        return None
    return Line(parsed.text, certain, any(use.git for use in uses))


def _use(stage: Stage, folder: str, first: bool) -> _Use:
    """What a program is asked to do. Raises ToolError where it is more than to read."""
    program, *rest = stage
    if len(rest) > _MOST or program.wild or program.raw != program.text:
        raise ToolError("not a plain command")
    wild = any(word.wild for word in rest)
    words = [word.text for word in rest]
    if program.text == "cd":
        if not first or len(words) != 1 or wild:
            raise ToolError("cd goes to one folder")
        _check_paths(words, folder)
        return _Use()
    use = _asked(program.text, words, folder, rest)
    return _Use(use.loose or wild, use.placed, use.vague, use.git)


def _asked(program: str, words: list[str], folder: str, raw: Sequence[Word] = ()) -> _Use:
    if program == "echo":
        if any("\\" in word or word.startswith("-n") or word.startswith("-e") for word in words):
            raise ToolError("shells differ on what echo does with it")
        return _Use()
    if program == "find":
        return _find(words, folder)
    if program == "xargs":
        return _xargs(words, folder)
    if program == "git":
        return _git(words, folder)
    if program in PLAIN:
        return _plain(program, words, folder)
    raise ToolError(f"{program!r} may do more than read")


def _plain(program: str, words: list[str], folder: str) -> _Use:
    grammar = PLAIN[program]
    options, operands = split_options(program, grammar, words)
    given = {name for name, _ in options}
    for name, value in options:
        if value is not None and name not in grammar.free and not NUMBER.fullmatch(value):
            raise ToolError(f"option {name!r} of {program} wants a number")
    scripts = [value or "" for name, value in options if name in PATTERNS]
    paths = operands
    if grammar.pattern and not scripts and "files" not in given:
        if not operands:
            raise ToolError(f"{program} wants to know what to look for")
        scripts, paths = operands[:1], operands[1:]
    if program == "sed" and not all(SED_SCRIPT.fullmatch(script) for script in scripts):
        raise ToolError("sed may do more than print")
    if program == "uniq" and len(paths) > 1:
        raise ToolError("uniq writes to its second operand")
    if program != "tr":
        _check_paths(paths, folder)
    placed = program in ("head", "tail", "sed", "nl", "uniq") or bool(given & _BY_PLACE) or program == "cat" and given
    sorted_by_itself = "sort" in given
    loose = program in ("ls", "sort") or (program == "rg" and not sorted_by_itself) or bool(given & {"r", "recursive"})
    return _Use(loose=loose, placed=bool(placed))


def _find(words: list[str], folder: str) -> _Use:
    tests = [word for word in words if word.startswith("-")]
    if any(word not in FIND for word in tests):
        raise ToolError("find may do more than look")
    start = next((at for at, word in enumerate(words) if word.startswith(("-", "(", "!"))), len(words))
    _check_paths(words[:start], folder)
    return _Use(loose=True)


def _xargs(words: list[str], folder: str) -> _Use:
    """Xargs is told of names by what comes in, so nothing goes by their place."""
    start = 0
    while start < len(words) and words[start].startswith("-"):
        start += 2 if words[start] in ("-n", "-I") else 1
    options, operands = split_options("xargs", XARGS, words[:start])
    counts = [value for name, value in options if name == "n"]
    if operands or not words[start:] or not all(NUMBER.fullmatch(value or "") for value in counts):
        raise ToolError("xargs is not plain")
    if words[start] not in ("grep", "rg", "cat", "head", "tail", "wc", "ls", "sed", "git"):
        raise ToolError(f"{words[start]!r} may do more than read")
    use = _asked(words[start], words[start + 1 :], folder)
    return _Use(loose=True, vague=use.vague, git=use.git)


def _git(words: list[str], folder: str) -> _Use:
    rest = [word for word in words if word != "--no-pager"] if words[:1] == ["--no-pager"] else words
    if not rest or rest[0] not in GIT_COMMANDS:
        raise ToolError("git may do more than read")
    for word in rest[1:]:
        flag = word.partition("=")[0]
        if word.startswith("-") and flag not in GIT_FLAGS and not GIT_NUMBER.fullmatch(word):
            raise ToolError(f"option {word!r} of git is not known")
    if rest[0] != "grep":
        _check_paths([word for word in rest[1:] if not word.startswith("-")], folder)
    return _Use(vague=rest[0] not in GIT_SURE, git=True)


def _check_paths(paths: Sequence[str], folder: str) -> None:
    """Raises ToolError where a path might lead out of the folder."""
    for path in paths:
        parts = PurePosixPath(path).parts
        inside = bool(folder) and PurePosixPath(path).is_relative_to(folder)
        if ".." in parts or (path.startswith("/") and not inside):
            raise ToolError(f"{path} is outside the repository")
