"""Lines that only read one folder, and what of their output is sure. Owns what each program may be asked to do.

Two things make a difference in the output prove nothing: that it hangs on more than the files (git's branches, the
machine), and that something was cut by its place (`head`) of what comes in no certain order (`find`, `rg`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from distill.commands import NUMBER, split_options
from distill.errors import ToolError
from distill.lines.grammars import (
    FIND,
    FLEETING,
    GIT_COMMANDS,
    GIT_FLAGS,
    GIT_NUMBER,
    GIT_SURE,
    LONG_LISTING,
    PATTERNS,
    PLAIN,
    SED_SCRIPT,
    XARGS,
    XARGS_PROGRAMS,
)
from distill.lines.words import Stage, parse

_MOST = 40  # words of a program
_BY_PLACE = frozenset({"n", "A", "B", "C", "m", "line-number", "context", "after-context", "before-context"})


@dataclass(frozen=True)
class Line:
    """`text` is what to run: the line, its errors apart from its output. `steady`: what it prints is of the files, and
    not of times, sizes or the machine. `certain`: other output than this means other files. `git`: it reads a
    repository's own settings."""

    text: str
    steady: bool
    certain: bool
    git: bool
    ignoring: bool


@dataclass(frozen=True)
class _Use:
    """What one program does: `loose` prints in no certain order, `placed` goes by the place of what it is given,
    `vague` tells of more than files, `fleeting` of what is never twice the same."""

    loose: bool = False
    placed: bool = False
    vague: bool = False
    fleeting: bool = False
    git: bool = False
    ignoring: bool = False


def reading_line(line: str, folder: str) -> Line | None:
    """A line that only reads `folder`, which is where it believes itself to be; None where it might do else."""
    parsed = parse(line)
    if parsed is None:
        return None
    try:
        pipelines = [[_use(stage, folder, len(stages) == 1) for stage in stages] for stages in parsed.pipelines]
    except ToolError:
        return None
    uses = [use for pipeline in pipelines for use in pipeline]
    return Line(
        parsed.text,
        steady=not any(use.fleeting for use in uses),
        certain=not any(use.vague for use in uses) and not any(_cuts(pipeline) for pipeline in pipelines),
        git=any(use.git for use in uses),
        ignoring=any(use.ignoring for use in uses),
    )


def _cuts(pipeline: list[_Use]) -> bool:
    """Whether something goes by the place of what comes in no certain order."""
    first = next((at for at, use in enumerate(pipeline) if use.loose), len(pipeline))
    return any(use.placed for use in pipeline[first + 1 :])


def _use(stage: Stage, folder: str, alone: bool) -> _Use:
    """What a program is asked to do. Raises ToolError where it is more than to read."""
    program, *rest = stage
    if len(rest) > _MOST or program.raw not in _ASKED:
        raise ToolError(f"{program.text!r} may do more than read")
    if program.text == "cd" and (not alone or len(rest) != 1 or rest[0].wild):
        raise ToolError("cd goes to one folder")
    use = _ASKED[program.text](program.text, [word.text for word in rest], folder)
    return replace(use, loose=use.loose or any(word.wild for word in rest))


def _cd(program: str, words: list[str], folder: str) -> _Use:
    _check_paths(words, folder)
    return _Use()


def _echo(program: str, words: list[str], folder: str) -> _Use:
    if any("\\" in word or word.startswith(("-n", "-e", "-E")) for word in words):
        raise ToolError("shells differ on what echo does with it")
    return _Use()


def _fleeting(program: str, words: list[str], folder: str) -> _Use:
    return _Use(fleeting=True)


def _plain(program: str, words: list[str], folder: str) -> _Use:
    grammar = PLAIN[program]
    options, operands = split_options(program, grammar, words)
    given = {name for name, _ in options}
    for name, value in options:
        if value is not None and name not in grammar.free and not NUMBER.fullmatch(value):
            raise ToolError(f"option {name!r} of {program} wants a number")
    scripts = [value or "" for name, value in options if name in PATTERNS]
    if grammar.pattern and not scripts and "files" not in given:
        if not operands:
            raise ToolError(f"{program} wants to know what to look for")
        scripts, operands = operands[:1], operands[1:]
    if program == "sed" and not all(SED_SCRIPT.fullmatch(script) for script in scripts):
        raise ToolError("sed may do more than print")
    if program == "uniq" and len(operands) > 1:
        raise ToolError("uniq writes to its second operand")
    if program != "tr":
        _check_paths(operands, folder)
    return _used(program, given)


def _used(program: str, given: set[str]) -> _Use:
    searches = program == "rg" and "sort" not in given
    return _Use(
        loose=searches or program in ("ls", "sort") or bool(given & {"r", "recursive"}),
        placed=program in ("head", "tail", "sed", "nl", "uniq", "tr") or bool(given & _BY_PLACE),
        fleeting=program == "ls" and bool(given & LONG_LISTING),
        ignoring=program == "rg",
    )


def _find(program: str, words: list[str], folder: str) -> _Use:
    tests = [word for word in words if word.startswith("-")]
    if any(word not in FIND for word in tests):
        raise ToolError("find may do more than look")
    start = next((at for at, word in enumerate(words) if word.startswith(("-", "(", "!"))), len(words))
    _check_paths(words[:start], folder)
    return _Use(loose=True)


def _xargs(program: str, words: list[str], folder: str) -> _Use:
    """Xargs is told of names by what comes in, so nothing goes by their place."""
    start = 0
    while start < len(words) and words[start].startswith("-"):
        start += 2 if words[start] in ("-n", "-I") else 1
    options, operands = split_options("xargs", XARGS, words[:start])
    counts = [value for name, value in options if name == "n"]
    if operands or not words[start:] or not all(NUMBER.fullmatch(value or "") for value in counts):
        raise ToolError("xargs is not plain")
    if words[start] not in XARGS_PROGRAMS:
        raise ToolError(f"{words[start]!r} may do more than read")
    use = _plain(words[start], words[start + 1 :], folder)
    return replace(use, loose=True, placed=False)


def _git(program: str, words: list[str], folder: str) -> _Use:
    rest = words[1:] if words[:1] == ["--no-pager"] else words
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


_ASKED: dict[str, Callable[[str, list[str], str], _Use]] = {
    **dict.fromkeys(PLAIN, _plain),
    **dict.fromkeys(FLEETING, _fleeting),
    "cd": _cd,
    "echo": _echo,
    "find": _find,
    "xargs": _xargs,
    "git": _git,
}
