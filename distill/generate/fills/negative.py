"""Fills of questions that no tool answers. Know nothing of phrasings."""

from __future__ import annotations

from collections.abc import Iterator

from distill.facts import Facts
from distill.generate.filling import Filling
from distill.generate.question import Oracle
from distill.generate.templates import Template


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
