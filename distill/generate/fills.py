"""Fills: for each template, the slot values a repository offers and the right answer to each, from facts alone.

Every function here is named by a template's `fill`. Knows nothing of phrasings or tools.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator

from distill.facts import ClassFact, Facts, FileFact, FunctionFact
from distill.generate.question import Oracle
from distill.generate.selection import (
    NAME_LENGTH,
    VALUE_LENGTH,
    absence,
    absent_paths,
    all_of,
    children_of_bases,
    good_name,
    good_path,
    once_classes,
    once_functions,
    own_name,
    place_of,
    plain_files,
    python_files,
    recombined,
)
from distill.generate.templates import SHOWN, Template

Slots = dict[str, str]
Filling = tuple[Slots, Oracle]
Fill = Callable[[Facts, Template], Iterator[Filling]]


def subclasses(facts: Facts, template: Template) -> Iterator[Filling]:
    for base, found in children_of_bases(facts).items():
        if len(found) <= SHOWN:
            yield {"base": base}, all_of((fact.name for fact in found), (fact.path for fact in found))


def many_subclasses(facts: Facts, template: Template) -> Iterator[Filling]:
    for base, found in children_of_bases(facts).items():
        if len(found) > SHOWN:
            yield {"base": base}, all_of((fact.name for fact in found), (fact.path for fact in found))


def no_subclasses(facts: Facts, template: Template) -> Iterator[Filling]:
    parents = children_of_bases(facts)
    for fact in once_classes(facts):
        if fact.name not in parents:
            yield {"base": fact.name}, absence("missing")


def class_places(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_classes(facts):
        yield {"name": fact.name}, place_of(fact)


def function_places(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_functions(facts):
        yield {"function": fact.name}, place_of(fact)


def several_places(facts: Facts, template: Template) -> Iterator[Filling]:
    places: dict[str, list[str]] = defaultdict(list)
    for fact in facts.functions:
        places[fact.name].append(f"{fact.path}:{fact.line}")
    for name, found in places.items():
        if 2 <= len(found) <= 3 and good_name(name):
            yield {"function": name}, Oracle("places", tuple(found))


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


def _by_basename(facts: Facts) -> dict[str, list[FileFact]]:
    found: dict[str, list[FileFact]] = defaultdict(list)
    for file in facts.files:
        found[posixpath.basename(file.path)].append(file)
    return found


def _once_named(facts: Facts) -> Iterator[tuple[str, FileFact]]:
    for name, files in _by_basename(facts).items():
        if len(files) == 1 and good_path(files[0].path) and not files[0].binary:
            yield name, files[0]


def file_places(facts: Facts, template: Template) -> Iterator[Filling]:
    for name, files in _by_basename(facts).items():
        if len(files) <= 3 and all(good_path(file.path) for file in files):
            yield {"filename": name}, Oracle("names", tuple(file.path for file in files))


def constant_places(facts: Facts, template: Template) -> Iterator[Filling]:
    for name, line in _constants(facts):
        yield {"constant": name}, Oracle("places", (line,))


def _constants(facts: Facts) -> Iterator[tuple[str, str]]:
    times = Counter(fact.name for fact in facts.constants)
    for fact in facts.constants:
        if times[fact.name] == 1 and good_name(fact.name):
            yield fact.name, f"{fact.path}:{fact.line}"


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
            yield {"name": fact.name}, _base_names(fact)


def _base_names(fact: ClassFact) -> Oracle:
    """The bases by their own names; what stands in their brackets and before their dots may be said too."""
    inner = {word for base in fact.bases for word in re.findall(r"[\w.]+", base)}
    inner |= {part for word in inner for part in word.split(".")}
    return Oracle("names", tuple(sorted({*map(own_name, fact.bases)})), tuple(sorted({*inner, *fact.bases})))


def no_bases(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_classes(facts):
        if not fact.bases:
            yield {"name": fact.name}, absence("missing", allowed=("object",))


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


def _top(found: Iterable[ClassFact | FunctionFact], path: str) -> Oracle | None:
    names = [fact.name for fact in found if fact.path == path and not fact.nested]
    return all_of(names, (path,)) if 0 < len(names) <= 8 else None


def classes_in(facts: Facts, template: Template) -> Iterator[Filling]:
    for file in python_files(facts):
        if oracle := _top(facts.classes, file.path):
            yield {"path": file.path}, oracle


def functions_in(facts: Facts, template: Template) -> Iterator[Filling]:
    for file in python_files(facts):
        if oracle := _top(facts.functions, file.path):
            yield {"path": file.path}, oracle


def folders(facts: Facts, template: Template) -> Iterator[Filling]:
    for path, entries in facts.folders.items():
        if path != "." and good_path(path) and len(entries) <= 12:
            yield {"path": path}, all_of(entries) if entries else absence("empty")


def _good_line(line: str) -> bool:
    return 3 <= len(line) <= VALUE_LENGTH and line.isprintable()


def first_lines(facts: Facts, template: Template) -> Iterator[Filling]:
    for file in plain_files(facts):
        if _good_line(file.first):
            yield {"path": file.path}, Oracle("text", (file.first,))


def lines_at(facts: Facts, template: Template) -> Iterator[Filling]:
    for file in plain_files(facts):
        lines = facts.texts[file.path].split("\n")
        for number in range(7, min(len(lines), 600), 61):
            if _good_line(lines[number - 1].strip()):
                yield {"path": file.path, "number": str(number)}, Oracle("text", (lines[number - 1].strip(),))


def beyond_end(facts: Facts, template: Template) -> Iterator[Filling]:
    for file in plain_files(facts):
        if file.size:
            beyond = (file.lines // 100 + 2) * 100
            yield {"path": file.path, "number": str(beyond)}, absence("missing", allowed=())


def named_line_counts(facts: Facts, template: Template) -> Iterator[Filling]:
    for name, file in _once_named(facts):
        yield {"filename": name}, Oracle("number", (str(file.lines),), (file.path,))


def named_first_lines(facts: Facts, template: Template) -> Iterator[Filling]:
    for name, file in _once_named(facts):
        if _good_line(file.first):
            yield {"filename": name}, Oracle("text", (file.first,))


def named_classes(facts: Facts, template: Template) -> Iterator[Filling]:
    for name, file in _once_named(facts):
        if oracle := _top(facts.classes, file.path):
            yield {"filename": name}, oracle


def class_docs(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_classes(facts):
        if _good_line(fact.doc):
            yield {"name": fact.name}, Oracle("text", (fact.doc,))


def function_docs(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_functions(facts):
        if _good_line(fact.doc):
            yield {"function": fact.name}, Oracle("text", (fact.doc,))


def class_file_lines(facts: Facts, template: Template) -> Iterator[Filling]:
    lines = {file.path: file.lines for file in plain_files(facts)}
    for fact in once_classes(facts):
        if fact.path in lines:
            yield {"name": fact.name}, Oracle("number", (str(lines[fact.path]),), (fact.path,))


def class_siblings(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_classes(facts):
        if not fact.nested and good_path(fact.path) and (oracle := _top(facts.classes, fact.path)):
            yield {"name": fact.name}, oracle


def function_siblings(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_functions(facts):
        if not fact.nested and good_path(fact.path) and (oracle := _top(facts.functions, fact.path)):
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
            oracle = _base_names(parent)
            yield {"name": fact.name}, Oracle("names", oracle.value, (*oracle.allowed, parent.name))


def parent_file_lines(facts: Facts, template: Template) -> Iterator[Filling]:
    lines = {file.path: file.lines for file in plain_files(facts)}
    for fact, parent in _with_parent(facts):
        if parent.path in lines:
            yield {"name": fact.name}, Oracle("number", (str(lines[parent.path]),), (parent.path,))


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
        for match in set(piece.findall(text)):
            if 5 <= len(match) <= NAME_LENGTH:
                found[match].add(path)
    holding = {text: {path for path, whole in facts.texts.items() if text in whole} for text in list(found)[:400]}
    for text, paths in holding.items():
        if len(paths) <= SHOWN:
            yield {"text": text}, all_of(paths)


def arithmetic(facts: Facts, template: Template) -> Iterator[Filling]:
    (least_a, most_a), (least_b, most_b) = template.ranges["a"], template.ranges["b"]
    operations = {"{sum}": int.__add__, "{difference}": int.__sub__, "{product}": int.__mul__}
    for a in range(least_a, most_a + 1):
        for b in range(least_b, most_b + 1):
            result = operations[template.answer.found](a, b)
            yield {"a": str(a), "b": str(b)}, Oracle("number", (str(result),))


def items(facts: Facts, template: Template) -> Iterator[Filling]:
    for item in template.items:
        accepted = item.get("accept", [item["answer"]])
        yield {name: item[name] for name in template.slots}, Oracle("words", tuple(accepted))


FILLS: dict[str, Fill] = {
    name: function
    for name, function in list(globals().items())
    if callable(function) and not name.startswith("_") and getattr(function, "__module__", "") == __name__
}
