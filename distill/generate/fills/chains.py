"""Fills of questions in many steps, from one thing to the next. Own the right answers; know nothing of the steps."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TypeVar

from distill.facts import ClassFact, Facts, ImportFact
from distill.generate.filling import Filling
from distill.generate.question import Oracle
from distill.generate.selection import (
    all_of,
    base_names,
    good_doc,
    once_classes,
    once_functions,
    once_named,
    place_of,
    plain_files,
    top,
    with_parent,
)
from distill.generate.templates import Template

_One = TypeVar("_One")


def parent_docs(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact, parent in with_parent(facts):
        if good_doc(parent):
            yield {"name": fact.name}, Oracle("text", (parent.doc,))


def parent_siblings(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact, parent in with_parent(facts):
        if not parent.nested and parent.path != fact.path and (oracle := top(facts.classes, parent.path)):
            yield {"name": fact.name}, oracle


def parent_methods(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact, parent in with_parent(facts):
        if not parent.nested and 1 <= len(parent.methods) <= 8:
            yield {"name": fact.name}, all_of(parent.methods, (parent.path, parent.name))


def parent_folders(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact, parent in with_parent(facts):
        entries = facts.folders[posixpath.dirname(parent.path) or "."]
        if parent.path != fact.path and len(entries) <= 12:
            yield {"name": fact.name}, all_of(entries, (posixpath.dirname(parent.path) or ".",))


def grandparent_places(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact, ancestor in _with_grandparent(facts):
        yield {"name": fact.name}, place_of(ancestor)


def grandparent_lines(facts: Facts, template: Template) -> Iterator[Filling]:
    lines = {file.path: file.lines for file in plain_files(facts)}
    for fact, ancestor in _with_grandparent(facts):
        if ancestor.path in lines:
            yield {"name": fact.name}, Oracle("number", (str(lines[ancestor.path]),), (ancestor.path,))


def grandparent_docs(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact, ancestor in _with_grandparent(facts):
        if good_doc(ancestor):
            yield {"name": fact.name}, Oracle("text", (ancestor.doc,))


def great_grandparents(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact, ancestor in _with_grandparent(facts):
        if ancestor.bases:
            oracle = base_names(ancestor)
            yield {"name": fact.name}, Oracle("names", oracle.value, (*oracle.allowed, ancestor.name))


def _with_grandparent(facts: Facts) -> Iterator[tuple[ClassFact, ClassFact]]:
    parents = {fact.name: parent for fact, parent in with_parent(facts)}
    for fact, parent in with_parent(facts):
        if parent.name in parents and parents[parent.name] is not fact:
            yield fact, parents[parent.name]


def import_lines(facts: Facts, template: Template) -> Iterator[Filling]:
    lines = {file.path: file.lines for file in plain_files(facts)}
    for slots, path in _by_import(facts, template):
        yield slots, Oracle("number", (str(lines[path]),), (path,))


def import_classes(facts: Facts, template: Template) -> Iterator[Filling]:
    for slots, path in _by_import(facts, template):
        if oracle := top(facts.classes, path):
            yield slots, oracle


def import_functions(facts: Facts, template: Template) -> Iterator[Filling]:
    for slots, path in _by_import(facts, template):
        if oracle := top(facts.functions, path):
            yield slots, oracle


def import_first_docs(facts: Facts, template: Template) -> Iterator[Filling]:
    for slots, path in _by_import(facts, template):
        first = _first_class(facts, path)
        if first is not None and good_doc(first):
            yield slots, Oracle("text", (first.doc,))


def import_first_parents(facts: Facts, template: Template) -> Iterator[Filling]:
    """Where the parent of the first class is defined of the file that is imported first."""
    parents = {fact.name: parent for fact, parent in with_parent(facts)}
    for slots, path in _by_import(facts, template):
        first = _first_class(facts, path)
        if first is not None and first.name in parents:
            yield slots, place_of(parents[first.name])


def import_first_parent_lines(facts: Facts, template: Template) -> Iterator[Filling]:
    lines = {file.path: file.lines for file in plain_files(facts)}
    parents = {fact.name: parent for fact, parent in with_parent(facts)}
    for slots, path in _by_import(facts, template):
        first = _first_class(facts, path)
        if first is not None and first.name in parents and parents[first.name].path in lines:
            where = parents[first.name].path
            yield slots, Oracle("number", (str(lines[where]),), (where,))


def _first_class(facts: Facts, path: str) -> ClassFact | None:
    return min(
        (fact for fact in facts.classes if fact.path == path and not fact.nested), key=lambda f: f.line, default=None
    )


def _by_import(facts: Facts, template: Template) -> Iterator[tuple[dict[str, str], str]]:
    """The template's slots, by where they begin, and the file that is imported first where they lead."""
    beginnings: dict[str, Callable[[Facts], Iterator[tuple[str, str]]]] = {
        "function": lambda facts: ((fact.name, fact.path) for fact in once_functions(facts)),
        "name": lambda facts: ((fact.name, fact.path) for fact in once_classes(facts)),
        "child": lambda facts: ((fact.name, parent.path) for fact, parent in with_parent(facts)),
        "filename": lambda facts: ((name, file.path) for name, file in once_named(facts)),
    }
    (slot,) = template.slots
    imported = _first_imports(facts)
    for value, path in beginnings[slot](facts):
        if path in imported and imported[path] != path:
            yield {slot: value}, imported[path]


def _first_imports(facts: Facts) -> dict[str, str]:
    """For each file the one that its first relative import leads to, where that import stands at the margin, names a
    file and not a package, and no other file is called so."""
    once = {file.path for _, file in once_named(facts)}
    first: dict[str, ImportFact] = {}
    for fact in facts.imports:
        known = first.get(fact.path)
        if fact.module.startswith(".") and (known is None or fact.line < known.line):
            first[fact.path] = fact
    found: dict[str, str] = {}
    for path, fact in first.items():
        line = facts.texts[path].split("\n")[fact.line - 1]
        stem = _relative(path, fact.module)
        if line.startswith("from .") and f"{stem}.py" in once and stem not in facts.folders:
            found[path] = f"{stem}.py"
    return found


def _relative(path: str, module: str) -> str:
    """Where a relative import in a file leads, without suffix: one dot is the file's own folder, each more the one
    above."""
    name = module.lstrip(".")
    folder = posixpath.dirname(path)
    for _ in range(len(module) - len(name) - 1):
        folder = posixpath.dirname(folder)
    return posixpath.join(folder, *name.split("."))


def longer_class_files(facts: Facts, template: Template) -> Iterator[Filling]:
    """Which of two classes is in the longer file; the right answer names it."""
    lines = {file.path: file.lines for file in plain_files(facts)}
    found = [fact for fact in once_classes(facts) if fact.path in lines]
    for one, other in _in_twos(found):
        if lines[one.path] != lines[other.path]:
            longer, shorter = (one, other) if lines[one.path] > lines[other.path] else (other, one)
            yield {"one": one.name, "other": other.name}, Oracle("choice", (longer.name, shorter.name))


def longer_parent_files(facts: Facts, template: Template) -> Iterator[Filling]:
    lines = {file.path: file.lines for file in plain_files(facts)}
    found = [(fact, parent) for fact, parent in with_parent(facts) if parent.path in lines]
    for (one, first), (other, second) in _in_twos(found):
        if lines[first.path] != lines[second.path]:
            longer, shorter = (one, other) if lines[first.path] > lines[second.path] else (other, one)
            yield {"one": one.name, "other": other.name}, Oracle("choice", (longer.name, shorter.name))


def same_file(facts: Facts, template: Template) -> Iterator[Filling]:
    """Classes that follow each other in the facts are of one file, more often than not; others are not."""
    found = once_classes(facts)
    for one, other in [*pairwise(found), *_in_twos(found)]:
        oracle = Oracle("yes" if one.path == other.path else "no", (), (one.path, other.path))
        yield {"one": one.name, "other": other.name}, oracle


def longer_files(facts: Facts, template: Template) -> Iterator[Filling]:
    for one, other in _in_twos([file for file in plain_files(facts) if file.lines]):
        if one.lines != other.lines:
            longer, shorter = (one, other) if one.lines > other.lines else (other, one)
            yield {"one": one.path, "other": other.path}, Oracle("choice", (longer.path, shorter.path))


def summed_files(facts: Facts, template: Template) -> Iterator[Filling]:
    for one, other in _in_twos([file for file in plain_files(facts) if file.lines]):
        yield {"one": one.path, "other": other.path}, Oracle("number", (str(one.lines + other.lines),))


def line_differences(facts: Facts, template: Template) -> Iterator[Filling]:
    for one, other in _in_twos([file for file in plain_files(facts) if file.lines]):
        if one.lines != other.lines:
            yield {"one": one.path, "other": other.path}, Oracle("number", (str(abs(one.lines - other.lines)),))


def _in_twos(found: list[_One]) -> Iterator[tuple[_One, _One]]:
    """Each with another one from elsewhere in the list."""
    for at, one in enumerate(found):
        other = found[(at * 7 + 11) % len(found)]
        if other is not one:
            yield one, other
