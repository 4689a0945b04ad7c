"""Prompts: what the prompt-only arm is told before each question, from a TOML file that a person edits.

Owns the file's form. Knows nothing of endpoints.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from distill.errors import ExaminationError
from distill.generate import templates
from distill.tools import Toolbox
from distill.vocabularies import EXPLORE
from router.chat import FunctionCall, Message, ToolCall


class Call(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tool call of an example, and what the tool said. `thought` is what the assistant wrote beside the call."""

    tool: str
    arguments: dict[str, Any]
    result: str
    thought: str = ""


class Example(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question that is answered as it should be, by calls in order or by none."""

    question: str
    answer: str
    calls: list[Call] = []


class Prompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """data/prompts/<name>.toml: the system prompt, and the examples that stand before every question."""

    name: str
    system: str
    examples: list[Example] = []

    def messages(self, toolbox: Toolbox) -> list[Message]:
        """The examples as a conversation in the toolbox's vocabulary. One with a call that cannot be made there is left
        out: it would teach what does not work."""
        said = [_said(example, number, toolbox) for number, example in enumerate(self.examples)]
        return [message for messages in said for message in messages]


def read_prompt(path: Path) -> Prompt:
    """Raises ExaminationError saying what is wrong with the file."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Prompt)
    except (OSError, ValueError) as error:
        raise ExaminationError(f"{path}: {error}") from error


def _said(example: Example, number: int, toolbox: Toolbox) -> list[Message]:
    """Empty where the toolbox offers no tool for one of the calls."""
    vocabulary = toolbox.vocabulary or EXPLORE
    offered = {spec.function.name for spec in toolbox.specs}
    said = [Message("user", example.question)]
    for at, call in enumerate(example.calls):
        spoken = vocabulary.spoken(templates.Call(call.tool, call.arguments))
        if spoken is None or spoken.name not in offered:
            return []
        identity = f"call_example_{number}_{at}"
        function = FunctionCall(spoken.name, json.dumps(spoken.arguments, ensure_ascii=False))
        said.append(Message("assistant", call.thought or None, [ToolCall(identity, function)]))
        said.append(Message("tool", vocabulary.shown(spoken, call.result), tool_call_id=identity))
    return [*said, Message("assistant", example.answer)]
