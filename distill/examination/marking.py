"""Marks: how one conversation answered its question. Owns what counts; knows nothing of shares or of adapters."""

from __future__ import annotations

import msgspec

from distill.agent import Conversation
from distill.generate.oracle import exact_calls, repeats_of, right
from distill.generate.question import Question
from distill.generate.templates import Call
from distill.tools import Toolbox
from distill.vocabularies import EXPLORE
from router.chat import FunctionCall


class Mark(msgspec.Struct, frozen=True):
    """How one question went: `called` any tool that was offered, `needed` one, made calls that mean `exact`ly what was
    planned, or `equivalent` ones (exact ones are), ended `right`. It made `calls`, of which `repeats` said what an
    earlier one had, where `shortest` suffice."""

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


def mark(question: Question, conversation: Conversation, toolbox: Toolbox) -> Mark:
    """How a conversation answered its question."""
    known = {spec.function.name for spec in toolbox.specs}
    vocabulary = toolbox.vocabulary or EXPLORE
    calls = [call_of(call) for call in conversation.calls]
    meant = [canonical for call in calls if (canonical := vocabulary.meant(call)) is not None]
    ended = conversation.end == "answered"
    chosen = conversation.end != "error" and len(meant) == len(calls)  # a failed endpoint chose nothing
    exact = chosen and exact_calls(question, meant)
    return Mark(
        question=question.id,
        category=question.category,
        needed=bool(question.plan),
        called=any(call.name in known for call in calls),
        exact=exact,
        right=ended and right(question, conversation.answer),
        seconds=conversation.seconds,
        equivalent=exact,
        calls=len(calls),
        shortest=len(question.plan),
        repeats=repeats_of(meant) + (conversation.end == "repeated"),  # the agent stops before it repeats a call
        end=conversation.end,
        template=question.template,
        vocabulary=question.vocabulary,
        repository=question.repository,
    )


def call_of(made: FunctionCall) -> Call:
    """The call as the model wrote it; arguments that are no JSON object stand under ""."""
    try:
        decoded = msgspec.json.decode(made.arguments)
    except (msgspec.DecodeError, RecursionError):
        decoded = None
    return Call(made.name, decoded if isinstance(decoded, dict) else {"": made.arguments})
