"""Command lines: canonical calls as a line of a shell, or its words, and back.

There is no shell behind it: a line is one plain command, perhaps with `| head -n N` behind it, and whatever else a
shell would do is refused. `sed -n A,Bp FILE` is how a line says read_file, and `ls -Ap FOLDER` how it says list_files.
Owns that reading; runs nothing.
"""

from __future__ import annotations

import re
import shlex
from typing import Any

import msgspec

from distill.commands import PROGRAMS
from distill.errors import ToolError
from distill.generate.templates import Call
from distill.lines.words import parse

ALLOWED = (
    f"allowed is one plain command ({', '.join(PROGRAMS)}, or sed -n 'A,Bp' FILE), perhaps with '| head -n N' behind"
    " it: no other pipes, no redirections, variables, substitutions or several commands"
)
_SED = re.compile(r"(\d{1,8})(?:,(\d{1,8}|\$))?p")
_HEAD = re.compile(r"-n?(\d{1,8})")
_THROUGH = re.compile(r"(?:/usr)?(?:/bin/)?(?:ba|z)?sh")
_TO_THE_END = 1_000_000


class Wanted(msgspec.Struct, frozen=True):
    """A canonical call, the folder in which it is to be done, and how many lines of its result are wanted (0: all)."""

    call: Call
    folder: str = "."
    limit: int = 0


def words_of(call: Call) -> list[str] | None:
    """The words of a command that does what a canonical call does; None where there is none."""
    path = call.arguments.get("path", ".")
    if call.name == "list_files" and isinstance(path, str):
        return ["ls", "-Ap"] if path == "." else ["ls", "-Ap", operand(path)]
    asked = lines_asked(call)
    if asked is not None:
        path, start, lines = asked
        return ["sed", "-n", f"{start}p" if lines == 1 else f"{start},{start + lines - 1}p", operand(path)]
    program, args = call.arguments.get("command"), call.arguments.get("args", [])
    words = [program, *args] if isinstance(args, list) else []
    return words if call.name == "run_command" and words and all(isinstance(word, str) for word in words) else None


def lines_asked(call: Call) -> tuple[str, int, int] | None:
    """Path, first line and number of lines that a call of read_file asks for; None for any other."""
    path, start, lines = (
        call.arguments.get(name, value) for name, value in (("path", ""), ("start", 1), ("lines", 40))
    )
    if call.name != "read_file" or not (isinstance(path, str) and isinstance(start, int) and isinstance(lines, int)):
        return None
    return (path, start, lines) if path and start >= 1 and lines >= 1 else None


def line_of(call: Call) -> str | None:
    words = words_of(call)
    line = None if words is None else shlex.join(words)
    return line if line is not None and parse(line) is not None else None


def wanted_by_words(slots: dict[str, Any]) -> Wanted:
    """Raises ToolError where the words are no single command."""
    words = slots["words"]
    if not words or not all(isinstance(word, str) for word in words):
        raise ToolError("the command has to be a list of words")
    if len(words) == 3 and _THROUGH.fullmatch(words[0]) and words[1] in ("-c", "-lc"):
        return wanted_by_line({**slots, "line": words[2]})
    return Wanted(_call(words), slots["folder"], slots["limit"])


def wanted_by_line(slots: dict[str, Any]) -> Wanted:
    """Raises ToolError where the line is more than a single command."""
    parsed = parse(slots["line"])
    if parsed is None or len(parsed.pipelines) != 1 or len(parsed.pipelines[0]) > 2:
        raise ToolError(ALLOWED)
    first, *then = ([word.text for word in stage] for stage in parsed.pipelines[0])
    limit = _limit(then[0]) if then else 0
    return Wanted(_call(first), slots["folder"], min(limit, slots["limit"] or limit) or slots["limit"])


def _limit(words: list[str]) -> int:
    found = _HEAD.fullmatch("".join(words[1:])) if words[0] == "head" and len(words) in (2, 3) else None
    if words == ["head"]:
        return 10
    if found is None or int(found[1]) == 0:
        raise ToolError(ALLOWED)
    return int(found[1])


def _call(words: list[str]) -> Call:
    program, *args = words
    if program == "sed":
        return _read(args)
    if program == "ls" and {*"".join(args[:1])} == {*"-Ap"} and len(args) <= 2:
        return Call("list_files", {"path": args[1] if len(args) == 2 else "."})
    return Call("run_command", {"command": program, "args": args})


def _read(args: list[str]) -> Call:
    found = _SED.fullmatch(args[1]) if len(args) == 3 and args[0] == "-n" else None
    if found is None or args[2].startswith("-"):
        raise ToolError("of sed only this is allowed: sed -n 'A,Bp' FILE")
    start = int(found[1])
    end = start + _TO_THE_END if found[2] == "$" else int(found[2] or start)
    if start < 1:
        raise ToolError("lines are counted from 1")
    return Call("read_file", {"path": args[2], "start": start, "lines": max(1, end - start + 1)})


def operand(path: str) -> str:
    """A path as a word that no program takes for an option."""
    return f"./{path}" if path.startswith("-") else path
