"""Layouts: how an agent's tools print what the exploring agent's tools found, and reading that back.

A layout is made of forms with placeholders, such as "{path}:{line}: {text}". Owns both ways between canonical results
and printed ones. Knows nothing of tools' names or arguments.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from string import Formatter
from typing import Any, Literal

import msgspec

from distill.generate.templates import Call
from distill.reading import NOTHING
from distill.vocabularies.forms import search_of

Kind = Literal["matches", "paths", "counts", "lines", "entries"]
Row = dict[str, Any]
FIELDS: dict[str, frozenset[str]] = {
    "matches": frozenset({"path", "line", "text"}),
    "paths": frozenset({"path"}),
    "counts": frozenset({"path", "count"}),
    "lines": frozenset({"line", "text"}),
    "entries": frozenset({"entry"}),
}
_VALUES = {
    "path": r".+?",
    "line": r"\d{1,9}",
    "text": r".*",
    "count": r"\d{1,9}",
    "entry": r".+",
    "missing": r"\d{1,9}",
}
_CANONICAL = {
    "matches": re.compile(r"(?:(?P<path>.+?):)??(?P<line>\d{1,9}):(?P<text>.*)"),
    "paths": re.compile(r"(?P<path>.+)"),
    "counts": re.compile(r"(?:(?P<path>.+?):)?(?P<count>\d{1,9})"),
    "lines": re.compile(r"(?P<line>\d{1,9}): (?P<text>.*)"),
    "entries": re.compile(r"(?P<entry>.+)"),
}
_CUT = re.compile(r"\[(?P<missing>\d{1,9}) more characters not shown\]")


class Layout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`row` is one finding. `group`: a heading over those of one file, `between` the line before each but the first.
    `folder` is the row of an entry that is a folder. `head` and `foot` stand around all ({count}: of rows; {path}: of
    the call), and `nothing` where there are none."""

    row: str
    group: str = ""
    between: str | None = None
    folder: str = ""
    head: str = ""
    foot: str = ""
    nothing: str = NOTHING


def kind_of(call: Call) -> Kind | None:
    """What a canonical call's result is made of; None where it is any text."""
    if call.name == "read_file":
        return "lines"
    if call.name == "list_files":
        return "entries"
    if call.arguments.get("command") == "find":
        return "paths"
    search = search_of(call)
    if search is None or {*search.given} & {"A", "B", "C"}:
        return None
    if search.shows == "lines":
        return "matches" if "n" in search.given else None
    return "paths" if search.shows == "files" else "counts"


def printed(layout: Layout, kind: Kind, call: Call, result: str, cut: str) -> str:
    """A canonical result as the layout has it; `cut` is how the agent says how many characters are {missing}."""
    if result == NOTHING:
        return layout.nothing
    lines = result.split("\n")
    left_out = _CUT.fullmatch(lines[-1])
    rows = [_row(kind, line, call) for line in (lines[:-1] if left_out else lines)]
    about = {"count": sum("" not in row for row in rows), "path": _path(call)}
    shown = [layout.head.format_map(about)] if layout.head else []
    shown += _body(layout, rows)
    shown += [cut.format_map(left_out.groupdict())] if left_out else []
    shown += [layout.foot.format_map(about)] if layout.foot else []
    return "\n".join(shown)


def read(layout: Layout, kind: Kind, call: Call, shown: str, cut: str) -> str:
    """The canonical result that a printed one shows; a line that fits nothing stays as it is."""
    if shown == layout.nothing:
        return NOTHING
    lines = shown.split("\n")
    if layout.head and lines and pattern_of(layout.head).fullmatch(lines[0]):
        del lines[0]
    if layout.foot and lines and pattern_of(layout.foot).fullmatch(lines[-1]):
        del lines[-1]
    return "\n".join(_canonical_lines(layout, kind, call, lines, cut))


def pattern_of(form: str) -> re.Pattern[str]:
    """What a form prints, as a pattern with the placeholders' names. Raises ValueError for a damaged form."""
    pieces: list[str] = []
    for literal, name, spec, _ in Formatter().parse(form):
        pieces.append(re.escape(literal))
        if name is not None:
            pieces.append((" *" if spec else "") + f"(?P<{name}>{_VALUES[name]})")
    return re.compile("".join(pieces))


def _row(kind: Kind, line: str, call: Call) -> Row:
    found = _CANONICAL[kind].fullmatch(line)
    if found is None:
        return {"": line}
    row: Row = {name: value for name, value in found.groupdict().items() if value is not None}
    return row if "path" in row or "path" not in FIELDS[kind] else row | {"path": _path(call)}


def _body(layout: Layout, rows: list[Row]) -> Iterator[str]:
    above = ""
    for row in rows:
        if "" in row:
            yield row[""]
            continue
        if layout.group and row["path"] != above:
            if above and layout.between is not None:
                yield layout.between
            above = row["path"]
            yield layout.group.format_map(row)
        if layout.folder and row["entry"].endswith("/"):
            yield layout.folder.format(entry=row["entry"][:-1])
        else:
            yield layout.row.format_map(row)


def _canonical_lines(layout: Layout, kind: Kind, call: Call, lines: list[str], cut: str) -> Iterator[str]:
    row_form, cut_form = pattern_of(layout.row), pattern_of(cut)
    group_form = pattern_of(layout.group) if layout.group else None
    folder_form = pattern_of(layout.folder) if layout.folder else None
    above = {"path": _path(call)}
    number = int(call.arguments.get("start", 1))
    for at, line in enumerate(lines):
        if at == len(lines) - 1 and (found := cut_form.fullmatch(line)):
            yield f"[{found['missing']} more characters not shown]"
        elif folder_form and (found := folder_form.fullmatch(line)):
            yield found["entry"] + "/"
        elif found := row_form.fullmatch(line):
            yield _said(kind, above | {"line": number} | found.groupdict(), _path(call))
            number += 1
        elif group_form and (found := group_form.fullmatch(line)):
            above = found.groupdict()
        elif not (group_form and line == layout.between):
            yield line


def _said(kind: Kind, row: Row, path: str) -> str:
    """A row as the exploring agent's tools print it, who name no file where only one was asked for."""
    if kind == "lines":
        return f"{int(row['line'])}: {row['text']}"
    if kind in ("paths", "entries"):
        return str(row["path"] if kind == "paths" else row["entry"])
    said = f"{int(row['line'])}:{row['text']}" if kind == "matches" else str(row["count"])
    return said if posixpath.normpath(row["path"]) == path else f"{row['path']}:{said}"


def _path(call: Call) -> str:
    """Where a canonical call looks."""
    search = search_of(call)
    if search is not None:
        return search.path
    words = call.arguments.get("args") or ["."]
    return posixpath.normpath(str(call.arguments.get("path", words[0])))
