"""A teacher to be asked by `nightschool generate`: the expert's brain on a real socket, spoilt where a test says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from distill.generate.expert import Expert
from distill.school.ledger import Settled, Taken
from gateway.backends.scripted import Act
from router.chat import AnswerMessage, Message, Tool
from tests.gateway.running import ROOT, Script

BRAIN = Expert.from_folder(ROOT / "data" / "questions", ROOT / "data" / "vocabularies")
DETOUR = ("list_files", '{"path":  "."}')
Spoil = Callable[[str, AnswerMessage], Act | None]
"""What is said instead, by the question and what the expert would say; None: that."""


def teacher(
    spoil: Spoil = lambda question, answer: None,
    delay: float = 0.0,
    of_body: Callable[[dict[str, Any]], Act | None] = lambda body: None,
    port: int = 0,
) -> Script:
    def play(body: dict[str, Any]) -> Act:
        answer = answer_to(body)
        calls = [(call.function.name, call.function.arguments) for call in answer.tool_calls or ()]
        plain = Act(text=answer.content or "", calls=calls, delay=delay)
        return spoil(question_of(body), answer) or of_body(body) or plain

    return Script(play, model="large", port=port)


def answer_to(body: dict[str, Any]) -> AnswerMessage:
    """What the expert says, to whom a way round is none of its plan."""
    messages = msgspec.convert(body["messages"], list[Message])
    at = next((at for at, one in enumerate(messages) if one.tool_calls and _is_detour(one)), None)
    straight = messages if at is None else [*messages[:at], *messages[at + 2 :]]
    return BRAIN.answer(straight, msgspec.convert(body.get("tools", []), list[Tool]))


def _is_detour(message: Message) -> bool:
    return any(call.function.arguments == DETOUR[1] for call in message.tool_calls or ())


def question_of(body: dict[str, Any]) -> str:
    return next(str(message["content"]) for message in reversed(body["messages"]) if message["role"] == "user")


def asked(script: Script) -> Counter[tuple[str, int]]:
    """How often each turn was asked for: by the question and the messages so far."""
    return Counter((question_of(seen.body), len(seen.body["messages"])) for seen in script.asked)


def set_folder(home: Path) -> Path:
    (folder,) = (home / "data" / "generated").iterdir()
    return folder


def ledger_lines(home: Path) -> list[Taken | Settled]:
    content = (set_folder(home) / "runs.jsonl").read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    return [msgspec.json.decode(line, type=Taken | Settled) for line in whole.splitlines()]
