"""Marks: how one conversation answered its question. Owns what counts; knows nothing of shares or of adapters.

`matching` adds what the calls found, for which they have to be run once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from distill.agent import Conversation
from distill.generate.oracle import credit, exact_calls, repeats_of, right
from distill.generate.question import Question
from distill.generate.templates import Call
from distill.tools import Toolbox
from distill.vocabularies import EXPLORE
from router.chat import FunctionCall


class Mark(msgspec.Struct, frozen=True):
    """How one question went: `called` any tool that was offered, `needed` one, made calls that mean `exact`ly what was
    planned, or `equivalent` ones (exact ones are), or ones `covering` what these show (equivalent ones do), ended
    `right`; `credit` is 1 for that, and for a wrong set of names or places its F1. It made `calls`, of which `repeats`
    said what an earlier one had, where `shortest` suffice. `alone`: nothing else was asked meanwhile, so that `seconds`
    are those of somebody who sits before it."""

    question: str
    category: str
    needed: bool
    called: bool
    exact: bool
    right: bool
    seconds: float
    equivalent: bool = False
    calls: int = 0
    shortest: int = 0
    repeats: int = 0
    end: str = ""
    template: str = ""
    vocabulary: str = "explore"
    repository: str = ""
    covering: bool = False
    credit: float = 0.0
    alone: bool = False


class Changed(NamedTuple):
    """Between two who answered the same questions."""

    gained: int
    lost: int


def mark(question: Question, conversation: Conversation, toolbox: Toolbox) -> Mark:
    """How a conversation answered its question; calls count as equivalent by how they are written alone."""
    known = {spec.function.name for spec in toolbox.specs}
    meant = meant_by(conversation.calls, toolbox)
    ended = conversation.end == "answered"
    chosen = conversation.end != "error" and len(meant) == len(conversation.calls)  # a failed endpoint chose nothing
    exact = chosen and exact_calls(question, meant)
    return Mark(
        question=question.id,
        category=question.category,
        needed=bool(question.plan),
        called=any(call.name in known for call in conversation.calls),
        exact=exact,
        right=ended and right(question, conversation.answer),
        seconds=conversation.seconds,
        equivalent=exact,
        calls=len(conversation.calls),
        shortest=len(question.plan),
        repeats=repeats_of(meant) + (conversation.end == "repeated"),  # the agent stops before it repeats a call
        end=conversation.end,
        template=question.template,
        vocabulary=question.vocabulary,
        repository=question.repository,
        covering=exact,
        credit=credit(question, conversation.answer) if ended else 0.0,
    )


def meant_by(calls: Iterable[FunctionCall], toolbox: Toolbox) -> list[Call]:
    """The calls as the exploring agent's own, without those that mean nothing in the toolbox's vocabulary."""
    vocabulary = toolbox.vocabulary or EXPLORE
    return [meant for call in calls if (meant := vocabulary.meant(call_of(call))) is not None]


def call_of(made: FunctionCall) -> Call:
    """The call as the model wrote it; arguments that are no JSON object stand under ""."""
    try:
        decoded = msgspec.json.decode(made.arguments)
    except (msgspec.DecodeError, RecursionError):
        decoded = None
    return Call(made.name, decoded if isinstance(decoded, dict) else {"": made.arguments})


def paired_marks(before: Sequence[Mark], after: Sequence[Mark]) -> list[tuple[Mark, Mark]]:
    """Both marks of each question. Raises ValueError where not the same questions were answered, each once."""
    known = {mark.question: mark for mark in before}
    if sorted(known) != sorted(mark.question for mark in after) or len(known) < len(before):
        raise ValueError("both were not examined on the same questions")
    return [(known[mark.question], mark) for mark in after]


def changed(pairs: Iterable[tuple[Mark, Mark]], good: Callable[[Mark], bool] = lambda mark: mark.exact) -> Changed:
    """How many questions became good, and how many bad: whose calls are exact and were not, unless something else is
    good."""
    flags = [(good(old), good(new)) for old, new in pairs]
    return Changed(sum(new and not old for old, new in flags), sum(old and not new for old, new in flags))
