"""Fills of what is not there, cannot be read, or looks like something else. Know nothing of phrasings or tools."""

from __future__ import annotations

import posixpath
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator

from distill.facts import ClassFact, Facts, FileFact, FunctionFact
from distill.generate.filling import Filling
from distill.generate.question import Oracle
from distill.generate.selection import (
    NAME_LENGTH,
    absence,
    absent_paths,
    all_of,
    by_basename,
    children_of_bases,
    good_folders,
    good_line,
    good_name,
    good_path,
    mentioned,
    once_classes,
    once_functions,
    once_named,
    one_line_head,
    place_of,
    plain_files,
    python_files,
    recombined,
    source_of,
    top,
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


def absent_constants(facts: Facts, template: Template) -> Iterator[Filling]:
    for name in recombined([fact.name for fact in facts.constants], r"[A-Z0-9]+_?"):
        yield {"constant": name}, absence("missing")


def absent_modules(facts: Facts, template: Template) -> Iterator[Filling]:
    """Modules of the standard library that nothing here imports."""
    known = {fact.module.split(".")[0] for fact in facts.imports}
    for module in sorted(sys.stdlib_module_names):
        if module not in known and not module.startswith("_") and good_name(module):
            yield {"module": module}, absence("missing")


def absent_decorators(facts: Facts, template: Template) -> Iterator[Filling]:
    used = {name for text in facts.texts.values() for name in re.findall(r"@(\w+)", text)}
    for fact in once_functions(facts):
        if fact.name not in used:
            yield {"decorator": fact.name}, absence("missing")


def undocumented_classes(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_classes(facts):
        if not fact.doc and _has_no_docstring(facts, fact):
            yield {"name": fact.name}, absence("missing", allowed=(fact.path,))


def undocumented_functions(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_functions(facts):
        if not fact.doc and _has_no_docstring(facts, fact):
            yield {"function": fact.name}, absence("missing", allowed=(fact.path,))


def _has_no_docstring(facts: Facts, fact: ClassFact | FunctionFact) -> bool:
    source = source_of(facts, fact)
    return '"""' not in source and "'''" not in source


def unannotated(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_functions(facts):
        if not fact.returns and one_line_head(fact):
            yield {"function": fact.name}, absence("missing")


def without_defaults(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_functions(facts):
        for parameter, default in zip(fact.parameters, fact.defaults, strict=True):
            if not default and parameter.isidentifier() and parameter not in ("self", "cls") and one_line_head(fact):
                yield {"function": fact.name, "parameter": parameter}, absence("missing")


def files_without_classes(facts: Facts, template: Template) -> Iterator[Filling]:
    having = {fact.path for fact in facts.classes}
    for file in python_files(facts):
        if file.path not in having:
            yield {"path": file.path}, absence("missing")


def files_without_functions(facts: Facts, template: Template) -> Iterator[Filling]:
    having = {fact.path for fact in facts.functions}
    for file in python_files(facts):
        if file.path not in having:
            yield {"path": file.path}, absence("missing")


def _misplaced(facts: Facts) -> Iterator[tuple[str, FileFact]]:
    """Files that are called so once, in a folder in which they are not."""
    known = {file.path for file in facts.files}
    folders = [".", *good_folders(facts)]
    for at, (name, file) in enumerate(once_named(facts)):
        wrong = posixpath.normpath(f"{folders[(at * 7 + 3) % len(folders)]}/{name}")
        if wrong not in known and good_path(wrong) and name.endswith(".py"):
            yield wrong, file


def misplaced_line_counts(facts: Facts, template: Template) -> Iterator[Filling]:
    for path, file in _misplaced(facts):
        yield {"path": path}, Oracle("number", (str(file.lines),), (file.path,))


def misplaced_first_lines(facts: Facts, template: Template) -> Iterator[Filling]:
    for path, file in _misplaced(facts):
        if good_line(file.first):
            yield {"path": path}, Oracle("text", (file.first,))


def misplaced_classes(facts: Facts, template: Template) -> Iterator[Filling]:
    for path, file in _misplaced(facts):
        if oracle := top(facts.classes, file.path):
            yield {"path": path}, oracle


def folders_as_files(facts: Facts, template: Template) -> Iterator[Filling]:
    for folder in good_folders(facts):
        yield {"path": folder}, absence("folder")


def files_as_folders(facts: Facts, template: Template) -> Iterator[Filling]:
    for file in python_files(facts):
        yield {"path": file.path}, absence("file")


def opened_folders(facts: Facts, template: Template) -> Iterator[Filling]:
    for folder in good_folders(facts):
        if 1 <= len(facts.folders[folder]) <= 12:
            yield {"path": folder}, all_of(facts.folders[folder], (folder,))


def twice_named(facts: Facts, template: Template) -> Iterator[Filling]:
    """How many lines each of two files of one name has."""
    for name, files in by_basename(facts).items():
        if len(files) == 2 and all(good_path(file.path) and not file.binary for file in files):
            yield {"filename": name}, Oracle("places", tuple(f"{file.path}:{file.lines}" for file in files))


def several_classes(facts: Facts, template: Template) -> Iterator[Filling]:
    places: dict[str, list[str]] = defaultdict(list)
    for fact in facts.classes:
        places[fact.name].append(f"{fact.path}:{fact.line}")
    for name, found in places.items():
        if 2 <= len(found) <= 3 and good_name(name):
            yield {"name": name}, Oracle("places", tuple(found))


def several_files(facts: Facts, template: Template) -> Iterator[Filling]:
    for name, files in by_basename(facts).items():
        if 2 <= len(files) <= 3 and all(good_path(file.path) for file in files):
            yield {"filename": name}, Oracle("names", tuple(file.path for file in files))


def wrong_case(facts: Facts, template: Template) -> Iterator[Filling]:
    known = Counter(fact.name.lower() for fact in facts.classes)
    for fact in once_classes(facts):
        lower = fact.name.lower()
        if known[lower] == 1 and lower != fact.name and not fact.name.isupper():
            yield {"name": lower}, place_of(fact)


def common_words(facts: Facts, template: Template) -> Iterator[Filling]:
    for name, paths in _common(facts):
        yield {"name": name}, all_of(paths)


def common_word_counts(facts: Facts, template: Template) -> Iterator[Filling]:
    for name, paths in _common(facts):
        yield {"name": name}, Oracle("number", (str(len(paths)),))


def _common(facts: Facts) -> Iterator[tuple[str, list[str]]]:
    """Names whose lines are more than a result shows, and the files that hold them."""
    times = Counter(name for fact in facts.imports for name in fact.names)
    frequent = [name for name, count in times.most_common(120) if count >= 12 and good_name(name)]
    for name, places in mentioned(facts, frequent).items():
        paths = list(dict.fromkeys(place.path for place in places))
        if len(places) >= 130 and sum(map(len, paths)) <= 6000:
            yield name, paths


def unicode_texts(facts: Facts, template: Template) -> Iterator[Filling]:
    """Words with letters beyond ASCII."""
    yield from _texts(facts, re.compile(r"\w*[^\W\x00-\x7f]\w*"))


def spaced_texts(facts: Facts, template: Template) -> Iterator[Filling]:
    """Strings of several words, with what shells and expressions would read otherwise."""
    yield from _texts(facts, re.compile(r"(?<=\")[\w$*?|&;<> .,:%-]{8,32}(?=\")"), " ")


def _texts(facts: Facts, piece: re.Pattern[str], holding: str = "") -> Iterator[Filling]:
    found: dict[str, None] = {}
    for text in facts.texts.values():
        found |= dict.fromkeys(match for match in piece.findall(text) if holding in match.strip())
    for match in list(found)[:200]:
        paths = [path for path, text in facts.texts.items() if match in text]
        if match == match.strip() and 2 <= len(match) <= NAME_LENGTH + 8 and len(paths) <= SHOWN:
            yield {"text": match}, all_of(paths)


def odd_names(facts: Facts, template: Template) -> Iterator[Filling]:
    """Files whose names have spaces or letters beyond ASCII in them."""
    for file in facts.files:
        odd = re.search(r"[^\x21-\x7e]", file.path)
        if odd and file.path.isprintable() and "`" not in file.path and not file.binary and len(file.path) <= 60:
            yield {"file": file.path}, Oracle("number", (str(file.lines),))


def forbidden(facts: Facts, template: Template) -> Iterator[Filling]:
    """Paths that lead out of the repository: the template's items."""
    for item in template.items:
        yield {"path": item["path"]}, absence("outside")
