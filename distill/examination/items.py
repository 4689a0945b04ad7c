"""Items: what an examination puts to an endpoint, and what of it no example may repeat. Own nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec

from distill.dataset.contamination import Passage
from distill.generate.question import Question
from distill.tools import Toolbox
from router.chat import Message


class Item(msgspec.Struct, frozen=True):
    """A question, the tools to answer it with, and the messages of the conversation before it."""

    question: Question
    toolbox: Toolbox
    earlier: tuple[Message, ...] = ()


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
