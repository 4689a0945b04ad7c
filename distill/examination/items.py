"""Items: what an examination puts to an endpoint, with which tools, and what of it no example may repeat.

Knows nothing of where questions come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from distill.dataset.contamination import Passage
from distill.generate.question import Question
from distill.tools import Toolbox
from distill.vocabularies import EXPLORE, Vocabulary
from router.chat import Message


class Item(msgspec.Struct, frozen=True):
    """A question, the tools to answer it with, and the messages of the conversation before it."""

    question: Question
    toolbox: Toolbox
    earlier: tuple[Message, ...] = ()


def offered(question: Question, tools: Toolbox, vocabularies: Mapping[str, Vocabulary]) -> Toolbox:
    """The tools on the question's repository as it wants them offered: in its vocabulary, and without some."""
    if question.vocabulary == EXPLORE.name and not question.withheld:
        return tools
    return tools.offering(vocabularies[question.vocabulary], question.withheld)


class Asked(Protocol):
    """A question with what was said before it: an Item, or one that is frozen."""

    @property
    def question(self) -> Question: ...
    @property
    def earlier(self) -> tuple[Message, ...]: ...


def passages(items: Iterable[Asked]) -> list[Passage]:
    """What no example may repeat: every question with its right answer, those of earlier conversations included."""
    asked: list[Passage] = []
    for item in items:
        asked.append(Passage(item.question.text, " ".join(item.question.oracle.value)))
        question = ""
        for message in item.earlier:
            if message.role == "user":
                question = message.text
            elif message.role == "assistant" and not message.tool_calls:
                asked.append(Passage(question, message.text))
    return asked
