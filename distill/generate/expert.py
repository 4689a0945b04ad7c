"""The expert: a deterministic program that answers the templated questions, as a stand-in for a teacher model.

Owns the reading of a conversation: which question, what was called since, what came back. It answers from the
results alone and sees no repository and no facts. It speaks whatever vocabulary it is offered. Knows nothing of HTTP;
`gateway.expert` serves it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from distill.generate.plans import proceed
from distill.generate.templates import Phrasebook, Recognised, Template, load_templates
from distill.vocabularies import Vocabularies, Vocabulary, load_vocabularies
from router.chat import AnswerMessage, FunctionCall, Message, Tool, ToolCall

UNKNOWN = "I am a stand-in that knows only the templated questions about code, and this is none of them."
UNABLE = "I cannot look: no tool that I am offered can do this."
NO_QUESTION = "I am a stand-in that answers templated questions about code; there is no question here."


class Expert:
    """The brain on one set of templates. Pure: the same conversation always gets the same answer."""

    def __init__(self, templates: Iterable[Template], vocabularies: Iterable[Vocabulary] = ()) -> None:
        self._book = Phrasebook(templates)
        self._vocabularies = Vocabularies(vocabularies)

    @classmethod
    def from_folder(cls, folder: Path, vocabularies: Path | None = None) -> Expert:
        """Raises QuestionError where the folder's templates are damaged, or the vocabularies of the other folder."""
        known = load_vocabularies(vocabularies) if vocabularies is not None else {}
        return cls(load_templates(folder), known.values())

    def answer(self, messages: list[Message], tools: list[Tool] | None) -> AnswerMessage:
        """The next turn: a tool call of the question's plan, or the answer."""
        at = max((i for i, message in enumerate(messages) if message.role == "user"), default=None)
        if at is None:
            return AnswerMessage(NO_QUESTION)
        recognised = self._book.recognise(messages[at].text)
        if recognised is None:
            return AnswerMessage(UNKNOWN)
        return self._turn(recognised, messages[at + 1 :], tools or [])

    def _turn(self, recognised: Recognised, since: list[Message], tools: list[Tool]) -> AnswerMessage:
        vocabulary = self._vocabularies.of(tools)
        results: list[str] = []
        outcome = proceed(recognised, results)
        for message in since:
            if message.role == "tool" and outcome.call is not None:
                said = vocabulary.spoken(outcome.call)
                results.append(message.text if said is None else vocabulary.read(said, message.text))
                outcome = proceed(recognised, results)
        if outcome.call is None:
            return AnswerMessage(outcome.answer)
        call = vocabulary.spoken(outcome.call)
        if call is None or call.name not in {tool.function.name for tool in tools}:
            return AnswerMessage(UNABLE)
        function = FunctionCall(call.name, arguments_text(call.arguments))
        identity = f"{recognised.template.name}/{len(results)}/{function.arguments}"
        return AnswerMessage(None, [ToolCall(f"call_{hashlib.sha256(identity.encode()).hexdigest()[:20]}", function)])


def arguments_text(arguments: dict[str, Any]) -> str:
    """Arguments as the JSON a model is to learn: one space after ':' and ','."""
    return json.dumps(arguments, ensure_ascii=False)
