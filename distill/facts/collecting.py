"""Facts about a Python repository, found by `ast`: what the right answers are made from.

Owns the reading of source. Knows nothing of questions or of tools; that the answers of questions come from here and
not from the tools' output is what makes them an oracle.
"""

from __future__ import annotations

import ast
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import msgspec

MAX_FILE_BYTES = 1_000_000
_PYTHON = (".py", ".pyi")
_Function = ast.FunctionDef | ast.AsyncFunctionDef


class FileFact(msgspec.Struct, frozen=True):
    """`lines` counts line ends, as `wc -l` does; `first` is the first line without its end."""

    path: str
    size: int
    lines: int
    first: str
    binary: bool = False


class ClassFact(msgspec.Struct, frozen=True):
    """`bases` are written as in the source; `doc` is the docstring's first line, if it begins on the next line."""

    name: str
    path: str
    line: int
    bases: tuple[str, ...]
    decorators: tuple[str, ...]
    doc: str
    nested: bool


class FunctionFact(msgspec.Struct, frozen=True):
    """`parameters` by name, in order, with `*` and `**`; `head` is the source line; `owner` the class or ''."""

    name: str
    path: str
    line: int
    parameters: tuple[str, ...]
    returns: str
    decorators: tuple[str, ...]
    doc: str
    head: str
    owner: str
    nested: bool


class ImportFact(msgspec.Struct, frozen=True):
    """`module` as written, with its leading dots; `names` is empty for a plain `import`."""

    path: str
    line: int
    module: str
    names: tuple[str, ...]


class ConstantFact(msgspec.Struct, frozen=True):
    """A top-level `NAME = value` that stands on one line."""

    name: str
    path: str
    line: int
    value: str


class Facts(msgspec.Struct, frozen=True):
    repository: str
    files: list[FileFact]
    folders: dict[str, list[str]]
    classes: list[ClassFact]
    functions: list[FunctionFact]
    imports: list[ImportFact]
    constants: list[ConstantFact]
    texts: dict[str, str]
    skipped: int  # files that could not be read or parsed


def collect(root: Path, repository: str | None = None) -> Facts:
    """The facts of a folder. Files that do not parse or cannot be read are counted, not failed on."""
    facts = Facts(repository or root.name, [], {}, [], [], [], [], {}, 0)
    skipped = 0
    for path in _files(root, facts.folders):
        name = path.relative_to(root).as_posix()
        try:
            content = path.read_bytes() if path.stat().st_size <= MAX_FILE_BYTES else None
        except OSError:
            content = None
        if content is None or not _add_file(facts, name, content):
            skipped += 1
    return msgspec.structs.replace(facts, skipped=skipped)


def _files(root: Path, folders: dict[str, list[str]]) -> Iterator[Path]:
    """All plain files in a steady order; symbolic links and .git are passed over."""
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if name != ".git" and not (Path(folder) / name).is_symlink())
        here = Path(folder).relative_to(root).as_posix()
        folders[here] = sorted([*names, *(f"{name}/" for name in below)])
        for name in sorted(names):
            path = Path(folder) / name
            if path.is_file() and not path.is_symlink():
                yield path


def _add_file(facts: Facts, name: str, content: bytes) -> bool:
    """Adds what one file says; False where it could not be parsed."""
    binary = b"\0" in content[:8192]
    text = content.decode("utf-8", errors="replace")
    first = "" if binary else text.split("\n", 1)[0].rstrip()
    facts.files.append(FileFact(name, len(content), content.count(b"\n"), first, binary))
    if binary:
        return True
    facts.texts[name] = text
    if not name.endswith(_PYTHON):
        return True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the repository's own odd escapes are not our concern
            tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    _Reader(facts, name, text.split("\n")).visit(tree)
    return True


class _Reader(ast.NodeVisitor):
    """Walks one module and appends what it finds."""

    def __init__(self, facts: Facts, path: str, lines: list[str]) -> None:
        self.facts, self.path, self.lines = facts, path, lines
        self.outer: list[ast.AST] = []

    def _inside(self, node: ast.AST) -> None:
        self.outer.append(node)
        self.generic_visit(node)
        self.outer.pop()

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        bases = tuple(ast.unparse(base) for base in node.bases)
        fact = ClassFact(
            node.name, self.path, node.lineno, bases, _decorators(node), self._doc(node), nested=bool(self.outer)
        )
        self.facts.classes.append(fact)
        self._inside(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._function(node)

    def _function(self, node: _Function) -> None:
        owner = self.outer[-1].name if self.outer and isinstance(self.outer[-1], ast.ClassDef) else ""
        fact = FunctionFact(
            name=node.name,
            path=self.path,
            line=node.lineno,
            parameters=_parameters(node.args),
            returns=ast.unparse(node.returns) if node.returns else "",
            decorators=_decorators(node),
            doc=self._doc(node),
            head=self._line(node.lineno),
            owner=owner,
            nested=bool(self.outer),
        )
        self.facts.functions.append(fact)
        self._inside(node)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.facts.imports.append(ImportFact(self.path, node.lineno, alias.name, ()))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = "." * node.level + (node.module or "")
        names = tuple(alias.name for alias in node.names)
        self.facts.imports.append(ImportFact(self.path, node.lineno, module, names))

    def visit_Assign(self, node: ast.Assign) -> None:
        target = node.targets[0]
        if not self.outer and len(node.targets) == 1 and isinstance(target, ast.Name) and node.col_offset == 0:
            line = self._line(node.lineno)
            if node.lineno == node.end_lineno and line.startswith(f"{target.id} = "):
                value = line.removeprefix(f"{target.id} = ").strip()
                self.facts.constants.append(ConstantFact(target.id, self.path, node.lineno, value))
        self.generic_visit(node)

    def _line(self, number: int) -> str:
        return self.lines[number - 1].rstrip() if number <= len(self.lines) else ""

    def _doc(self, node: ast.ClassDef | _Function) -> str:
        """The first line of the docstring if it begins right below a one-line head, else ''."""
        doc = ast.get_docstring(node, clean=True)
        if not doc or node.body[0].lineno != node.lineno + 1:
            return ""
        return doc.split("\n", 1)[0].strip()


def _decorators(node: ast.ClassDef | _Function) -> tuple[str, ...]:
    return tuple(ast.unparse(decorator) for decorator in node.decorator_list)


def _parameters(arguments: ast.arguments) -> tuple[str, ...]:
    names = [argument.arg for argument in [*arguments.posonlyargs, *arguments.args]]
    if arguments.vararg:
        names.append("*" + arguments.vararg.arg)
    names += [argument.arg for argument in arguments.kwonlyargs]
    if arguments.kwarg:
        names.append("**" + arguments.kwarg.arg)
    return tuple(names)
