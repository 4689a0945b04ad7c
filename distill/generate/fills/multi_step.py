"""Fills of questions in several steps. Own the right answers; know nothing of the steps."""

from __future__ import annotations

import ast
import posixpath
import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterator

from distill.facts import ClassFact, Facts, FunctionFact
from distill.generate.filling import Filling
from distill.generate.question import Oracle
from distill.generate.selection import (
    all_of,
    also_by_dots,
    base_names,
    children_of_bases,
    constants,
    good_doc,
    good_line,
    good_module,
    good_path,
    largest,
    once_classes,
    once_functions,
    once_named,
    place_of,
    plain_files,
    plainly_methodical,
    source_of,
    top,
    with_parent,
)
from distill.generate.templates import Template


def named_line_counts(facts: Facts, template: Template) -> Iterator[Filling]:
    for name, file in once_named(facts):
        yield {"filename": name}, Oracle("number", (str(file.lines),), (file.path,))


def named_first_lines(facts: Facts, template: Template) -> Iterator[Filling]:
    for name, file in once_named(facts):
        if good_line(file.first):
            yield {"filename": name}, Oracle("text", (file.first,))


def named_classes(facts: Facts, template: Template) -> Iterator[Filling]:
    for name, file in once_named(facts):
        if oracle := top(facts.classes, file.path):
            yield {"filename": name}, oracle


def class_docs(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_classes(facts):
        if good_doc(fact):
            yield {"name": fact.name}, Oracle("text", (fact.doc,))


def function_docs(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_functions(facts):
        if good_doc(fact):
            yield {"function": fact.name}, Oracle("text", (fact.doc,))


def class_file_lines(facts: Facts, template: Template) -> Iterator[Filling]:
    lines = {file.path: file.lines for file in plain_files(facts)}
    for fact in once_classes(facts):
        if fact.path in lines:
            yield {"name": fact.name}, Oracle("number", (str(lines[fact.path]),), (fact.path,))


def class_siblings(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_classes(facts):
        if not fact.nested and good_path(fact.path) and (oracle := _beside(fact.name, top(facts.classes, fact.path))):
            yield {"name": fact.name}, oracle


def function_siblings(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_functions(facts):
        oracle = _beside(fact.name, top(facts.functions, fact.path))
        if not fact.nested and good_path(fact.path) and oracle:
            yield {"function": fact.name}, oracle


def _beside(name: str, oracle: Oracle | None) -> Oracle | None:
    """The others of a file; the one that was asked about may be named with them."""
    others = tuple(other for other in oracle.value if other != name) if oracle else ()
    return all_of(others, (*oracle.allowed, name)) if oracle and others else None


def parent_places(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact, parent in with_parent(facts):
        yield {"name": fact.name}, place_of(parent)


def grandparents(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact, parent in with_parent(facts):
        if parent.bases:
            oracle = base_names(parent)
            yield {"name": fact.name}, Oracle("names", oracle.value, (*oracle.allowed, parent.name))


def parent_file_lines(facts: Facts, template: Template) -> Iterator[Filling]:
    lines = {file.path: file.lines for file in plain_files(facts)}
    for fact, parent in with_parent(facts):
        if parent.path in lines:
            yield {"name": fact.name}, Oracle("number", (str(lines[parent.path]),), (parent.path,))


def first_class_docs(facts: Facts, template: Template) -> Iterator[Filling]:
    yield from _class_docs_at(facts, 0)


def second_class_docs(facts: Facts, template: Template) -> Iterator[Filling]:
    yield from _class_docs_at(facts, 1)


def last_class_docs(facts: Facts, template: Template) -> Iterator[Filling]:
    yield from _class_docs_at(facts, -1)


def _class_docs_at(facts: Facts, at: int) -> Iterator[Filling]:
    for name, file in once_named(facts):
        found = [fact for fact in facts.classes if fact.path == file.path and not fact.nested]
        if 2 <= len(found) <= 8 and good_doc(found[at]):
            yield {"filename": name}, Oracle("text", (found[at].doc,))


def last_function_docs(facts: Facts, template: Template) -> Iterator[Filling]:
    for name, file in once_named(facts):
        found = [fact for fact in facts.functions if fact.path == file.path and not fact.nested]
        if 2 <= len(found) <= 10 and good_line(found[-1].doc):
            yield {"filename": name}, Oracle("text", (found[-1].doc,))


def only_child_docs(facts: Facts, template: Template) -> Iterator[Filling]:
    for base, child in _only_children(facts):
        if good_doc(child):
            yield {"base": base}, Oracle("text", (child.doc,))


def only_child_lines(facts: Facts, template: Template) -> Iterator[Filling]:
    lines = {file.path: file.lines for file in plain_files(facts)}
    for base, child in _only_children(facts):
        if child.path in lines:
            yield {"base": base}, Oracle("number", (str(lines[child.path]),), (child.path,))


def only_grandchildren(facts: Facts, template: Template) -> Iterator[Filling]:
    only = dict(_only_children(facts))
    for base, child in only.items():
        if child.name in only and child.name != base:
            grandchild = only[child.name]
            yield {"base": base}, Oracle("names", (grandchild.name,), (grandchild.path, child.path, child.name))


def _only_children(facts: Facts) -> Iterator[tuple[str, ClassFact]]:
    once = {fact.name for fact in once_classes(facts)}
    for base, children in children_of_bases(facts).items():
        if len(children) == 1 and children[0].name in once:
            yield base, children[0]


def only_importer_lines(facts: Facts, template: Template) -> Iterator[Filling]:
    lines = {file.path: file.lines for file in plain_files(facts)}
    for module, path in _only_importers(facts):
        if path in lines:
            yield {"module": module}, Oracle("number", (str(lines[path]),), (path,))


def only_importer_classes(facts: Facts, template: Template) -> Iterator[Filling]:
    for module, path in _only_importers(facts):
        if oracle := top(facts.classes, path):
            yield {"module": module}, oracle


def _only_importers(facts: Facts) -> Iterator[tuple[str, str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for fact in facts.imports:
        if fact.names and good_module(fact.module):
            found[fact.module].append(fact.path)
    otherwise = also_by_dots(facts)
    for module, paths in found.items():
        if len(set(paths)) == 1 and module not in otherwise:
            yield module, paths[0]


def constant_file_lines(facts: Facts, template: Template) -> Iterator[Filling]:
    lines = {file.path: file.lines for file in plain_files(facts)}
    for name, place in constants(facts):
        path = place.rsplit(":", 1)[0]
        if path in lines:
            yield {"constant": name}, Oracle("number", (str(lines[path]),), (path,))


def constant_classes(facts: Facts, template: Template) -> Iterator[Filling]:
    for name, place in constants(facts):
        if oracle := top(facts.classes, place.rsplit(":", 1)[0]):
            yield {"constant": name}, oracle


def class_folders(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_classes(facts):
        folder = posixpath.dirname(fact.path) or "."
        if len(facts.folders[folder]) <= 12:
            yield {"name": fact.name}, all_of(facts.folders[folder], (folder, fact.path))


def largest_file_lines(facts: Facts, template: Template) -> Iterator[Filling]:
    lines = {file.path: file.lines for file in plain_files(facts)}
    for folder, path in largest(facts):
        if path in lines:
            yield {"folder": folder}, Oracle("number", (str(lines[path]),), (path, posixpath.basename(path)))


def largest_file_classes(facts: Facts, template: Template) -> Iterator[Filling]:
    for folder, path in largest(facts):
        if oracle := top(facts.classes, path):
            allowed = (*oracle.allowed, posixpath.basename(path))
            yield {"folder": folder}, Oracle(oracle.kind, oracle.value, allowed)


def longest_functions(facts: Facts, template: Template) -> Iterator[Filling]:
    for path, fact in _longest(facts):
        yield {"path": path}, Oracle("names", (fact.name,), (path,))


def longest_function_docs(facts: Facts, template: Template) -> Iterator[Filling]:
    for path, fact in _longest(facts):
        if good_doc(fact):
            yield {"path": path}, Oracle("text", (fact.doc,))


def named_longest_functions(facts: Facts, template: Template) -> Iterator[Filling]:
    longest = dict(_longest(facts))
    for name, file in once_named(facts):
        if file.path in longest:
            yield {"filename": name}, Oracle("names", (longest[file.path].name,), (file.path,))


def _longest(facts: Facts) -> Iterator[tuple[str, FunctionFact]]:
    """Files with functions at the margin, and the longest of these, where it is a few lines longer than any other."""
    found: dict[str, list[FunctionFact]] = defaultdict(list)
    for fact in facts.functions:
        if not fact.nested:
            found[fact.path].append(fact)
    for path, ones in found.items():
        ranked = sorted(ones, key=lambda fact: -fact.lines)
        if good_path(path) and 3 <= len(ones) <= 12 and ranked[0].lines > ranked[1].lines + 3:
            yield path, ranked[0]


def function_lengths(facts: Facts, template: Template) -> Iterator[Filling]:
    yield from _short_functions(facts, lambda fact, node: fact.lines)


def complexities(facts: Facts, template: Template) -> Iterator[Filling]:
    yield from _short_functions(facts, lambda fact, node: fact.complexity)


def return_counts(facts: Facts, template: Template) -> Iterator[Filling]:
    yield from _short_functions(facts, lambda fact, node: _inside(node, ast.Return))


def if_counts(facts: Facts, template: Template) -> Iterator[Filling]:
    yield from _short_functions(facts, lambda fact, node: _inside(node, ast.If))


def _inside(node: ast.AST, kind: type[ast.AST]) -> int:
    return sum(isinstance(one, kind) for one in ast.walk(node))


def _short_functions(facts: Facts, counted: Callable[[FunctionFact, ast.AST], int]) -> Iterator[Filling]:
    """Functions short enough to be read at once, with what is counted in them."""
    for fact in once_functions(facts):
        if 4 <= fact.lines <= 24:
            try:
                node = ast.parse(textwrap.dedent(source_of(facts, fact)))
            except SyntaxError:  # lines of a text in it may begin at the margin
                continue
            if count := counted(fact, node):
                yield {"function": fact.name}, Oracle("number", (str(count),), (fact.path,))


def dataclass_fields(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_classes(facts):
        if fact.dataclass and fact.lines <= 24:
            try:
                (node,) = ast.parse(textwrap.dedent(source_of(facts, fact))).body
            except (SyntaxError, ValueError):
                continue
            body = node.body if isinstance(node, ast.ClassDef) else []
            annotated = [one.target for one in body if isinstance(one, ast.AnnAssign)]
            if any(mark in source_of(facts, fact) for mark in ("ClassVar", "InitVar", "KW_ONLY")):
                continue  # not all that is annotated is a field
            names = [target.id for target in annotated if isinstance(target, ast.Name)]
            if 1 <= len(names) <= 8:
                yield {"name": fact.name}, all_of(names, (fact.path,))


def class_methods(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_classes(facts):
        if not fact.nested and good_path(fact.path) and 1 <= len(fact.methods) <= 8:
            yield {"name": fact.name}, all_of(fact.methods, (fact.path,))


def class_method_counts(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_classes(facts):
        if good_path(fact.path) and len(fact.methods) <= 20 and plainly_methodical(facts, fact):
            yield {"name": fact.name}, Oracle("number", (str(len(fact.methods)),), (fact.path,))
