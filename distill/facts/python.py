"""What a Python file declares, by `ast`.

Owns the reading of one module; runs nothing of it. Knows nothing of folders, of questions or of tools.
"""

from __future__ import annotations

import ast
import re
import tokenize
import warnings
from collections import defaultdict
from io import BytesIO

import msgspec

from distill.facts.complexity import Function, complexity, statements_in
from distill.facts.contents import text_of
from distill.facts.records import ClassFact, ConstantFact, FunctionFact, ImportFact, Passed

_TYPING = ("", "typing", "typing_extensions")
_LONE_RETURN = re.compile(rb"\r(?!\n)")
_Outer = ast.ClassDef | Function | None


class Module(msgspec.Struct, frozen=True):
    """What one file declares, each in the order of the source."""

    classes: list[ClassFact] = []
    functions: list[FunctionFact] = []
    imports: list[ImportFact] = []
    constants: list[ConstantFact] = []


def read_module(path: str, content: bytes) -> Module | Passed:
    """What the source `content` declares; `path` is what the facts name it. Or why nothing can be told: it is not valid
    in this Python, or nested deeper than Python reads."""
    if _LONE_RETURN.search(content):
        return Passed.LINE_ENDS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the repository's own odd escapes are not our concern
            tree = ast.parse(content)
        return _Reader(path, content).read(tree)
    except (SyntaxError, ValueError, LookupError, RecursionError, MemoryError):
        return Passed.NOT_PARSED


class _Reader:
    """Walks one module's statements and notes what they declare."""

    def __init__(self, path: str, content: bytes) -> None:
        self._path = path
        self._lines = text_of(content).removeprefix("\ufeff").split("\n")
        self._utf8 = tokenize.detect_encoding(BytesIO(content).readline)[0].startswith("utf-8")
        self._module = Module([], [], [], [])
        self._classes: list[tuple[ast.ClassDef, _Outer]] = []
        self._methods: dict[int, list[str]] = defaultdict(list)  # by the id of the class's node
        self._origins: dict[str, set[str]] = defaultdict(set)  # of names that are imported

    def read(self, tree: ast.Module) -> Module:
        waiting: list[tuple[ast.AST, _Outer]] = [(node, None) for node in reversed(tree.body)]
        while waiting:  # no recursion: a chain of `elif` is as deep as it is long
            node, outer = waiting.pop()
            self._note(node, outer)
            inner = node if isinstance(node, ast.ClassDef | Function) else outer
            waiting += [(below, inner) for below in reversed(list(statements_in(node)))]
        own = {node.name for node, outer in self._classes if outer is None}
        self._module.classes.extend(self._class(node, outer, own) for node, outer in self._classes)
        return self._module

    def _note(self, node: ast.AST, outer: _Outer) -> None:
        if isinstance(node, ast.ClassDef):
            self._classes.append((node, outer))
        elif isinstance(node, Function):
            self._module.functions.append(self._function(node, outer))
            if isinstance(outer, ast.ClassDef):
                self._methods[id(outer)].append(node.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                self._import(node.lineno, alias.name, ())
                self._origins[alias.asname or alias.name.partition(".")[0]].add(
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            self._import(node.lineno, module, tuple(alias.name for alias in node.names))
            for alias in node.names:
                self._origins[alias.asname or alias.name].add(f"{module}.{alias.name}")
        elif isinstance(node, ast.Assign) and outer is None:
            self._assign(node)

    def _import(self, line: int, module: str, names: tuple[str, ...]) -> None:
        self._module.imports.append(ImportFact(self._path, line, module, names))

    def _assign(self, node: ast.Assign) -> None:
        target = node.targets[0]
        if len(node.targets) == 1 and isinstance(target, ast.Name) and node.col_offset == 0:
            line = self._line(node.lineno)
            if node.lineno == node.end_lineno and line.startswith(f"{target.id} = "):
                value = line.removeprefix(f"{target.id} = ").strip()
                self._module.constants.append(ConstantFact(target.id, self._path, node.lineno, value))

    def _class(self, node: ast.ClassDef, outer: _Outer, own: set[str]) -> ClassFact:
        bases = tuple(ast.unparse(base) for base in node.bases)
        decorators = _decorators(node)
        return ClassFact(
            name=node.name,
            path=self._path,
            line=node.lineno,
            bases=bases,
            decorators=decorators,
            doc=self._doc(node),
            nested=outer is not None,
            protocol=any(self._is_protocol(base, own) for base in bases),
            dataclass=any(_last(decorator.partition("(")[0]) == "dataclass" for decorator in decorators),
            methods=tuple(dict.fromkeys(self._methods[id(node)])),
            lines=_length(node),
        )

    def _function(self, node: Function, outer: _Outer) -> FunctionFact:
        parameters = _parameters(node.args)
        return FunctionFact(
            name=node.name,
            path=self._path,
            line=node.lineno,
            parameters=tuple(name for name, _ in parameters),
            returns=ast.unparse(node.returns) if node.returns else "",
            decorators=_decorators(node),
            doc=self._doc(node),
            head=self._line(node.lineno),
            owner=outer.name if isinstance(outer, ast.ClassDef) else "",
            nested=outer is not None,
            defaults=tuple(self._written(default) if default else "" for _, default in parameters),
            complexity=complexity(node),
            lines=_length(node),
        )

    def _is_protocol(self, base: str, own: set[str]) -> bool:
        """Whether a base is typing's Protocol, as far as this file tells: one that it imports from its own package may
        be, one that it defines or imports from elsewhere (asyncio has one) is not."""
        first, dot, rest = base.partition("[")[0].partition(".")
        if first in own and first not in self._origins:
            return False
        for origin in self._origins.get(first, {first}):
            module, _, name = f"{origin}{dot}{rest}".rpartition(".")
            if name == "Protocol" and (module in _TYPING or module.startswith(".")):
                return True
        return False

    def _written(self, node: ast.expr) -> str:
        """An expression as in the source; one of several lines, or whose columns are unsure, as Python prints it."""
        if node.lineno == node.end_lineno and self._utf8:
            line = self._lines[node.lineno - 1].encode()
            return line[node.col_offset : node.end_col_offset].decode(errors="replace")
        return ast.unparse(node)

    def _line(self, number: int) -> str:
        return self._lines[number - 1].rstrip() if number <= len(self._lines) else ""

    def _doc(self, node: ast.ClassDef | Function) -> str:
        """The first line of the docstring if it begins right below a one-line head, else ''."""
        doc = ast.get_docstring(node, clean=True)
        if not doc or node.body[0].lineno != node.lineno + 1:
            return ""
        first = doc.split("\n", 1)[0].strip()
        return first.encode(errors="replace").decode()  # an escape may say half a character


def _length(node: ast.ClassDef | Function) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _last(dotted: str) -> str:
    return dotted.rpartition(".")[2]


def _decorators(node: ast.ClassDef | Function) -> tuple[str, ...]:
    return tuple(ast.unparse(decorator) for decorator in node.decorator_list)


def _parameters(arguments: ast.arguments) -> list[tuple[str, ast.expr | None]]:
    """Each parameter's name, with its stars, and its default."""
    plain = [*arguments.posonlyargs, *arguments.args]
    without = len(plain) - len(arguments.defaults)
    found: list[tuple[str, ast.expr | None]] = [(argument.arg, None) for argument in plain[:without]]
    found += [(argument.arg, default) for argument, default in zip(plain[without:], arguments.defaults, strict=True)]
    if arguments.vararg:
        found.append((f"*{arguments.vararg.arg}", None))
    keyword = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    found += [(argument.arg, default) for argument, default in keyword]
    if arguments.kwarg:
        found.append((f"**{arguments.kwarg.arg}", None))
    return found
