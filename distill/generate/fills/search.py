"""Fills of code search: where is what. Own the right answers; know nothing of phrasings or tools."""

from __future__ import annotations

import ast
import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from distill.facts import ClassFact, Facts, FunctionFact
from distill.generate.filling import Filling
from distill.generate.question import Oracle
from distill.generate.selection import (
    NAME_LENGTH,
    all_of,
    also_by_dots,
    by_basename,
    children_of_bases,
    constants,
    distinctive,
    few,
    good_folders,
    good_module,
    good_name,
    good_path,
    mentioned,
    once_classes,
    once_functions,
    place_of,
    python_files,
    within,
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
    otherwise = also_by_dots(facts)
    found: dict[str, set[str]] = defaultdict(set)
    for fact in facts.imports:
        if bool(fact.names) == named:
            found[fact.module].add(fact.path)
    for module, paths in found.items():
        if good_module(module) and module not in otherwise and len(paths) <= 8:
            yield {"module": module}, all_of(paths)


def decorators(facts: Facts, template: Template) -> Iterator[Filling]:
    found: dict[str, set[str]] = defaultdict(set)
    decorated: list[ClassFact | FunctionFact] = [*facts.classes, *facts.functions]
    for fact in decorated:
        for decorator in fact.decorators:
            found[decorator.split("(", 1)[0]].add(fact.path)
    spelled = Counter(name.rpartition(".")[2] for name in found)  # `wraps` and `functools.wraps` may be one
    for name, paths in found.items():
        easy = len(name) <= NAME_LENGTH and re.fullmatch(r"[A-Za-z_][\w.]*", name) is not None
        if easy and len(paths) <= 8 and spelled[name.rpartition(".")[2]] == 1:
            yield {"decorator": name}, all_of(paths)


def file_places(facts: Facts, template: Template) -> Iterator[Filling]:
    for name, files in by_basename(facts).items():
        if len(files) <= 3 and all(good_path(file.path) for file in files):
            yield {"filename": name}, Oracle("names", tuple(file.path for file in files))


def deep_file_places(facts: Facts, template: Template) -> Iterator[Filling]:
    """Files in folders alone: one in the repository's own folder is found by opening its bare name."""
    for slots, oracle in file_places(facts, template):
        if all("/" in path for path in oracle.value):
            yield slots, oracle


def constant_places(facts: Facts, template: Template) -> Iterator[Filling]:
    for name, line in constants(facts):
        yield {"constant": name}, Oracle("places", (line,))


def protocols(facts: Facts, template: Template) -> Iterator[Filling]:
    found = [fact for fact in facts.classes if fact.protocol]
    if found:
        yield {}, _classes(found)


def protocols_within(facts: Facts, template: Template) -> Iterator[Filling]:
    yield from _by_folder(facts, [fact for fact in facts.classes if fact.protocol])


def dataclasses(facts: Facts, template: Template) -> Iterator[Filling]:
    found = [fact for fact in facts.classes if fact.dataclass]
    if found:
        yield {}, _classes(found)


def dataclasses_within(facts: Facts, template: Template) -> Iterator[Filling]:
    yield from _by_folder(facts, [fact for fact in facts.classes if fact.dataclass])


def dataclasses_in(facts: Facts, template: Template) -> Iterator[Filling]:
    found: dict[str, list[str]] = defaultdict(list)
    for fact in facts.classes:
        if fact.dataclass:
            found[fact.path].append(fact.name)
    for path, names in found.items():
        if good_path(path) and len(names) <= 8:
            yield {"path": path}, all_of(names, (path,))


def _classes(found: Iterable[ClassFact]) -> Oracle:
    ones = list(found)
    return all_of((fact.name for fact in ones), (fact.path for fact in ones))


def _by_folder(facts: Facts, found: list[ClassFact]) -> Iterator[Filling]:
    for folder in good_folders(facts):
        inside = [fact for fact in found if within(fact.path, folder)]
        if inside and len(inside) <= 12:
            yield {"folder": folder}, _classes(inside)


def suffixed_classes(facts: Facts, template: Template) -> Iterator[Filling]:
    found: dict[str, list[ClassFact]] = defaultdict(list)
    for fact in facts.classes:
        if match := re.search(r"(?<=[a-z0-9])[A-Z][a-z]{2,}$", fact.name):
            found[match[0]].append(fact)
    for suffix, ones in found.items():
        if 2 <= len(ones) <= SHOWN and not any(fact.name == suffix for fact in facts.classes):
            yield {"suffix": suffix}, _classes(ones)


def prefixed_functions(facts: Facts, template: Template) -> Iterator[Filling]:
    found: dict[str, list[FunctionFact]] = defaultdict(list)
    for fact in facts.functions:
        if match := re.match(r"_?[a-z]{3,}_(?=[a-z])", fact.name):
            found[match[0]].append(fact)
    for prefix, ones in found.items():
        if 2 <= len(ones) <= SHOWN:
            yield {"prefix": prefix}, all_of((fact.name for fact in ones), (fact.path for fact in ones))


def raised(facts: Facts, template: Template) -> Iterator[Filling]:
    yield from _lines_with(facts, r"^\s+raise ([A-Z]\w+)(?![\w.])", "exception")


def caught(facts: Facts, template: Template) -> Iterator[Filling]:
    found: dict[str, list[str]] = defaultdict(list)
    for path, text in facts.texts.items():
        for line in re.findall(r"^\s+except\*? ([^:\n]+)", text, re.MULTILINE):
            for name in re.findall(r"[A-Z]\w+", line):
                found[name].append(path)
    for name, paths in few(found):
        yield {"exception": name}, all_of(paths)


def attributes(facts: Facts, template: Template) -> Iterator[Filling]:
    """Every way to give an attribute a value counts, so that one that is also set otherwise is not asked for: the plan
    finds plain assignments."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in [file.path for file in python_files(facts)]:
        for name, number in _stored(facts.texts[path]):
            found[name].append(f"{path}:{number}")
    for name, places in few(found, 3):
        yield {"attribute": name}, Oracle("places", tuple(places))


def _stored(text: str) -> list[tuple[str, int]]:
    """The attributes of `self` that are given a value, and on which lines."""
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found = [one for one in nodes if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store)]
    own = [one for one in found if isinstance(one.value, ast.Name) and one.value.id == "self"]
    return sorted(((one.attr, one.lineno) for one in own), key=lambda one: one[1])


def _lines_with(facts: Facts, form: str, slot: str) -> Iterator[Filling]:
    found: dict[str, list[str]] = defaultdict(list)
    for path, text in facts.texts.items():
        for name in re.findall(form, text, re.MULTILINE):
            found[name].append(path)
    for name, paths in few(found):
        yield {slot: name}, all_of(paths)


def mentions(facts: Facts, template: Template) -> Iterator[Filling]:
    known: list[ClassFact | FunctionFact] = [*once_classes(facts), *once_functions(facts)]
    places = mentioned(facts, [fact.name for fact in known])
    for fact in known:
        paths = dict.fromkeys(place.path for place in places[fact.name])
        if 2 <= len(paths) <= SHOWN and distinctive(fact.name):
            yield {"name": fact.name}, all_of(paths)


def mentions_in(facts: Facts, template: Template) -> Iterator[Filling]:
    known = once_classes(facts)
    everywhere = mentioned(facts, [fact.name for fact in known])
    for fact in known:
        found: dict[str, list[str]] = defaultdict(list)
        for place in everywhere[fact.name]:
            found[place.path].append(f"{place.path}:{place.line}")
        for path, places in found.items():
            if path != fact.path and good_path(path) and len(places) <= 3:
                yield {"name": fact.name, "path": path}, Oracle("places", tuple(places))


def messages(facts: Facts, template: Template) -> Iterator[Filling]:
    """What exceptions say, where the words stand on one line of one file."""
    form = re.compile(r"^\s+raise \w+\((?:\"([\w ,.'-]{12,48})\"|'([\w ,.-]{12,48})')\)", re.MULTILINE)
    for path, text in facts.texts.items():
        for first, second in form.findall(text):
            words = first or second
            places = [
                f"{where}:{number}"
                for where, whole in facts.texts.items()
                if words in whole
                for number, line in enumerate(whole.split("\n"), 1)
                if words in line
            ]
            if len(places) == 1 and " " in words:
                yield {"text": words}, Oracle("places", (f"{path}:{places[0].rsplit(':', 1)[1]}",))


def importers_of_name(facts: Facts, template: Template) -> Iterator[Filling]:
    otherwise = also_by_dots(facts)
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for fact in facts.imports:
        for name in fact.names:
            found[fact.module, name].append(fact.path)
    for (module, name), paths in found.items():
        if good_name(name) and good_module(module) and module not in otherwise and len(paths) <= SHOWN:
            yield {"imported": name, "module": module}, all_of(paths)


def by_extension(facts: Facts, template: Template) -> Iterator[Filling]:
    found: dict[str, list[str]] = defaultdict(list)
    for file in facts.files:
        stem, dot, extension = posixpath.basename(file.path).rpartition(".")
        if stem and dot and extension.isalpha() and extension != "py":
            found[extension].append(file.path)
    for extension, paths in found.items():
        if len(paths) <= 12 and all(map(good_path, paths)):
            yield {"extension": extension}, all_of(paths)


def python_files_within(facts: Facts, template: Template) -> Iterator[Filling]:
    for folder in good_folders(facts):
        names = [f"{folder}/{entry}" for entry in facts.folders[folder] if entry.endswith(".py")]
        if 1 <= len(names) <= SHOWN and all(map(good_path, names)):
            yield {"folder": folder}, all_of(names)
