"""The items that were written by hand have right answers: oracles against facts of the code, found here anew by `ast`
and by reading lines. It needs the archives that they are about, so it is slow the first time."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from distill.examination.frozen import open_all, read_frozen
from distill.examination.setting import set_questions
from distill.examination.written import shows
from distill.generate.expert import arguments_text
from distill.generate.oracle import right
from distill.generate.question import Oracle
from distill.tools import Toolbox

_CHECKOUT = Path(__file__).resolve().parents[3]
_SHIPPED = _CHECKOUT / "data" / "examinations"
_REPOSITORIES = _CHECKOUT / "data" / "repositories"  # where archives are kept, so that they are fetched once
Node = TypeVar("Node", bound=ast.AST)


def trees(root: Path) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(root.rglob("*.py")):
        yield path.relative_to(root).as_posix(), ast.parse(path.read_bytes())


def nodes(root: Path, kind: type[Node]) -> Iterator[tuple[str, Node]]:
    for path, tree in trees(root):
        for node in ast.walk(tree):
            if isinstance(node, kind):
                yield path, node


def children(root: Path, base: str) -> set[str]:
    """Names of classes that have a base of this name, with or without a module before it."""
    found = nodes(root, ast.ClassDef)
    return {node.name for _, node in found if base in [ast.unparse(one).rsplit(".", 1)[-1] for one in node.bases]}


def importers(root: Path, module: str) -> set[str]:
    plain = {path for path, node in nodes(root, ast.Import) if any(_of(one.name, module) for one in node.names)}
    return plain | {p for p, node in nodes(root, ast.ImportFrom) if node.level == 0 and _of(node.module or "", module)}


def _of(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def parameters(root: Path, path: str, name: str) -> list[str]:
    (node,) = [node for where, node in nodes(root, ast.FunctionDef) if where == path and node.name == name]
    last = ["**" + node.args.kwarg.arg] if node.args.kwarg else []
    return [argument.arg for argument in node.args.args] + last


def numbered(root: Path, suffix: str, pattern: str) -> set[str]:
    """path:line of the lines that a pattern finds in files of a suffix."""
    found = set()
    for path in root.rglob(f"*{suffix}"):
        for number, line in enumerate(path.read_text(errors="replace").split("\n"), start=1):
            if re.search(pattern, line):
                found.add(f"{path.relative_to(root).as_posix()}:{number}")
    return found


def longest(root: Path) -> list[str]:
    lengths = {path.name: path.read_bytes().count(b"\n") for path in (root / "python").glob("grammar*.txt")}
    name = max(lengths, key=lambda one: lengths[one])
    assert sorted(lengths.values())[-2] < lengths[name]  # only one is the longest
    return [name, str(lengths[name])]


def base_constructor(root: Path) -> set[str]:
    classes = {node.name: (path, node) for path, node in nodes(root, ast.ClassDef)}
    _, mock = classes["MockContext"]
    path, base = classes[ast.unparse(mock.bases[0])]
    (line,) = [n.lineno for n in base.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
    return {f"{path}:{line}"}


def session_classes(root: Path) -> set[str]:
    (default,) = [
        node.value.func.id
        for _, node in nodes(root, ast.AnnAssign)
        if ast.unparse(node.target) == "session_interface" and isinstance(node.value, ast.Call)
        if isinstance(node.value.func, ast.Name)
    ]
    (made,) = [node for _, node in nodes(root, ast.ClassDef) if node.name == default]
    return {default, *(ast.unparse(base) for base in made.bases)}


def dataclasses(root: Path) -> set[str]:
    found = nodes(root, ast.ClassDef)
    return {node.name for _, node in found if any("dataclass" in ast.unparse(one) for one in node.decorator_list)}


def _files(places: set[str]) -> set[str]:
    return {place.rpartition(":")[0] for place in places}


FACTS: dict[tuple[str, str], Callable[[Path], object]] = {
    ("quick", "protocols"): lambda root: children(root, "Protocol"),
    ("quick", "importers"): lambda root: importers(root, "decimal"),
    ("quick", "signature"): lambda root: parameters(root, "__init__.py", "format"),
    ("quick", "subclass_count"): lambda root: {str(len(children(root, "Panel")))},
    ("quick", "default_then_base"): session_classes,
    ("autonomous", "protocol"): lambda root: (
        children(root, "Protocol") | _files(numbered(root, ".py", r"class \w+\(Protocol\)"))
    ),
    ("autonomous", "direct_subclasses"): lambda root: children(root, "BadSignature"),
    ("autonomous", "importers"): lambda root: importers(root, "gevent"),
    ("autonomous", "included_headers"): lambda root: _files(numbered(root, ".h", "#include <typeindex>")),
    ("autonomous", "dataclass"): dataclasses,
    ("autonomous", "signature"): lambda root: parameters(root, "command.py", "merge"),
    ("autonomous", "javascript_function"): lambda root: numbered(root, ".js", r"^\s*onPanelRender\("),
    ("autonomous", "longest_file"): longest,
    ("autonomous", "constructor_of_base"): base_constructor,
    ("autonomous", "missing_file"): lambda root: {"missing"} if not (root / "setup.cfg").exists() else {"there"},
    ("autonomous", "arithmetic"): lambda root: {str(14 * 35)},
}
ANSWERS = {
    "protocols": "Two classes do: _CompilerProtocol (util/sqla_compat.py) and _CollectRevisionsProtocol.",
    "subclass_count": "The toolbar comes with 13 panels.",
    "default_then_base": "It uses SecureCookieSessionInterface, which derives from SessionInterface.",
    "protocol": "Yes: WrapperType in _types.py.",
    "direct_subclasses": "BadTimeSignature and BadHeader.",
    "included_headers": "Three do: include/pybind11/detail/common.h, include/pybind11/numpy.h, and "
    "include/pybind11/detail/type_caster_base.h.",
    "dataclass": "It is Trivia, in items.py.",
    "javascript_function": "onPanelRender is defined in static/debug_toolbar/js/utils.js at line 11.",
    "longest_file": "grammar38.txt is the longest, with 171 lines.",
    "constructor_of_base": "It begins in context.py at line 46.",
    "missing_file": "There is no setup.cfg here.",
    "arithmetic": "That is 490 tests.",
    "general_knowledge": "That the page was not found.",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["quick", "autonomous"])
async def test_oracles_are_what_the_code_says(name: str) -> None:
    examination = read_frozen(_SHIPPED / name)
    roots = await open_all(examination.definition.archive, _REPOSITORIES)
    for item in examination.items:
        question = item.question
        fact = FACTS.get((name, question.template))
        if fact is None:
            assert question.template == "general_knowledge"
            continue
        found = fact(roots[question.repository])
        value = list(question.oracle.value)
        assert found == (value if isinstance(found, list) else set(value)), question.template


@pytest.mark.slow
@pytest.mark.parametrize("name", ["quick", "autonomous"])
async def test_the_planned_calls_show_the_answer_and_a_person_would_be_right(name: str) -> None:
    for item in await set_questions(read_frozen(_SHIPPED / name), _CHECKOUT / "data" / "questions", _REPOSITORIES):
        question = item.question
        results = [await item.toolbox.call(call.name, arguments_text(call.arguments)) for call in question.plan]
        assert bool(results) == (question.category != "negative")
        assert not results or shows(question.oracle, results)
        answer = ANSWERS.get(question.template)
        answer = answer or f"The answer is: {', '.join(question.oracle.value)}."
        assert right(question, answer), (question.template, answer)
        assert not right(question, "I do not know, perhaps Foo_bar on line 3 of other/thing.py.")


@pytest.mark.slow
async def test_the_planned_calls_of_the_full_examination_show_the_answers() -> None:
    """Where an oracle is made of names or places; what is counted or said in words is the templates' affair."""
    looked_at = 0
    for item in await set_questions(read_frozen(_SHIPPED / "full"), _CHECKOUT / "data" / "questions", _REPOSITORIES):
        question = item.question
        if not question.plan or question.oracle.kind not in ("names", "some", "ordered", "places"):
            continue
        plain = Toolbox(item.toolbox.root)
        results = [await plain.call(call.name, arguments_text(call.arguments)) for call in question.plan]
        assert shows(question.oracle, results), (question.text, question.oracle, results)
        looked_at += 1
    assert looked_at > 100


@pytest.mark.parametrize(
    ("oracle", "results", "shown"),
    [
        (Oracle("names", ("A", "B")), ["x: class A", "class B"], True),
        (Oracle("names", ("A", "B")), ["x: class A"], False),
        (Oracle("number", ("3",)), ["a\nb\nc"], True),
        (Oracle("number", ("3",)), ["lines: 3"], True),
        (Oracle("number", ("3",)), ["lines: 13\nb"], False),
        (Oracle("number", ("3",)), ["(no output)"], False),
        (Oracle("places", ("a.py:7",)), ["a.py:7:def f"], True),
        (Oracle("places", ("a.py:7",)), ["7:def f"], True),
        (Oracle("places", ("a.py:7",)), ["17:def f"], False),
        (Oracle("places", ("a.py:7", "b.py:9")), ["7 a.py\n9 b.py\n16 total"], True),
        (Oracle("places", ("a.py:7", "b.py:9")), ["7 b.py\n9 a.py\n16 total"], False),
        (Oracle("words", ("Paris", "paris")), ["paris"], True),
        (Oracle("signature", ("a", "*b")), ["def f(a, *b)"], True),
        (Oracle("absent", ("missing",)), ["error: no such file: x"], True),
        (Oracle("absent", ("missing",)), ["(no output)"], True),
        (Oracle("absent", ("missing",)), ["here it is"], False),
    ],
)
def test_what_results_show(oracle: Oracle, results: list[str], shown: bool) -> None:
    assert shows(oracle, results) is shown
