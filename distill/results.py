"""What a tool's result says of its call: that it failed, that it found nothing, which lines it shows, or anything else.

Owns the shapes in which agents and their tools say so. Judges by structure (a status, how a text opens or ends) and
never by a word somewhere inside, so that a source file about errors is none. Knows nothing of conversations.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

_NUMBERED = re.compile(r"\s{0,10}(\d{1,7})(?:→|\t|: | ?\| )(.*)")
_FOUND = re.compile(r"(?:\./)?([\w./+@-]{1,300}):(\d{1,7})[:-](.*)")  # a line of grep's
_HEADING = re.compile(r"(?:# |File: )?((?:\./)?[\w./+@-]{1,300}):?")  # above the lines that a search found in a file
_BELOW = re.compile(r"\s{0,8}(?:(?:Line |L)(\d{1,7}): |(\d{1,7}) \| )(.*)")
_WHOLE = 500  # characters of a found line that nobody cut
_EDGE = 6  # lines at either end of a result in which a status may stand
_LINE = 300  # characters of a line that are looked at
_JSON = 1 << 20  # characters of a result that is read as JSON
_STATUS = re.compile(
    r"[\[(<]?(?:error: )?(?:(?:process|command|script|shell) )?"
    r"(?:exited|exit|returned|return|finished|failed|completed)[ _-]?(?:with )?(?:exit |return )?"
    r"(?:code|status)[:=>]? {0,2}(-?\d{1,5})(?:[\])>.]?|</\w{1,20}>)",
    re.IGNORECASE,
)
_OPENINGS = (
    *("Error:", "error:", "ERROR:", "Error - ", "<tool_use_error>", "<error>", "fatal: ", "Exception:", "MCP error"),
    *("Error invoking tool", "Error calling tool", "Error executing tool", "Error running tool"),
    *("An error occurred while running the tool", "Tool execution failed", "Tool call failed", "InputValidationError"),
    *("Traceback (most recent call last)", "File not found", "File does not exist", "No such tool available"),
)
_CUT = re.compile(r"truncated|omitted|\.\.\.|…")
_SHELL = re.compile(  # "cat: a.py: No such file or directory", "sh: 1: rg: not found"
    r"[A-Za-z/][\w./-]{0,60}: (?:[^:]{1,200}: ){1,3}"
    r"(?:No such file or directory|Permission denied|Is a directory|Not a directory|(?:command )?not found)"
    r"|zsh: command not found: .*"
)
_RAISED = re.compile(r"[A-Za-z_][\w.]{0,100}(?:Error|Exception|Exit|Interrupt|Iteration)(?:: .*|:)?")
_TRACEBACK = "Traceback (most recent call last):"
_AGAIN = "Fix the errors and try again."
_NOTHING = frozenset(
    {
        *("", "(no output)", "(empty)", "no output", "<no output>", "[]", "{}", "null", "none"),
        *("no matches found", "no matches", "no match", "no files found", "no results found", "no results"),
        *("not found", "0 matches", "found 0 matches", "found 0 files", "found 0 results", "0 files", "0 results"),
    }
)
_MISSING = ("no such file", "not found", "does not exist", "doesn't exist", "enoent", "cannot find", "could not find")
_BESIDE_ERROR = frozenset({"error", "message", "type", "code", "status", "success", "ok", "detail", "details"})


def failed(text: str) -> bool:
    """Whether the result says that its call ended in an error.

    Status 1 without any output does not: that is how a search says that it found nothing.
    """
    status = _status(text)
    if status is not None:
        return status != 0 and not (status == 1 and not output_of(text))
    told = _object(text)
    if told is not None:
        return _object_failed(told)
    opening = _first_line(text)
    if opening.startswith(_OPENINGS) or _SHELL.fullmatch(opening):
        return True
    return _ends_raised(text) or text.rstrip().endswith(_AGAIN)


def found_nothing(text: str) -> bool:
    """Whether the result says that what was looked for is not there: no output, no matches, no such file."""
    body = output_of(text).rstrip(".").lower()
    if body in _NOTHING:
        return True
    return failed(text) and any(word in text[: 2 * _LINE].lower() for word in _MISSING)


def output_of(text: str) -> str:
    """The output inside of a wrapper that tells a status; without one, the text itself."""
    head, mark, rest = text.partition("\nOutput:")
    if mark and head.count("\n") < _EDGE:
        return rest.strip()
    told = _object(text)
    if told is not None and isinstance(told.get("output"), str):
        return str(told["output"]).strip()
    lines = _lines(text) if len(text) < _EDGE * _LINE else [text]
    return "\n".join(line for line in lines if not _STATUS.fullmatch(line))


def numbered_lines(text: str) -> list[tuple[int, str]]:
    """The lines of a file that a result shows with their numbers."""
    found = (_NUMBERED.fullmatch(line.rstrip("\r")) for line in text.split("\n"))
    return [(int(line[1]), line[2].removeprefix("\ufeff")) for line in found if line]


def found_lines(text: str) -> list[tuple[str, int, str]]:
    """The lines of files that a search shows, each with its path or below it: path, number, text."""
    shown: list[tuple[str, int, str]] = []
    above = ""
    for line in (raw.rstrip("\r") for raw in text.split("\n") if len(raw) <= _WHOLE):
        if not line:
            above = ""
            continue
        if found := _FOUND.fullmatch(line):
            shown.append((found[1], int(found[2]), found[3]))
        elif above and (found := _BELOW.fullmatch(line)):
            shown.append((above, int(found[1] or found[2]), found[3]))
            continue
        heading = _HEADING.fullmatch(line)
        above = heading[1].rstrip(":") if heading else ""
    return shown


def _status(text: str) -> int | None:
    """The exit status that a wrapper around a command's output tells; None where there is none."""
    head = _lines(text[: _EDGE * _LINE])[:_EDGE]
    wrapped = "Output:" in head
    for line in head[: head.index("Output:")] if wrapped else head:
        if found := _STATUS.fullmatch(line):
            return int(found[1])
    tail = [] if wrapped else _lines(text[-_EDGE * _LINE :])[-_EDGE:]
    for line in reversed(tail):
        if found := _STATUS.fullmatch(line):
            return int(found[1])
    return _object_status(_object(text))


def _object(text: str) -> dict[str, Any] | None:
    if text.lstrip()[:1] != "{" or len(text) > _JSON:
        return None
    try:
        told = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def _object_status(told: dict[str, Any] | None) -> int | None:
    if told is None:
        return None
    beside = told.get("metadata")
    for place in (told, beside if isinstance(beside, dict) else {}):
        for name in ("exit_code", "exitCode", "returncode"):
            if isinstance(place.get(name), int):
                return int(place[name])
    return None


def _object_failed(told: dict[str, Any]) -> bool:
    """A field `error` counts where the object is made of what stands beside errors: not in any JSON file."""
    if told.get("is_error") is True or told.get("isError") is True:
        return True
    return bool(told.get("error") or told.get("status") == "error") and told.keys() <= _BESIDE_ERROR


def _ends_raised(text: str) -> bool:
    """Whether a Python traceback is how the result ends."""
    if not (text.startswith(_TRACEBACK) or f"\n{_TRACEBACK}" in text):
        return False
    lines = text.rstrip().rsplit("\n", 1)
    return _RAISED.fullmatch(lines[-1][:_LINE]) is not None


def _first_line(text: str) -> str:
    return text.lstrip()[:_LINE].partition("\n")[0].rstrip()


def _lines(text: str) -> list[str]:
    return [line for line in (raw.strip() for raw in text.split("\n")) if line]


def says_cut(result: str, edge: int | None = None) -> bool:
    """Whether an agent says, within so many characters of either end, that it left something out."""
    shown = output_of(result)
    size = len(shown) if edge is None else edge
    return bool(_CUT.search(shown[-size:]) or _CUT.search(shown[:size])) if size else False
