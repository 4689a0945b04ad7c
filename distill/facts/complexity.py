"""The cyclomatic complexity of a Python function.

T. J. McCabe, A Complexity Measure, IEEE Transactions on Software Engineering SE-2 (4), 1976: for a structured program
the number of its decisions plus one (section IV). What counts as a decision in Python is what the linters of rule C901
(mccabe, ruff) count: every `if` and `elif`, loop, `except`, `else` of a `try`, and `case` but a last one that always
matches; a function that is defined inside counts one and its own decisions. Conditions within an expression (`and`,
`or`, `x if y else z`, comprehensions) do not count.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

Function = ast.FunctionDef | ast.AsyncFunctionDef
_ONE_EACH = ast.If | ast.For | ast.AsyncFor | ast.While | ast.ExceptHandler | Function
_HELD = ("body", "handlers", "cases", "orelse", "finalbody")


def complexity(function: Function) -> int:
    total = 1
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        total += _decisions(node)
        waiting += statements_in(node)
    return total


def statements_in(node: ast.AST) -> Iterator[ast.AST]:
    """The statements, handlers and cases right inside a node, in the order of the source."""
    for field in _HELD:
        held = getattr(node, field, None)
        if isinstance(held, list):
            yield from held


def _decisions(node: ast.AST) -> int:
    if isinstance(node, _ONE_EACH):
        return 1
    if isinstance(node, ast.Try | ast.TryStar):
        return 1 if node.orelse else 0
    if isinstance(node, ast.Match):
        return len(node.cases) - (1 if _always(node.cases[-1]) else 0)
    return 0


def _always(case: ast.match_case) -> bool:
    """Whether a case matches whatever comes: `case _` or a bare name, also as one of several alternatives."""
    return case.guard is None and _takes_all(case.pattern)


def _takes_all(pattern: ast.pattern) -> bool:
    if isinstance(pattern, ast.MatchAs):
        return pattern.pattern is None or _takes_all(pattern.pattern)
    return isinstance(pattern, ast.MatchOr) and any(map(_takes_all, pattern.patterns))
