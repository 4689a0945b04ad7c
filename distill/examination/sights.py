"""Sights: what the result of a call says, as facts that can be compared whatever tool said them.

A line of `cat` and the same line of read_file are one sight, and so are an entry of `ls` and one of `find`. Owns the
reading of what the exploring agent's tools print. Runs nothing and knows no questions.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal

import msgspec

from distill.commands import GRAMMARS, Command, check, split_options
from distill.errors import ToolError
from distill.generate.templates import Call
from distill.tools import ERROR, NOTHING

Kind = Literal["read", "numbered", "line", "match", "entry", "count", "part", "text", "error"]
_CUT = re.compile(r"\[\d+ more characters not shown\]")
_COLON, _TABBED = re.compile(r"(\d+): ?(.*)"), re.compile(r" *(\d+)\t(.*)")
_PLACE = re.compile(r"[:-](\d+)[:-]")
_PLACES = 8  # tried in a line, until one stands behind the name of a file
_COUNTS = ("l", "w", "m", "c", "L")  # in the order in which wc prints them
_WC = {"lines": "l", "words": "w", "chars": "m", "bytes": "c"}
_OTHER_ORDER = re.compile(r"-[A-Za-z]*[lRhSrtFpd]")


class Sight(msgspec.Struct, frozen=True):
    """`read`: this line stands there; `numbered` and `line`: the search found it there, with and without its number;
    `match`: it found something in that file; `entry`: there is such a file or folder; `count`: as many, of what `text`
    says; `part`, `text`: as printed; `error`: the call failed so."""

    kind: Kind
    path: str = ""
    number: int = 0
    text: str = ""


class Seen(msgspec.Struct, frozen=True):
    """`said` is what a result says in the manner of its tool, `shown` that and all that follows from it."""

    said: frozenset[Sight]
    shown: frozenset[Sight]


def seen(call: Call, result: str, root: Path) -> Seen:
    """What the result of a canonical call, made in the folder `root`, says."""
    if result.startswith(ERROR):
        said = frozenset({_error(result)})
        return Seen(said, said)
    lines = [] if result == NOTHING else result.split("\n")
    cut = bool(lines) and _CUT.fullmatch(lines[-1]) is not None
    said = frozenset(_reader(call, root, cut)(lines[:-1] if cut else lines))
    return Seen(said, said | {more for sight in said for more in _follows(sight)})


def _follows(sight: Sight) -> Iterator[Sight]:
    if sight.kind == "numbered":
        yield Sight("read", sight.path, sight.number, sight.text)
    if sight.kind in ("numbered", "read"):
        yield Sight("line", sight.path, 0, sight.text)


def _error(result: str) -> Sight:
    said, colon, what = result.removeprefix(ERROR).split("\n", 1)[0].partition(": ")
    return Sight("error", text=f"{said}{colon}{posixpath.normpath(what)}" if what else said)


def _reader(call: Call, root: Path, cut: bool) -> Callable[[list[str]], Iterator[Sight]]:
    """How a call's result is read; line by line, as printed, where nothing more is known of it."""
    if call.name == "read_file":
        return lambda lines: _numbered(lines, _normal(call.arguments.get("path")), _COLON)
    if call.name == "list_files":
        return lambda lines: _entries(lines, _normal(call.arguments.get("path", ".")))
    try:
        command = check(root, str(call.arguments.get("command")), list(call.arguments.get("args", [])))
    except (ToolError, TypeError, OSError):
        return _as_printed
    if cut and command.program == "tail":  # it counts from the end, which is missing
        return _as_printed
    return _of_command(command, root)


def _of_command(command: Command, root: Path) -> Callable[[list[str]], Iterator[Sight]]:
    path = _normal(command.paths[0]) if len(command.paths) == 1 else ""
    match command.program:
        case "grep":
            return lambda lines: _of_grep(lines, command, root)
        case "find":
            starts = {_normal(one) for one in command.paths if (root / one).is_dir()}
            return lambda lines: _entries(lines, ".", starts)
        case "wc":
            return lambda lines: _of_wc(lines, command)
        case "ls" if len(command.paths) <= 1 and not _OTHER_ORDER.match(" ".join(command.argv)):
            return lambda lines: _of_ls(lines, command, root)
        case "cat" if path and command.argv == command.paths:
            return lambda lines: _in_file(lines, path, 1)
        case "cat" if path and _options(command) == {"n"}:
            return lambda lines: _numbered(lines, path, _TABBED)
        case "head" if path and "c" not in _options(command):
            return lambda lines: _in_file(lines, path, 1)
        case "tail" if path and "c" not in _options(command):
            return lambda lines: _in_file(lines, path, _length(root, path) - len(lines) + 1)
    return _as_printed


def _options(command: Command) -> set[str]:
    found, _ = split_options(command.program, GRAMMARS[command.program], list(command.argv))
    return {_LONG.get(name, name) for name, _ in found}


_LONG = {
    **{"files-with-matches": "l", "files-without-match": "L", "count": "c", "only-matching": "o", "no-filename": "h"},
    **{"quiet": "q", "bytes": "c", "line-number": "n", "number": "n", "recursive": "R"},
}


def _as_printed(lines: list[str]) -> Iterator[Sight]:
    return (Sight("text", text=line.rstrip()) for line in lines)


def _in_file(lines: list[str], path: str, first: int) -> Iterator[Sight]:
    return (Sight("read", path, number, line.rstrip()) for number, line in enumerate(lines, first))


def _numbered(lines: list[str], path: str, form: re.Pattern[str]) -> Iterator[Sight]:
    for line in lines:
        if match := form.fullmatch(line):
            yield Sight("read", path, int(match[1]), match[2].rstrip())


def _length(root: Path, path: str) -> int:
    content = (root / path).read_bytes()
    return content.count(b"\n") + (not content.endswith(b"\n") and bool(content))


def _entries(lines: list[str], folder: str, starts: Collection[str] = ()) -> Iterator[Sight]:
    """What stands in a folder, or was found below the folders `starts`, which are no finds themselves."""
    paths = (_normal(posixpath.join(folder, line.rstrip("/"))) for line in lines)
    return (Sight("entry", path) for path in paths if path not in starts)


def _of_ls(lines: list[str], command: Command, root: Path) -> Iterator[Sight]:
    folder = _normal(command.paths[0]) if command.paths else "."
    if not (root / folder).is_dir():
        folder = "."  # of a file it prints the path
    return _entries([line for line in lines if line not in (".", "..")], folder)


def _of_wc(lines: list[str], command: Command) -> Iterator[Sight]:
    given = {_WC.get(name, name) for name in _options(command)} or {"l", "w", "c"}
    wanted = [name for name in _COUNTS if name in given]
    for line in lines:
        words = line.split(None, len(wanted))
        path = _normal(words[-1]) if len(words) > len(wanted) else ""
        for name, count in zip(wanted, words, strict=False):
            yield Sight("count", path, int(count) if count.isdecimal() else 0, name)


def _of_grep(lines: list[str], command: Command, root: Path) -> Iterator[Sight]:
    options = _options(command)
    alone = _normal(command.paths[0]) if len(command.paths) == 1 else ""
    if options & {"h", "q"}:
        yield from _as_printed(lines)
    elif "l" in options or "L" in options:
        kind: Kind = "match" if "l" in options else "entry"
        yield from (Sight(kind, _normal(line)) for line in lines)
    elif "c" in options:
        for line in lines:
            path, _, count = line.rpartition(":")
            yield Sight("count", _normal(path or alone), int(count) if count.isdecimal() else 0, "matches")
    else:
        is_file = lru_cache(4096)(partial(_is_file, root))
        found = (_of_line(line, alone, "n" in options, is_file) for line in lines if line != "--")
        yield from (Sight("part", one.path, one.number, one.text) if "o" in options else one for one in found)


def _of_line(line: str, alone: str, numbers: bool, is_file: Callable[[str], bool]) -> Sight:
    """A line that grep found; its path is the one that a file has, since names may hold colons."""
    if numbers:
        for match, _ in zip(_PLACE.finditer(line), range(_PLACES), strict=False):
            if is_file(line[: match.start()]):
                return Sight("numbered", _normal(line[: match.start()]), int(match[1]), line[match.end() :].rstrip())
        number = re.match(r"(\d+)[:-]", line)
        if alone and number:
            return Sight("numbered", alone, int(number[1]), line[number.end() :].rstrip())
        return Sight("text", text=line.rstrip())
    for match, _ in zip(re.finditer("[:-]", line), range(_PLACES), strict=False):
        if is_file(line[: match.start()]):
            return Sight("line", _normal(line[: match.start()]), 0, line[match.end() :].rstrip())
    return Sight("line", alone, 0, line.rstrip()) if alone else Sight("text", text=line.rstrip())


def _is_file(root: Path, path: str) -> bool:
    """Whether what stands before a number is the name of a file in the folder; it may be any text."""
    if path.startswith("/") or ".." in path.split("/"):
        return False
    try:
        return (root / path).is_file()
    except (OSError, ValueError):  # too long for a name
        return False


def _normal(path: object) -> str:
    return posixpath.normpath(str(path))
