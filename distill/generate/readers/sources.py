"""What Python source says that is shown whole: lines of a file with their numbers, or code in a question."""

from __future__ import annotations

import ast
import re
import textwrap
from typing import Any

from distill.facts.complexity import complexity
from distill.generate.readers.reader import Reader, Row

_LINE = re.compile(r"(\d+):(?: (.*))?")
_Defined = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def function_body(result: str, known: dict[str, Any]) -> list[Row]:
    """The function that begins on the first line read, if it ends within these lines: its length, complexity, and how
    many `if`, `return` and `raise` it has, those of functions in it included."""
    node = _first(result)
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return []
    inside = list(ast.walk(node))
    kinds = {"ifs": ast.If, "returns": ast.Return, "raises": ast.Raise}
    counted = {name: sum(isinstance(one, kind) for one in inside) for name, kind in kinds.items()}
    return [{"length": node.end_lineno, "complexity": complexity(node), **counted}]


def fields(result: str, known: dict[str, Any]) -> list[Row]:
    """The annotated fields of the class that begins on the first line read, if it ends within these lines."""
    node = _first(result)
    if not isinstance(node, ast.ClassDef):
        return []
    found = [one.target.id for one in node.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)]
    return [{"field": name} for name in found]


def pasted(result: str, known: dict[str, Any]) -> list[Row]:
    """What the first statement of the code says: bases and methods of a class; parameters, their number and what is
    returned of a function; the value of a constant; the docstring's first line."""
    try:
        source = textwrap.dedent(result)
        node = ast.parse(source).body[0]
    except (SyntaxError, ValueError, IndexError, RecursionError, MemoryError):
        return []
    if isinstance(node, ast.Assign):
        return [{"value": ast.get_source_segment(source, node.value) or ""}]
    if not isinstance(node, _Defined):
        return []
    row: Row = {"doc": (ast.get_docstring(node) or "").split("\n", 1)[0]}
    if isinstance(node, ast.ClassDef):
        functions = [one.name for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
        return [row | {"bases": ", ".join(map(ast.unparse, node.bases)), "count": len(functions)}]
    returns = ast.unparse(node.returns) if node.returns else ""
    return [row | {"parameters": f"({ast.unparse(node.args)})", "returns": returns, "count": _size(node.args)}]


def _first(result: str) -> ast.stmt | None:
    """The first statement of numbered lines; None where it may go on behind them."""
    lines = [match[2] or "" for line in result.split("\n") if (match := _LINE.fullmatch(line))]
    if not lines:
        return None
    margin = len(lines[0]) - len(lines[0].lstrip())
    for end in range(2, len(lines)):  # the first line at the margin behind which what came before is whole
        text = lines[end]
        if text.strip() and len(text) - len(text.lstrip()) <= margin:
            try:
                return ast.parse(textwrap.dedent("\n".join(lines[:end]))).body[0]
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
    return None


def _size(arguments: ast.arguments) -> int:
    plain = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return len(plain) + bool(arguments.vararg) + bool(arguments.kwarg)


ALL: tuple[Reader, ...] = (function_body, fields, pasted)
