"""Fills of questions in several steps. Own the right answers; know nothing of the steps."""

from __future__ import annotations

from collections.abc import Iterator

from distill.facts import ClassFact, Facts
from distill.generate.filling import Filling
from distill.generate.question import Oracle
from distill.generate.selection import (
    base_names,
    good_line,
    good_path,
    once_classes,
    once_functions,
    once_named,
    place_of,
    plain_files,
    top,
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
        if good_line(fact.doc):
            yield {"name": fact.name}, Oracle("text", (fact.doc,))


def function_docs(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_functions(facts):
        if good_line(fact.doc):
            yield {"function": fact.name}, Oracle("text", (fact.doc,))


def class_file_lines(facts: Facts, template: Template) -> Iterator[Filling]:
    lines = {file.path: file.lines for file in plain_files(facts)}
    for fact in once_classes(facts):
        if fact.path in lines:
            yield {"name": fact.name}, Oracle("number", (str(lines[fact.path]),), (fact.path,))


def class_siblings(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_classes(facts):
        if not fact.nested and good_path(fact.path) and (oracle := top(facts.classes, fact.path)):
            yield {"name": fact.name}, oracle


def function_siblings(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_functions(facts):
        if not fact.nested and good_path(fact.path) and (oracle := top(facts.functions, fact.path)):
            yield {"function": fact.name}, oracle


def _with_parent(facts: Facts) -> Iterator[tuple[ClassFact, ClassFact]]:
    once = {fact.name: fact for fact in once_classes(facts)}
    for fact in once.values():
        parent = once.get(fact.bases[0]) if fact.bases else None
        if parent is not None and parent is not fact:
            yield fact, parent


def parent_places(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact, parent in _with_parent(facts):
        yield {"name": fact.name}, place_of(parent)


def grandparents(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact, parent in _with_parent(facts):
        if parent.bases:
            oracle = base_names(parent)
            yield {"name": fact.name}, Oracle("names", oracle.value, (*oracle.allowed, parent.name))


def parent_file_lines(facts: Facts, template: Template) -> Iterator[Filling]:
    lines = {file.path: file.lines for file in plain_files(facts)}
    for fact, parent in _with_parent(facts):
        if parent.path in lines:
            yield {"name": fact.name}, Oracle("number", (str(lines[parent.path]),), (parent.path,))
