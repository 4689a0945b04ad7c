"""Fills of code analysis: what is it like. Own the right answers; know nothing of phrasings or tools."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from distill.facts import Facts
from distill.generate.filling import Filling
from distill.generate.question import Oracle
from distill.generate.selection import (
    VALUE_LENGTH,
    absence,
    all_of,
    base_names,
    good_line,
    good_name,
    good_path,
    once_classes,
    once_functions,
    plain_files,
    python_files,
    top,
)
from distill.generate.templates import Template


def constant_values(facts: Facts, template: Template) -> Iterator[Filling]:
    times = Counter(fact.name for fact in facts.constants)
    for fact in facts.constants:
        short = 0 < len(fact.value) <= 40 and not fact.value.endswith(("(", "[", "{", "\\"))
        if times[fact.name] == 1 and good_name(fact.name) and short:
            yield {"constant": fact.name}, Oracle("text", (fact.value,))


def parameters(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_functions(facts):
        if len(fact.head.strip()) <= VALUE_LENGTH and ")" in fact.head:
            yield {"function": fact.name}, Oracle("signature", fact.parameters)


def returns(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_functions(facts):
        if fact.returns and len(fact.returns) <= 30 and f"-> {fact.returns}:" in fact.head:
            yield {"function": fact.name}, Oracle("text", (f"{fact.name} returns {fact.returns}",))


def bases(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_classes(facts):
        if fact.bases and len(", ".join(fact.bases)) <= VALUE_LENGTH:
            yield {"name": fact.name}, base_names(fact)


def line_counts(facts: Facts, template: Template) -> Iterator[Filling]:
    for file in plain_files(facts):
        yield {"path": file.path}, Oracle("number", (str(file.lines),))


def class_counts(facts: Facts, template: Template) -> Iterator[Filling]:
    times = Counter(fact.path for fact in facts.classes if not fact.nested)
    for file in python_files(facts):
        yield {"path": file.path}, Oracle("number", (str(times[file.path]),))


def function_counts(facts: Facts, template: Template) -> Iterator[Filling]:
    times = Counter(fact.path for fact in facts.functions if not fact.nested)
    for file in python_files(facts):
        yield {"path": file.path}, Oracle("number", (str(times[file.path]),))


def classes_in(facts: Facts, template: Template) -> Iterator[Filling]:
    for file in python_files(facts):
        if oracle := top(facts.classes, file.path):
            yield {"path": file.path}, oracle


def functions_in(facts: Facts, template: Template) -> Iterator[Filling]:
    for file in python_files(facts):
        if oracle := top(facts.functions, file.path):
            yield {"path": file.path}, oracle


def folders(facts: Facts, template: Template) -> Iterator[Filling]:
    for path, entries in facts.folders.items():
        if path != "." and good_path(path) and len(entries) <= 12:
            yield {"path": path}, all_of(entries) if entries else absence("empty")


def first_lines(facts: Facts, template: Template) -> Iterator[Filling]:
    for file in plain_files(facts):
        if good_line(file.first):
            yield {"path": file.path}, Oracle("text", (file.first,))


def lines_at(facts: Facts, template: Template) -> Iterator[Filling]:
    for file in plain_files(facts):
        lines = facts.texts[file.path].split("\n")
        for number in range(7, min(len(lines), 600), 61):
            if good_line(lines[number - 1].strip()):
                yield {"path": file.path, "number": str(number)}, Oracle("text", (lines[number - 1].strip(),))
