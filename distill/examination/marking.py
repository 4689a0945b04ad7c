"""Marks: how one conversation answered its question. Owns what counts; knows nothing of shares or of adapters."""

from __future__ import annotations

import msgspec

from distill.agent import Conversation
from distill.generate.oracle import exact_calls, right
from distill.generate.question import Question
from distill.generate.templates import Call
from distill.tools import Toolbox
from distill.vocabularies import EXPLORE


class Mark(msgspec.Struct, frozen=True):
    """How one question went: `called` any tool that was offered, `needed` one, made calls that mean `exact`ly what was
    planned, ended `right`."""

    question: str
    category: str
    needed: bool
    called: bool
    exact: bool
    right: bool
    seconds: float


def mark(question: Question, conversation: Conversation, toolbox: Toolbox) -> Mark:
    """How a conversation answered its question."""
    known = {spec.function.name for spec in toolbox.specs}
    vocabulary = toolbox.vocabulary or EXPLORE
    calls = [_call(call.name, call.arguments) for call in conversation.calls]
    meant = [canonical for call in calls if (canonical := vocabulary.meant(call)) is not None]
    ended = conversation.end == "answered"
    return Mark(
        question=question.id,
        category=question.category,
        needed=bool(question.plan),
        called=any(call.name in known for call in calls),
        # a failed endpoint chose nothing
        exact=conversation.end != "error" and len(meant) == len(calls) and exact_calls(question, meant),
        right=ended and right(question, conversation.answer),
        seconds=conversation.seconds,
    )


def _call(name: str, arguments: str) -> Call:
    try:
        decoded = msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        decoded = None
    return Call(name, decoded if isinstance(decoded, dict) else {"": arguments})
