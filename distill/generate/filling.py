"""Filling: the slot values of one question with its right answer, and the kind of function that finds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from distill.facts import Facts
from distill.generate.question import Oracle
from distill.generate.templates import Template

Slots = dict[str, str]
Filling = tuple[Slots, Oracle]
Fill = Callable[[Facts, Template], Iterator[Filling]]
