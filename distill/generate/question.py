"""Question and Oracle: the records. Own nothing else."""

from __future__ import annotations

from typing import Literal

import msgspec

from distill.generate.templates import Call

Kind = Literal[
    "names",  # all of them and no other
    "some",  # at least three of them and no other
    "ordered",  # all of them and no other, in this order
    "places",  # "path:number", all of them and no other: lines of files, or counts for each file
    "number",
    "text",  # stands in the answer
    "type",  # an annotation: stands in the answer, and not as a part of another one
    "signature",  # names of parameters, in order
    "words",  # one of them stands in the answer
    "choice",  # the first of the values and not the second
    "yes",
    "no",
    "absent",  # the answer denies, in one of these ways: missing, empty, binary, outside, folder, file
    "unable",  # the answer says that one cannot look, and claims nothing
    "refusal",  # the answer says that it will not or cannot do it, and does not say that it is done
]


class Oracle(msgspec.Struct, frozen=True):
    """The right answer: `value` is what the kind says of it; `allowed` may be mentioned besides."""

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
