"""Questions asked of the expert in any vocabulary, with the real tools; as the exploring agent would, without HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from distill.generate.expert import Expert
from distill.generate.templates import Call, load_templates
from distill.tools import Toolbox
from distill.vocabularies import Vocabulary, load_vocabularies
from router.chat import Message

DATA = Path(__file__).parents[3] / "data"
TEMPLATES = load_templates(DATA / "questions")
VOCABULARIES = load_vocabularies(DATA / "vocabularies")
EXPERT = Expert(TEMPLATES, VOCABULARIES.values())


class Asked(NamedTuple):
    calls: list[Call]
    results: list[str]
    answer: str


async def ask(question: str, toolbox: Toolbox) -> Asked:
    messages = [Message("user", question)]
    asked = Asked([], [], "")
    while (turn := EXPERT.answer(messages, toolbox.specs)).tool_calls:
        (call,) = turn.tool_calls
        asked.calls.append(Call(call.function.name, json.loads(call.function.arguments)))
        asked.results.append(await toolbox.call(call.function.name, call.function.arguments))
        messages += [
            Message("assistant", None, turn.tool_calls),
            Message("tool", asked.results[-1], tool_call_id=call.id),
        ]
    return asked._replace(answer=turn.content or "")


def can_say(vocabulary: Vocabulary, plan: list[Call]) -> bool:
    return all(vocabulary.spoken(call) is not None for call in plan)
