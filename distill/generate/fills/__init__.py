"""Fills: for each template, the slot values a repository offers and the right answer to each, from facts alone.

A template's `fill` names one of the public functions of the modules here, one module for each category. None knows
phrasings or tools. Their order is that of the facts, never that of a set: what is drawn must be the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from distill.errors import QuestionError
from distill.facts import Facts
from distill.generate.filling import Fill, Filling
from distill.generate.fills import analysis, chains, edge, multi_step, negative, search
from distill.generate.question import Oracle
from distill.generate.templates import Template

_UNABLE = Oracle("unable", ())


def fillings(facts: Facts, template: Template) -> Iterator[Filling]:
    """All ways to fill a template. Where the tools that it needs are withheld, it is right to say that one cannot look.

    Raises QuestionError where the template names a fill that does not exist.
    """
    if template.fill not in FILLS:
        raise QuestionError(f"template {template.name}: there is no fill {template.fill!r}")
    for slots, oracle in FILLS[template.fill](facts, template):
        yield slots, _UNABLE if template.withheld else oracle


def _public(module: ModuleType) -> dict[str, Fill]:
    functions = {name: value for name, value in vars(module).items() if callable(value) and not name.startswith("_")}
    return {name: value for name, value in functions.items() if value.__module__ == module.__name__}


FILLS: dict[str, Fill] = {
    name: fill
    for module in (search, analysis, multi_step, chains, edge, negative)
    for name, fill in _public(module).items()
}
