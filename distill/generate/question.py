"""Question and Oracle: the records. Own nothing else."""

from __future__ import annotations

from typing import Literal

import msgspec

from distill.generate.templates import Call

Kind = Literal["names", "some", "places", "number", "text", "signature", "words", "absent"]


class Oracle(msgspec.Struct, frozen=True):
    """The right answer. `value` by kind: names (all of them and no other); some (at least three of them and no
    other); places ("path:line"); number; text (stands in the answer); signature (parameter names in order); words
    (one of them stands in the answer); absent (which kinds of denial do). `allowed` may be mentioned besides."""

    kind: Kind
    value: tuple[str, ...]
    allowed: tuple[str, ...] = ()


class Question(msgspec.Struct, frozen=True):
    """A task with its right answer, which comes from facts, and the calls that are expected.

    `plan` is in the exploring agent's own tools, whatever `vocabulary` it is asked in; `withheld` are tools of
    these that are not offered. `pair` is the id of the question that differs in nothing but that it needs a tool.
    """

    id: str
    repository: str
    category: str
    template: str
    text: str
    plan: list[Call]
    oracle: Oracle
    vocabulary: str = "explore"
    withheld: tuple[str, ...] = ()
    pair: str = ""
