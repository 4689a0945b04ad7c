"""Prompts: what a model is told before each question, be it an examination's prompt-only arm or a weak teacher, from a
TOML file that a person edits.

Owns the file's form, whose calls are in the exploring agent's own tools. Knows nothing of endpoints.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import msgspec

from distill.errors import ExaminationError
from distill.generate import templates
from distill.vocabularies import Vocabulary
from router.chat import FunctionCall, Message, Tool, ToolCall


class Call(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tool call of an example, and what the tool said. `thought` is what the assistant wrote beside the call."""

    tool: str
    arguments: dict[str, Any]
    result: str
    thought: str = ""


class Exchange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question that is answered as it should be, by calls in order or by none."""

    question: str
    answer: str
    calls: list[Call] = []


class Prompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """data/prompts/<name>.toml: the system prompt, and the examples that stand before every question."""

    name: str
    system: str
    examples: list[Exchange] = []

    def messages(self, vocabulary: Vocabulary, offered: Iterable[Tool]) -> list[Message]:
        """The examples as a conversation, in the terms of the vocabulary that is offered. One that calls a tool which
        is not offered is left out: it would teach a call that cannot be made."""
        names = {tool.function.name for tool in offered}
        said = (_said(example, number, vocabulary, names) for number, example in enumerate(self.examples))
        return [message for messages in said for message in messages]


def read_prompt(path: Path) -> Prompt:
    """Raises ExaminationError saying what is wrong with the file."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Prompt)
    except (OSError, ValueError) as error:
        raise ExaminationError(f"{path}: {error}") from error


def _said(exchange: Exchange, number: int, vocabulary: Vocabulary, offered: Collection[str]) -> list[Message]:
    """One example's messages; none where its calls cannot be made."""
    said = [Message("user", exchange.question)]
    for at, made in enumerate(exchange.calls):
        call = vocabulary.spoken(templates.Call(made.tool, made.arguments))
        if call is None or call.name not in offered:
            return []
        identity = f"call_example_{number}_{at}"
        function = FunctionCall(call.name, json.dumps(call.arguments, ensure_ascii=False))
        said.append(Message("assistant", made.thought or None, [ToolCall(identity, function)]))
        said.append(Message("tool", vocabulary.shown(call, made.result.strip("\n")), tool_call_id=identity))
    return [*said, Message("assistant", exchange.answer)]
