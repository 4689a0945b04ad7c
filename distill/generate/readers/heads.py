"""What a function's head says of its parameters, a class's head of its bases, and what stands above and below heads."""

from __future__ import annotations

import ast
import re
from typing import Any

from distill.generate.readers.reader import Reader, Row
from distill.generate.readers.results import classes, functions, matches, numbered

_BELOW = re.compile(r"(?:(?P<path>[^\n]+?)-)?(?P<line>\d+)-(?P<text>\s*(?:class|def|async def) (?P<defined>\w+).*)")
_ABOVE = re.compile(r"(?:[^\n]+?-)?\d+-\s*(?P<decorator>@.*)")
_TOP = re.compile(r"(?P<line>\d+):(?P<text>.*)")
_METHOD = re.compile(r"(?:    |\t)(?:async )?def (?P<method>\w+)")


def parameter_counts(result: str, known: dict[str, Any]) -> list[Row]:
    """Function heads with how many parameters they have: count."""
    found = ((row, _arguments(row["parameters"])) for row in functions(result, known))
    return [row | {"count": len(arguments)} for row, arguments in found if arguments]


def parameter_of(result: str, known: dict[str, Any]) -> list[Row]:
    """What the heads say of the parameter that is asked for: its default and its annotation, where it has any."""
    rows = []
    for row in functions(result, known):
        found = {name.lstrip("*"): told for name, *told in _arguments(row["parameters"])}
        if known["parameter"] in found:
            annotation, default = found[known["parameter"]]
            rows.append(row | {"annotation": annotation, "default": default})
    return rows


def defaulted(result: str, known: dict[str, Any]) -> list[Row]:
    """The same, where the parameter has a default."""
    return [row for row in parameter_of(result, known) if row["default"]]


def annotated(result: str, known: dict[str, Any]) -> list[Row]:
    """The same, where the parameter has an annotation."""
    return [row for row in parameter_of(result, known) if row["annotation"]]


def coroutines(result: str, known: dict[str, Any]) -> list[Row]:
    """Heads that begin with `async def`."""
    return [row for row in matches(result, known) if row["text"].strip().startswith("async def ")]


def children(result: str, known: dict[str, Any]) -> list[Row]:
    """Class heads with the base that is asked for among their bases."""
    wanted = known["base"]
    return [row for row in classes(result, known) if wanted in re.findall(r"\w+", row["bases"])]


def below(result: str, known: dict[str, Any]) -> list[Row]:
    """The classes and functions on the lines after a match (`grep -A`): defined, and where."""
    found = (_BELOW.fullmatch(line) for line in result.split("\n"))
    return [{key: value for key, value in match.groupdict().items() if value} for match in found if match]


def above(result: str, known: dict[str, Any]) -> list[Row]:
    """The decorators right before a match (`grep -B`): decorator."""
    rows: list[Row] = []
    for line in result.split("\n"):
        if match := _ABOVE.fullmatch(line):
            rows.append({"decorator": match["decorator"].strip()})
        elif re.match(r"(?:[^\n]+?:)?\d+:", line):
            break
        else:
            rows = []
    return rows


def methods(result: str, known: dict[str, Any]) -> list[Row]:
    """The methods of the class that is asked for, among the lines that begin at the margin and the heads of methods."""
    rows: list[Row] = []
    inside = False
    for line in result.split("\n"):
        top = _TOP.fullmatch(line)
        if top is None:
            continue
        if re.match(rf"class {re.escape(known.get('owner') or known['name'])}\b", top["text"]):
            inside = True
        elif top["text"][:1].strip(" \t)"):
            inside = False
        elif inside and (method := _METHOD.match(top["text"])):
            rows.append({"method": method["method"], "line": int(top["line"])})
    return rows


def longest(result: str, known: dict[str, Any]) -> list[Row]:
    """The function that is the longest by where the next line at the margin stands; `count` lines are known."""
    rows = numbered(result, known)
    ends = [row["line"] for row in rows[1:]] + [known["count"] + 1]
    found = []
    for row, end in zip(rows, ends, strict=True):
        if head := re.match(r"(?:async )?def (\w+)", row["text"]):
            found.append({"function": head[1], "line": row["line"], "length": end - row["line"]})
    return sorted(found, key=lambda row: -row["length"])


def _arguments(parameters: str) -> list[tuple[str, str, str]]:
    """Name, annotation and default of each parameter between the brackets, in order and as written."""
    source = f"def f{parameters}: ..."
    try:
        head = ast.parse(source).body[0]
    except (SyntaxError, ValueError):
        return []
    if not isinstance(head, ast.FunctionDef):
        return []
    found = head.args
    plain = [*found.posonlyargs, *found.args]
    defaults = [None] * (len(plain) - len(found.defaults)) + list(found.defaults)
    told = [("", one, default) for one, default in zip(plain, defaults, strict=True)]
    told += [("*", found.vararg, None)] if found.vararg else []
    told += [("", one, default) for one, default in zip(found.kwonlyargs, found.kw_defaults, strict=True)]
    told += [("**", found.kwarg, None)] if found.kwarg else []
    return [(stars + one.arg, _written(source, one.annotation), _written(source, value)) for stars, one, value in told]


def _written(source: str, node: ast.expr | None) -> str:
    return ast.get_source_segment(source, node) or "" if node else ""


ALL: tuple[Reader, ...] = (
    *(parameter_counts, parameter_of, defaulted, annotated, coroutines, children),
    *(below, above, methods, longest),
)
