"""What the lines of a result say: matches with their places, heads of classes and functions, paths, numbers."""

from __future__ import annotations

import posixpath
import re
from typing import Any

from distill.generate.readers.reader import Reader, Row

_MATCH = re.compile(r"(?P<path>[^:\n]+):(?P<line>\d+):(?P<text>.*)")
_NUMBERED = re.compile(r"(?P<line>\d+):\s?(?P<text>.*)")
_CLASS = re.compile(r"\s*class (?P<class>\w+)(?:\[.*?\])?\s*(?:\((?P<bases>.*)\))?\s*:")
_DEF = re.compile(
    r"\s*(?:async )?def (?P<function>\w+)(?:\[.*?\])?(?P<parameters>\(.*\))(?: -> (?P<returns>.+?))?:\s*(?:\.\.\.|#.*)?"
)
_DEFINITION = re.compile(r"\s*(?:class|(?:async )?def) (?P<defined>\w+)")
_QUOTES = re.compile(r"[rRuU]?(\"\"\"|'''|\"|')")
_MISSING = re.compile(r"\[\d+ more characters not shown\]")


def matches(result: str, known: dict[str, Any]) -> list[Row]:
    """`grep -rn` lines: path, line, text. A match cut off by the output limit is passed over."""
    found = (_MATCH.fullmatch(line) for line in result.split("\n"))
    return [{**match.groupdict(), "line": int(match["line"]), **_within(match["path"])} for match in found if match]


def files(result: str, known: dict[str, Any]) -> list[Row]:
    """The paths of `grep -rn` lines, each once."""
    found = dict.fromkeys(row["path"] for row in matches(result, known))
    return [{"path": path, **_within(path)} for path in found]


def numbered(result: str, known: dict[str, Any]) -> list[Row]:
    """`grep -n` or read_file lines: line, text."""
    found = (_NUMBERED.fullmatch(line) for line in result.split("\n"))
    return [{"line": int(match["line"]), "text": match["text"].strip()} for match in found if match]


def classes(result: str, known: dict[str, Any]) -> list[Row]:
    """Class heads among matches of either kind: class, bases, and where."""
    return _heads(_CLASS, result, known)


def functions(result: str, known: dict[str, Any]) -> list[Row]:
    """One-line function heads among matches: function, parameters in brackets, returns, and where."""
    return _heads(_DEF, result, known)


def definitions(result: str, known: dict[str, Any]) -> list[Row]:
    """Any `class` or `def` heads among matches, however many lines they span: defined, and where."""
    return _heads(_DEFINITION, result, known)


def _heads(form: re.Pattern[str], result: str, known: dict[str, Any]) -> list[Row]:
    rows = matches(result, known) or numbered(result, known)
    found = ((row, form.match(row["text"])) for row in rows)
    return [{**row, **{key: value or "" for key, value in match.groupdict().items()}} for row, match in found if match]


def parents(result: str, known: dict[str, Any]) -> list[Row]:
    """The first base of each class head, as `parent`."""
    rows = [row | {"parent": row["bases"].split(",")[0].strip()} for row in classes(result, known)]
    return [row for row in rows if re.fullmatch(r"[A-Za-z_]\w*", row["parent"])]


def inheriting(result: str, known: dict[str, Any]) -> list[Row]:
    """Class heads that have bases."""
    return [row for row in classes(result, known) if row["bases"]]


def returning(result: str, known: dict[str, Any]) -> list[Row]:
    """Function heads with a return annotation."""
    return [row for row in functions(result, known) if row["returns"]]


def values(result: str, known: dict[str, Any]) -> list[Row]:
    """`NAME = value` among matches: value."""
    rows = matches(result, known)
    return [row | {"value": row["text"].split(" = ", 1)[1].strip()} for row in rows if " = " in row["text"]]


def paths(result: str, known: dict[str, Any]) -> list[Row]:
    """One path a line."""
    return [{"path": line, **_within(line)} for line in result.split("\n") if line and not _MISSING.fullmatch(line)]


def two_paths(result: str, known: dict[str, Any]) -> list[Row]:
    """The first two of the paths as one row: path, other."""
    found = paths(result, known)
    return [found[0] | {"other": found[1]["path"]}] if len(found) > 1 else []


def entries(result: str, known: dict[str, Any]) -> list[Row]:
    """One entry of a folder a line."""
    return [{"entry": row["path"]} for row in paths(result, known)]


def first_entry(result: str, known: dict[str, Any]) -> list[Row]:
    """The first entry of a folder alone."""
    return entries(result, known)[:1]


def only_line(result: str, known: dict[str, Any]) -> list[Row]:
    """A line of a file without its number: text."""
    return [{"text": result.strip()}] if result.strip() else []


def assigned(result: str, known: dict[str, Any]) -> list[Row]:
    """`NAME = value` among numbered lines: constant."""
    found = ((row, row["text"].partition(" = ")) for row in numbered(result, known))
    return [row | {"constant": name} for row, (name, equals, _) in found if equals]


def count(result: str, known: dict[str, Any]) -> list[Row]:
    """The number that a result begins with (`wc`, `grep -c`)."""
    match = re.match(r"\s*(\d+)", result)
    return [{"count": int(match[1])}] if match else []


def docstring(result: str, known: dict[str, Any]) -> list[Row]:
    """The first line of the docstring that begins on the second of the lines read: doc, and whether it `says` no more
    or only `begins` so, as far as the lines show."""
    rows = numbered(result, known)
    opening = _QUOTES.match(rows[1]["text"]) if len(rows) > 1 else None
    if opening is None:
        return []
    doc, closing, _ = rows[1]["text"][opening.end() :].partition(opening[1])
    below = rows[2]["text"] if len(rows) > 2 else ""
    whole = bool(closing) or (bool(doc.strip()) and below == opening[1])
    doc = doc.strip() or below
    return [{"doc": doc, "says": "says" if whole else "begins"}] if doc else []


def _within(path: str) -> Row:
    """The folder that a path lies in, as `directory`."""
    return {"directory": posixpath.dirname(path) or "."}


ALL: tuple[Reader, ...] = (
    *(matches, files, numbered, definitions, classes, functions, parents, inheriting, returning, values),
    *(paths, two_paths, entries, first_entry, only_line, assigned, count, docstring),
)
