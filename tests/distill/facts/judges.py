"""What other tools say of a repository: ripgrep, universal-ctags, and an `ast` walk in another style than ours.

Each judge is given a fact and names what it holds against it. Nothing here uses what `distill.facts` reads with.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import shutil
import subprocess
import tokenize
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyripgrep

from distill.facts import ClassFact, ConstantFact, Facts, FileFact, FunctionFact, ImportFact, Place

Fact = ClassFact | FunctionFact | ImportFact | ConstantFact | FileFact
Line = tuple[str, int]
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Package:
    """A repository as the tools see it."""

    def __init__(self, root: Path, facts: Facts) -> None:
        self.root, self.facts = root, facts
        self._trees: dict[str, dict[Line, list[Any]]] = {}

    def lines(self, pattern: str) -> dict[Line, str]:
        """The lines that ripgrep finds, by file and number."""
        found = pyripgrep.Grep().search(pattern, path=str(self.root), output_mode="content", n=True)
        parts = [line.removeprefix(f"{self.root}/").split(":", 2) for line in found]
        return {(path, int(number)): text for path, number, text in parts}

    @cached_property
    def class_lines(self) -> dict[Line, str]:
        return self.lines(r"^[\s\f]*class\s+\w+")

    @cached_property
    def function_lines(self) -> dict[Line, str]:
        return self.lines(r"^[\s\f]*(async\s+)?def\s+\w+")

    @cached_property
    def import_lines(self) -> dict[Line, str]:
        return self.lines(r"\b(from|import)\b")

    @cached_property
    def constant_lines(self) -> dict[Line, str]:
        return self.lines(r"^\w+ = ")

    @cached_property
    def dataclass_lines(self) -> dict[Line, str]:
        return self.lines(r"^\s*@(\w+\.)*dataclass\b")

    @cached_property
    def tags(self) -> dict[tuple[str, int], list[tuple[str, str, str]]]:
        """What ctags finds at a line: name, kind and scope. Empty where there is no ctags that can tell."""
        found: dict[Line, list[tuple[str, str, str]]] = defaultdict(list)
        program = shutil.which("ctags")
        told = program and subprocess.run([program, "--list-features"], capture_output=True, text=True, check=False)
        if not program or not told or "json" not in told.stdout:
            return found
        command = [
            program,
            "-R",
            "--languages=Python",
            "--map-Python=+.pyi",
            "--fields=+nKZ",
            "--output-format=json",
            "-f",
            "-",
            ".",
        ]
        for line in subprocess.run(command, cwd=self.root, capture_output=True, check=True).stdout.splitlines():
            tag: dict[str, Any] = json.loads(line)
            if tag["_type"] == "tag":
                place = (tag["path"].removeprefix("./"), tag["line"])
                found[place].append((tag["name"], tag["kind"], tag.get("scope", "")))
        return found

    def trail(self, fact: ClassFact | FunctionFact) -> list[Any]:
        """What is around a class or function of that name at that line, and itself at the end; empty without one."""
        if fact.path not in self._trees:
            tree = ast.parse((self.root / fact.path).read_bytes())
            self._trees[fact.path] = {(trail[-1].name, trail[-1].lineno): trail for trail in _trails(tree)}
        return self._trees[fact.path].get((fact.name, fact.line), [])

    @cached_property
    def line_counts(self) -> dict[str, int]:
        """What `wc -l` counts in each file."""
        paths = [file.path for file in self.facts.files]
        told = subprocess.run(["wc", "-l", *paths], cwd=self.root, capture_output=True, text=True, check=True).stdout
        found = [line.split(maxsplit=1) for line in told.splitlines()]
        return {path: int(count) for count, path in found}

    @cached_property
    def strings(self) -> Callable[[str], list[tokenize.TokenInfo]]:
        """The strings of a file."""

        def read(path: str) -> list[tokenize.TokenInfo]:
            with (self.root / path).open("rb") as file:
                return [token for token in tokenize.tokenize(file.readline) if token.type == tokenize.STRING]

        return cache(read)

    def in_text(self, place: Line) -> bool:
        """Whether a line begins inside of a string."""
        return any(token.start[0] < place[1] <= token.end[0] for token in self.strings(place[0]))

    def block(self, fact: ClassFact | FunctionFact) -> list[str]:
        """The lines that the standard library takes for a class or a function."""
        with tokenize.open(self.root / fact.path) as file:
            return inspect.getblock(file.readlines()[fact.line - 1 :])


def _trails(tree: ast.AST) -> list[list[Any]]:
    """Each class and function with what is around it, by the parents of all nodes."""
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    found = []
    for node in ast.walk(tree):
        if node is not tree and isinstance(node, (ast.ClassDef, *_FUNCTIONS)):
            around = [node]
            while around[-1] in parents:
                around.append(parents[around[-1]])
            found.append([one for one in reversed(around[:-1]) if isinstance(one, (ast.ClassDef, *_FUNCTIONS))])
    return sorted(found, key=lambda trail: (trail[-1].lineno, trail[-1].col_offset))


def ripgrep(package: Package, fact: Fact) -> Iterator[str]:
    """What the line that a fact names looks like; and `wc`, how many lines a file has."""
    if isinstance(fact, FileFact):
        if fact.lines != package.line_counts.get(fact.path, 0):
            yield "lines"
        return
    place = (fact.path, fact.line)
    if isinstance(fact, ClassFact):
        yield from _at(package.class_lines, place, rf"\s*class\s+{fact.name}\b")
        if fact.dataclass != any(line in package.dataclass_lines for line in _above(package, fact)):
            yield "dataclass"
    elif isinstance(fact, FunctionFact):
        yield from _at(package.function_lines, place, rf"\s*(async\s+)?def\s+{fact.name}\b")
    elif isinstance(fact, ImportFact):
        words = (
            rf"from\s+{re.escape(fact.module)}\s+import\b" if fact.names else rf"import\b.*{re.escape(fact.module)}\b"
        )
        yield from _at(package.import_lines, place, rf"\s*{words}")
    elif package.constant_lines.get(place, "").strip() != f"{fact.name} = {fact.value}".strip():
        yield "value"


def _at(lines: dict[Line, str], place: Line, pattern: str) -> Iterator[str]:
    if place not in lines or not re.match(pattern, lines[place]):
        yield "place"


def _above(package: Package, fact: ClassFact) -> list[Line]:
    """The lines of a class's decorators."""
    decorators = [one for node in package.trail(fact)[-1:] for one in node.decorator_list]
    return [(fact.path, line) for one in decorators for line in range(one.lineno, fact.line)]


def ctags(package: Package, fact: Fact) -> Iterator[str]:
    """The name, kind and scope of what is declared at a line."""
    if not package.tags or not isinstance(fact, ClassFact | FunctionFact):
        return
    scopes = [(kind, scope) for name, kind, scope in package.tags.get((fact.path, fact.line), []) if name == fact.name]
    if isinstance(fact, ClassFact):
        if not any(kind == "class" for kind, _ in scopes):
            yield "place"
    elif not any(kind in ("function", "member") for kind, _ in scopes):
        yield "place"
    elif fact.owner != next((scope.split(".")[-1] for kind, scope in scopes if kind == "member"), ""):
        yield "owner"


def anew(package: Package, fact: Fact) -> Iterator[str]:
    """All that a class or a function says, out of its node."""
    if isinstance(fact, ClassFact | FunctionFact):
        trail = package.trail(fact)
        if not trail:
            yield "place"
            return
        source = (package.root / fact.path).read_text(encoding="utf-8")
        yield from _alike(package, fact, trail)
        yield from _of_class(fact, trail[-1]) if isinstance(fact, ClassFact) else _of_function(fact, trail, source)


def _alike(package: Package, fact: ClassFact | FunctionFact, trail: list[Any]) -> Iterator[str]:
    node = trail[-1]
    if fact.lines != len(package.block(fact)):
        yield "lines"
    if fact.nested != (len(trail) > 1):
        yield "nested"
    if not _same(fact.decorators, node.decorator_list):
        yield "decorators"
    doc = (ast.get_docstring(node) or "").split("\n")[0].strip()
    if fact.doc and fact.doc != doc:
        yield "doc"


def _of_class(fact: ClassFact, node: Any) -> Iterator[str]:
    if not _same(fact.bases, node.bases):
        yield "bases"
    inside = [trail[0] for trail in _trails(node) if len(trail) == 1]
    if list(fact.methods) != list(dict.fromkeys(one.name for one in inside if isinstance(one, _FUNCTIONS))):
        yield "methods"
    ends = {re.split(r"\W+", ast.unparse(base).partition("[")[0])[-1] for base in node.bases}
    if fact.protocol != ("Protocol" in ends):
        yield "protocol"


def _of_function(fact: FunctionFact, trail: list[Any], source: str) -> Iterator[str]:
    node = trail[-1]
    around = trail[-2] if len(trail) > 1 else None
    if fact.owner != (around.name if isinstance(around, ast.ClassDef) else ""):
        yield "owner"
    if not _same((fact.returns,) if fact.returns else (), [node.returns] if node.returns else []):
        yield "returns"
    if fact.head != source.split("\n")[node.lineno - 1].rstrip():
        yield "head"
    if fact.parameters != _compiled(node):
        yield "parameters"
    written = [*node.args.defaults, *(one for one in node.args.kw_defaults if one)]
    if not _same(tuple(default for default in fact.defaults if default), written):
        yield "defaults"
    have = [name for name, default in zip_longest(fact.parameters, fact.defaults) if default]
    plain = [one.arg for one in (*node.args.posonlyargs, *node.args.args)]
    least = len(plain) - len(node.args.defaults)
    keyword = {one.arg for one, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if default}
    if have != plain[least:] + [name for name in fact.parameters if name in keyword]:
        yield "defaults' places"
    if fact.complexity != sum(map(_decisions, ast.walk(node))):  # itself is one
        yield "complexity"


def _compiled(node: Any) -> tuple[str, ...]:
    """The parameters that the compiler sees."""
    stub: Any = ast.parse("def f(): ...")
    stub.body[0].args = node.args
    code = compile("from __future__ import annotations\n" + ast.unparse(stub), "stub", "exec")
    (made,) = [one for one in code.co_consts if getattr(one, "co_name", "") == "f"]
    names, plain = list(made.co_varnames), made.co_argcount
    keyword = plain + made.co_kwonlyargcount
    stars = names[keyword:]
    rest = [f"*{stars.pop(0)}"] if made.co_flags & 0x04 else []
    return (
        *names[:plain],
        *rest,
        *names[plain:keyword],
        *(f"**{name}" for name in stars[: bool(made.co_flags & 0x08)]),
    )


def _decisions(node: ast.AST) -> int:
    match node:
        case ast.If() | ast.For() | ast.AsyncFor() | ast.While() | ast.ExceptHandler():
            return 1
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.match_case():
            return 1
        case ast.Try(orelse=[_, *_]):
            return 1
        case ast.Match(cases=[*_, ast.match_case(guard=None, pattern=ast.MatchAs(pattern=None | ast.MatchAs()))]):
            return -1
        case _:
            return 0


def _same(texts: tuple[str, ...], nodes: list[Any]) -> bool:
    """Whether texts are the expressions that the nodes are."""
    read = [ast.dump(ast.parse(f"({text})", mode="eval").body) for text in texts]
    return read == [ast.dump(node) for node in nodes]


def found_alone(package: Package) -> Iterator[tuple[str, Line, str]]:
    """Heads of classes and functions that ripgrep finds and no fact has: kind, place and line."""
    classes = {(fact.path, fact.line) for fact in package.facts.classes}
    functions = {(fact.path, fact.line) for fact in package.facts.functions}
    for kind, lines, known in (("class", package.class_lines, classes), ("def", package.function_lines, functions)):
        yield from ((kind, place, text) for place, text in lines.items() if place not in known and _is_python(place))


def _is_python(place: Line) -> bool:
    return place[0].endswith((".py", ".pyi"))


def places(package: Package, name: str) -> set[Place]:
    """The lines that hold a name as a word, by ripgrep."""
    return {Place(path, line) for path, line in package.lines(rf"\b{name}\b")}
