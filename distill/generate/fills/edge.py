"""Fills of what is not there, cannot be read, or looks like something else. Know nothing of phrasings or tools."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator

from distill.facts import Facts
from distill.generate.filling import Filling
from distill.generate.question import Oracle
from distill.generate.selection import (
    NAME_LENGTH,
    absence,
    absent_paths,
    all_of,
    children_of_bases,
    good_name,
    good_path,
    once_classes,
    plain_files,
    python_files,
    recombined,
)
from distill.generate.templates import SHOWN, Template


def many_subclasses(facts: Facts, template: Template) -> Iterator[Filling]:
    for base, found in children_of_bases(facts).items():
        if len(found) > SHOWN:
            yield {"base": base}, all_of((fact.name for fact in found), (fact.path for fact in found))


def no_subclasses(facts: Facts, template: Template) -> Iterator[Filling]:
    parents = children_of_bases(facts)
    for fact in once_classes(facts):
        if fact.name not in parents:
            yield {"base": fact.name}, absence("missing")


def several_places(facts: Facts, template: Template) -> Iterator[Filling]:
    places: dict[str, list[str]] = defaultdict(list)
    for fact in facts.functions:
        places[fact.name].append(f"{fact.path}:{fact.line}")
    for name, found in places.items():
        if 2 <= len(found) <= 3 and good_name(name):
            yield {"function": name}, Oracle("places", tuple(found))


def no_bases(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_classes(facts):
        if not fact.bases:
            yield {"name": fact.name}, absence("missing", allowed=("object",))


def beyond_end(facts: Facts, template: Template) -> Iterator[Filling]:
    for file in plain_files(facts):
        if file.size:
            beyond = (file.lines // 100 + 2) * 100
            yield {"path": file.path, "number": str(beyond)}, absence("missing", allowed=())


def absent_classes(facts: Facts, template: Template) -> Iterator[Filling]:
    for name in recombined([fact.name for fact in facts.classes], r"[A-Z][a-z0-9]+"):
        yield {"name": name}, absence("missing")


def absent_functions(facts: Facts, template: Template) -> Iterator[Filling]:
    for name in recombined([fact.name for fact in facts.functions], r"_?[a-z0-9]+"):
        yield {"function": name}, absence("missing")


def missing_files(facts: Facts, template: Template) -> Iterator[Filling]:
    for path in absent_paths(facts):
        yield {"path": path}, absence("missing")


def absent_files(facts: Facts, template: Template) -> Iterator[Filling]:
    for path in absent_paths(facts):
        yield {"filename": posixpath.basename(path)}, absence("missing")


def empty_files(facts: Facts, template: Template) -> Iterator[Filling]:
    for file in facts.files:
        if not file.size and good_path(file.path):
            yield {"path": file.path}, absence("empty")


def binary_files(facts: Facts, template: Template) -> Iterator[Filling]:
    for file in facts.files:
        if file.binary and good_path(file.path):
            yield {"path": file.path}, absence("binary")


def outside_paths(facts: Facts, template: Template) -> Iterator[Filling]:
    for file in python_files(facts):
        yield {"path": f"../{posixpath.basename(file.path)}"}, absence("outside")


def odd_texts(facts: Facts, template: Template) -> Iterator[Filling]:
    """Pieces of source that mean something else as a regular expression."""
    piece = re.compile(r"(?<![\w.])\w+(?:\[\w+\]|\(\*\w+\)|\.\w+\(\)|\(\w+\[\d\]\))")
    found: dict[str, set[str]] = defaultdict(set)
    for path, text in facts.texts.items():
        for match in dict.fromkeys(piece.findall(text)):
            if 5 <= len(match) <= NAME_LENGTH:
                found[match].add(path)
    holding = {text: {path for path, whole in facts.texts.items() if text in whole} for text in list(found)[:400]}
    for text, paths in holding.items():
        if len(paths) <= SHOWN:
            yield {"text": text}, all_of(paths)
