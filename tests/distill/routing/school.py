"""Drafts of a student that is good at some kinds of questions and bad at others, and unsure where it is wrong."""

from __future__ import annotations

import json
import math
import random

from distill.routing.labels import Label
from distill.trace import Draft
from router.chat import AnswerMessage, ChatRequest, FunctionCall, FunctionSpec, Message, TokenLogprob, Tool, ToolCall

TOOLS = [Tool(FunctionSpec("read_file", "", {"type": "object", "properties": {"path": {"type": "string"}}}))]
KINDS = {  # how probable a worse draft is
    "In which file is `{}` defined?": 0.02,
    "How many lines has {}?": 0.05,
    "Who calls `{}`, and why?": 0.5,
    "What does {} do when it fails?": 0.3,
}


def drafts(count: int, seed: int, each: int = 1, telling: float = 1.0) -> list[Label]:
    """`each` of a conversation, about the same question. `telling`: how far probabilities show what is worse."""
    chance = random.Random(seed)
    return [_unit(number, chance, each, telling) for number in range(count)]


def _unit(number: int, chance: random.Random, each: int, telling: float) -> Label:
    kind = chance.choice(list(KINDS))
    name = f"{chance.choice('abcdef')}{number}/{chance.choice(['core', 'app', 'cli'])}.py"
    worse = chance.random() < KINDS[kind]
    doubt = chance.expovariate(8.0 if not worse else 8.0 - 7.4 * telling)
    call = FunctionCall("read_file", json.dumps({"path": name}))
    said = [
        ('{"name": "', 0.0),
        ("read_file", -0.01),
        ('", "arguments": {"path": "', 0.0),
        (name, -doubt),
        ('"}}', 0.0),
    ]
    return Label(
        trace=f"trace-{seed_of(chance)}-{number}",
        conversation=f"conversation {number // each}",
        request=ChatRequest("nightschool", [Message("user", kind.format(name))], tools=TOOLS),
        draft=Draft(
            AnswerMessage(tool_calls=[ToolCall("1", call)]),
            "tool_calls",
            [TokenLogprob(text, min(0.0, value)) for text, value in said],
            seconds=1.0,
        ),
        worse=worse,
        how="call",
    )


def seed_of(chance: random.Random) -> int:
    return math.floor(chance.random() * 1e9)
