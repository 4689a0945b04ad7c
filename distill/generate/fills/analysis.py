"""Fills of code analysis: what is it like. Own the right answers; know nothing of phrasings or tools."""

from __future__ import annotations

import ast
import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Iterator

from distill.facts import Facts, FunctionFact
from distill.generate.filling import Filling
from distill.generate.question import Oracle
from distill.generate.selection import (
    VALUE_LENGTH,
    absence,
    all_of,
    base_names,
    good_folders,
    good_line,
    good_name,
    good_path,
    largest,
    mentioned,
    once_classes,
    once_functions,
    one_line_head,
    own_name,
    plain_files,
    plainly_methodical,
    python_files,
    top,
    within,
)
from distill.generate.templates import SHOWN, Template


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
            yield {"function": fact.name}, Oracle("type", (fact.returns,))


def bases(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_classes(facts):
        if fact.bases and len(", ".join(fact.bases)) <= VALUE_LENGTH:
            yield {"name": fact.name}, base_names(fact)


def line_counts(facts: Facts, template: Template) -> Iterator[Filling]:
    for file in plain_files(facts):
        yield {"path": file.path}, Oracle("number", (str(file.lines),))


def class_counts(facts: Facts, template: Template) -> Iterator[Filling]:
    times = Counter(fact.path for fact in facts.classes)
    nested = {fact.path for fact in facts.classes if fact.nested}
    for file in python_files(facts):
        if file.path not in nested:
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


def parameter_counts(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_functions(facts):
        if one_line_head(fact) and fact.parameters:
            yield {"function": fact.name}, Oracle("number", (str(len(fact.parameters)),))


def defaults(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact, parameter, default in _with_parameters(facts):
        if default and len(default) <= 24:
            yield {"function": fact.name, "parameter": parameter}, Oracle("text", (default,))


def parameter_types(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact, parameter, _ in _with_parameters(facts):
        if 1 <= len(told := _annotation(fact, parameter)) <= 30:
            yield {"function": fact.name, "parameter": parameter}, Oracle("type", (told,))


def _annotation(fact: FunctionFact, parameter: str) -> str:
    source = f"{fact.head.strip()} ..."
    try:
        node = ast.parse(source).body[0]
    except SyntaxError:
        return ""
    for one in ast.walk(node):
        if isinstance(one, ast.arg) and one.arg == parameter and one.annotation:
            return ast.get_source_segment(source, one.annotation) or ""
    return ""


def _with_parameters(facts: Facts) -> Iterator[tuple[FunctionFact, str, str]]:
    """Functions with each of their parameters and its default, `self` and what has stars apart."""
    for fact in once_functions(facts):
        if one_line_head(fact):
            for parameter, default in zip(fact.parameters, fact.defaults, strict=True):
                if parameter.isidentifier() and parameter not in ("self", "cls"):
                    yield fact, parameter, default


def has_parameter(facts: Facts, template: Template) -> Iterator[Filling]:
    """As many that have it as such that have not, which are parameters of other functions."""
    found = [(fact, parameter) for fact, parameter, _ in _with_parameters(facts)]
    for at, (fact, parameter) in enumerate(found):
        yield {"function": fact.name, "parameter": parameter}, Oracle("yes", ())
        other = found[(at * 7 + 5) % len(found)][1]
        if other not in {name.lstrip("*") for name in fact.parameters}:
            yield {"function": fact.name, "parameter": other}, Oracle("no", ())


def is_coroutine(facts: Facts, template: Template) -> Iterator[Filling]:
    known = [(fact, fact.head.strip().startswith("async ")) for fact in once_functions(facts)]
    some = [fact for fact, asynchronous in known if asynchronous]
    others = [fact for fact, asynchronous in known if not asynchronous]
    for fact in some:
        yield {"function": fact.name}, Oracle("yes", (), (fact.path,))
    for fact in others[:: max(1, len(others) // max(1, len(some)))] if some else ():
        yield {"function": fact.name}, Oracle("no", (), (fact.path,))


def is_child(facts: Facts, template: Template) -> Iterator[Filling]:
    found = [fact for fact in once_classes(facts) if len(fact.bases) == 1 and own_name(fact.bases[0]).isidentifier()]
    known = list(dict.fromkeys(own_name(fact.bases[0]) for fact in found))
    for at, fact in enumerate(found):
        base = own_name(fact.bases[0])
        yield {"name": fact.name, "base": base}, Oracle("yes", (), (fact.path,))
        other = known[(at * 5 + 3) % len(known)]
        if other not in (base, fact.name):
            yield {"name": fact.name, "base": other}, Oracle("no", (), (fact.path, base))


def modules_of(facts: Facts, template: Template) -> Iterator[Filling]:
    """The modules of the import statements at the margin, where there are no others."""
    for file in python_files(facts):
        lines = facts.texts[file.path].split("\n")
        found = [fact for fact in facts.imports if fact.path == file.path]
        if all(lines[fact.line - 1][:1] in "fi" for fact in found):
            names = tuple(sorted({fact.module for fact in found}))
            if 1 <= len(names) <= 8 and not any(name.strip(".") == "" for name in names):
                yield {"path": file.path}, Oracle("some" if len(names) > SHOWN else "names", names, (file.path,))


def origins(facts: Facts, template: Template) -> Iterator[Filling]:
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for fact in facts.imports:
        for name in fact.names:
            found[fact.path, name].append(fact.module)
    for (path, name), modules in found.items():
        if len(modules) == 1 and good_path(path) and good_name(name) and len(modules[0].strip(".")) > 1:
            yield {"path": path, "imported": name}, Oracle("text", (modules[0],))


def methods(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_classes(facts):
        if not fact.nested and good_path(fact.path) and 1 <= len(fact.methods) <= 8:
            yield {"name": fact.name, "path": fact.path}, all_of(fact.methods, (fact.path,))


def method_counts(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_classes(facts):
        if good_path(fact.path) and plainly_methodical(facts, fact):
            yield {"name": fact.name, "path": fact.path}, Oracle("number", (str(len(fact.methods)),))


def constants_in(facts: Facts, template: Template) -> Iterator[Filling]:
    found: dict[str, list[str]] = defaultdict(list)
    for fact in facts.constants:
        if re.fullmatch(r"_?[A-Z][A-Z0-9_]*", fact.name):
            found[fact.path].append(fact.name)
    annotated = re.compile(r"^_?[A-Z][A-Z0-9_]*\s*:", re.MULTILINE)  # constants, too, and not what the plan finds
    for path, names in found.items():
        if good_path(path) and len(set(names)) <= 8 and not annotated.search(facts.texts[path]):
            yield {"path": path}, all_of(names, (path,))


def coroutines_in(facts: Facts, template: Template) -> Iterator[Filling]:
    found: dict[str, list[str]] = defaultdict(list)
    for fact in facts.functions:
        if fact.head.strip().startswith("async "):
            found[fact.path].append(fact.name)
    for path, names in found.items():
        if good_path(path) and len(set(names)) <= 8:
            yield {"path": path}, all_of(names, (path,))


def decorators_of(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_functions(facts):
        if fact.decorators and all(len(one) <= 40 for one in fact.decorators):
            yield {"function": fact.name}, Oracle("text", tuple(f"@{one}" for one in fact.decorators))


def word_lines(facts: Facts, template: Template) -> Iterator[Filling]:
    known = once_classes(facts)
    places = mentioned(facts, [fact.name for fact in known])
    for fact in known:
        counts = Counter(place.path for place in places[fact.name])
        for path, count in counts.items():
            if count >= 2 and good_path(path):
                yield {"name": fact.name, "path": path}, Oracle("number", (str(count),))


def byte_sizes(facts: Facts, template: Template) -> Iterator[Filling]:
    for file in plain_files(facts):
        yield {"path": file.path}, Oracle("number", (str(file.size),))


def word_counts(facts: Facts, template: Template) -> Iterator[Filling]:
    for file in plain_files(facts):
        yield {"path": file.path}, Oracle("number", (str(len(facts.texts[file.path].split())),))


def last_lines(facts: Facts, template: Template) -> Iterator[Filling]:
    for file in plain_files(facts):
        last = facts.texts[file.path].rstrip("\n").rsplit("\n", 1)[-1]
        if file.lines > 3 and good_line(last.strip()):
            yield {"path": file.path}, Oracle("text", (last.strip(),))


def classes_within(facts: Facts, template: Template) -> Iterator[Filling]:
    yield from _count_within(facts, [fact.path for fact in facts.classes if not fact.nested])


def functions_within(facts: Facts, template: Template) -> Iterator[Filling]:
    yield from _count_within(facts, [fact.path for fact in facts.functions if not fact.nested])


def files_within(facts: Facts, template: Template) -> Iterator[Filling]:
    yield from _count_within(facts, [file.path for file in facts.files if file.path.endswith(".py")])


def _count_within(facts: Facts, paths: list[str]) -> Iterator[Filling]:
    for folder in good_folders(facts):
        count = sum(within(path, folder) for path in paths)
        if 2 <= count <= 24:
            yield {"folder": folder}, Oracle("number", (str(count),))


def largest_files(facts: Facts, template: Template) -> Iterator[Filling]:
    for folder, path in largest(facts):
        yield {"folder": folder}, Oracle("names", (posixpath.basename(path),), (path,))
