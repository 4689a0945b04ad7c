"""Fills of code search: where is what. Own the right answers; know nothing of phrasings or tools."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from distill.facts import ClassFact, Facts, FunctionFact
from distill.generate.filling import Filling
from distill.generate.question import Oracle
from distill.generate.selection import (
    NAME_LENGTH,
    all_of,
    by_basename,
    children_of_bases,
    constants,
    good_path,
    once_classes,
    once_functions,
    place_of,
)
from distill.generate.templates import SHOWN, Template


def subclasses(facts: Facts, template: Template) -> Iterator[Filling]:
    for base, found in children_of_bases(facts).items():
        if len(found) <= SHOWN:
            yield {"base": base}, all_of((fact.name for fact in found), (fact.path for fact in found))


def class_places(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_classes(facts):
        yield {"name": fact.name}, place_of(fact)


def function_places(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_functions(facts):
        yield {"function": fact.name}, place_of(fact)


def imports_from(facts: Facts, template: Template) -> Iterator[Filling]:
    yield from _imports(facts, named=True)


def imports_module(facts: Facts, template: Template) -> Iterator[Filling]:
    yield from _imports(facts, named=False)


def _imports(facts: Facts, named: bool) -> Iterator[Filling]:
    found: dict[str, set[str]] = defaultdict(set)
    for fact in facts.imports:
        if bool(fact.names) == named:
            found[fact.module].add(fact.path)
    for module, paths in found.items():
        if len(module) <= NAME_LENGTH and len(module.strip(".")) > 1 and len(paths) <= 8:
            yield {"module": module}, all_of(paths)


def decorators(facts: Facts, template: Template) -> Iterator[Filling]:
    found: dict[str, set[str]] = defaultdict(set)
    decorated: list[ClassFact | FunctionFact] = [*facts.classes, *facts.functions]
    for fact in decorated:
        for decorator in fact.decorators:
            found[decorator.split("(", 1)[0]].add(fact.path)
    for name, paths in found.items():
        if len(name) <= NAME_LENGTH and re.fullmatch(r"[A-Za-z_][\w.]*", name) and len(paths) <= 8:
            yield {"decorator": name}, all_of(paths)


def file_places(facts: Facts, template: Template) -> Iterator[Filling]:
    for name, files in by_basename(facts).items():
        if len(files) <= 3 and all(good_path(file.path) for file in files):
            yield {"filename": name}, Oracle("names", tuple(file.path for file in files))


def constant_places(facts: Facts, template: Template) -> Iterator[Filling]:
    for name, line in constants(facts):
        yield {"constant": name}, Oracle("places", (line,))
