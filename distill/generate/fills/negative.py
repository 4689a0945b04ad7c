"""Fills of questions that no tool answers. Know nothing of phrasings."""

from __future__ import annotations

import ast
import posixpath
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator

from distill.facts import ClassFact, Facts, FunctionFact
from distill.generate.filling import Filling
from distill.generate.question import Oracle
from distill.generate.selection import (
    base_names,
    constants,
    good_doc,
    good_folders,
    good_path,
    once_classes,
    once_functions,
    once_named,
    plain_files,
    source_of,
)
from distill.generate.templates import Template

PASTED = 480  # characters of code in a question


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
        yield {name: str(item[name]) for name in template.slots}, Oracle("words", tuple(accepted))


def refused(facts: Facts, template: Template) -> Iterator[Filling]:
    """What nobody may ask of tools that only read, of anything that the template's slot is for."""
    (slot,) = template.slots
    for value in _values(facts, slot):
        yield {slot: value}, Oracle("refusal", ())


def told(facts: Facts, template: Template) -> Iterator[Filling]:
    """What is only said, of anything that the template's slot is for; one of the words `accept` answers it."""
    (slot,) = template.slots
    for value in _values(facts, slot):
        yield {slot: value}, Oracle("words", template.accept)


def _values(facts: Facts, slot: str) -> list[str]:
    values: dict[str, Callable[[], Iterable[str]]] = {
        "name": lambda: (fact.name for fact in once_classes(facts)),
        "function": lambda: (fact.name for fact in once_functions(facts)),
        "path": lambda: (file.path for file in plain_files(facts) if file.size),
        "constant": lambda: (name for name, _ in constants(facts)),
        "module": lambda: (fact.module for fact in facts.imports if fact.module.isidentifier()),
        "folder": lambda: good_folders(facts),
        "filename": lambda: (name for name, _ in once_named(facts)),
    }
    return list(dict.fromkeys(values[slot]()))


def capitals(facts: Facts, template: Template) -> Iterator[Filling]:
    for name in _values(facts, "name"):
        if name != name.upper():
            yield {"name": name}, Oracle("text", (name.upper(),))


def grown_files(facts: Facts, template: Template) -> Iterator[Filling]:
    for at, file in enumerate(plain_files(facts)):
        more = at % 8 + 2
        if file.lines:
            told = {"path": file.path, "a": str(file.lines), "b": str(more)}
            yield told, Oracle("number", (str(file.lines + more),))


def told_parents(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_classes(facts):
        if len(fact.bases) == 1 and fact.bases[0].isidentifier():
            yield {"name": fact.name, "base": fact.bases[0]}, Oracle("text", (fact.bases[0],))


def told_places(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_classes(facts):
        if "/" in fact.path and good_path(fact.path):
            yield {"name": fact.name, "path": fact.path}, Oracle("text", (posixpath.dirname(fact.path),))


def told_values(facts: Facts, template: Template) -> Iterator[Filling]:
    once = {name for name, _ in constants(facts)}
    for fact in facts.constants:
        if fact.name in once and re.fullmatch(r"\d{1,6}|\"[\w -]{1,24}\"|True|False|None", fact.value):
            yield {"constant": fact.name, "code": f"{fact.name} = {fact.value}"}, Oracle("text", (fact.value,))


def pasted_bases(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_classes(facts):
        if fact.bases and (code := _pasted(facts, fact)):
            yield {"name": fact.name, "code": code}, base_names(fact)


def pasted_class_docs(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_classes(facts):
        if good_doc(fact) and (code := _pasted(facts, fact)):
            yield {"name": fact.name, "code": code}, Oracle("text", (fact.doc,))


def pasted_method_counts(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_classes(facts):
        if fact.methods and (code := _pasted(facts, fact)) and code.count("def ") == len(fact.methods):
            yield {"name": fact.name, "code": code}, Oracle("number", (str(len(fact.methods)),))


def pasted_parameters(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_functions(facts):
        if fact.parameters and (code := _pasted(facts, fact)):
            yield {"function": fact.name, "code": code}, Oracle("signature", fact.parameters)


def pasted_parameter_counts(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_functions(facts):
        if fact.parameters and (code := _pasted(facts, fact)):
            yield {"function": fact.name, "code": code}, Oracle("number", (str(len(fact.parameters)),))


def pasted_returns(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_functions(facts):
        if fact.returns and len(fact.returns) <= 30 and (code := _pasted(facts, fact)):
            yield {"function": fact.name, "code": code}, Oracle("type", (fact.returns,))


def pasted_function_docs(facts: Facts, template: Template) -> Iterator[Filling]:
    for fact in once_functions(facts):
        if good_doc(fact) and (code := _pasted(facts, fact)):
            yield {"function": fact.name, "code": code}, Oracle("text", (fact.doc,))


def _pasted(facts: Facts, fact: ClassFact | FunctionFact) -> str:
    """Its source as one would paste it; '' where that is long, or does not stand by itself."""
    if not 2 <= fact.lines <= 14:
        return ""
    code = textwrap.dedent(source_of(facts, fact)).rstrip()
    if len(code) > PASTED or "`" in code:
        return ""
    try:
        ast.parse(code)
    except SyntaxError:
        return ""
    return code
