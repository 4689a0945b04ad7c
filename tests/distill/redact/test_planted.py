"""Planted secrets of every kind in every field that can carry one: none is left."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from distill.outcome import Outcome
from distill.redact import Redactor
from distill.trace import Draft, Trace
from router.chat import (
    AnswerMessage,
    ChatRequest,
    EngineNote,
    FunctionCall,
    FunctionSpec,
    Message,
    TokenLogprob,
    Tool,
    ToolCall,
    Usage,
)
from router.decision import Decision
from tests.distill.redact.planted import KINDS

KEY = bytes(range(32))


def trace(request: dict[str, Any] | None = None, **fields: Any) -> Trace:
    asked = {"model": "m", "messages": [Message("user", "Hello.")], **(request or {})}
    given: dict[str, Any] = {"state": "completed", "decision": Decision("teacher", "policy"), **fields}
    return Trace("t1", 1.0, given.pop("conversation", "c"), ChatRequest(**asked), **given)


def said(**message: Any) -> Trace:
    return trace({"messages": [Message("user", "Hello."), Message(**message)]})


def call(text: str) -> ToolCall:
    return ToolCall("c1", FunctionCall("write", json.dumps({"path": "a.txt", "content": f"x\n{text}"})))


def tokens(text: str) -> list[TokenLogprob]:
    return [TokenLogprob(text[at : at + 3], -1.0) for at in range(0, len(text), 3)]


FIELDS: dict[str, Callable[[str], Trace]] = {
    "content": lambda text: said(role="user", content=text),
    "part": lambda text: said(role="user", content=[{"type": "text", "text": text}]),
    "tool result": lambda text: said(role="tool", content=json.dumps({"out": f"1: {text}\n"}), tool_call_id="c1"),
    "reasoning": lambda text: said(role="assistant", content="a", reasoning=text),
    "thoughts": lambda text: said(role="assistant", content="a", reasoning_content=text),
    "arguments": lambda text: said(role="assistant", tool_calls=[call(text)]),
    "broken arguments": lambda text: said(role="assistant", tool_calls=[ToolCall("c", FunctionCall("w", f"{{{text}"))]),
    "call name": lambda text: said(role="assistant", tool_calls=[ToolCall("c1", FunctionCall(text))]),
    "call id": lambda text: said(role="tool", content="x", tool_call_id=text),
    "name": lambda text: said(role="user", content="x", name=text),
    "tool": lambda text: trace({"tools": [Tool(FunctionSpec("f", text))]}),
    "schema": lambda text: trace({"tools": [Tool(FunctionSpec("f", "", {"properties": {"a": {"default": text}}}))]}),
    "metadata": lambda text: trace({"metadata": {"note": text}}),
    "metadata key": lambda text: trace({"metadata": {text: "x"}}),
    "user": lambda text: trace({"user": text}),
    "extra": lambda text: trace({"extra": {"a": [{"b": text}]}}),
    "stop": lambda text: trace({"stop": [text]}),
    "format": lambda text: trace({"response_format": {"json_schema": {"description": text}}}),
    "unread": lambda text: trace(unread={"x": {"y": [text]}}),
    "answer": lambda text: trace(answer=AnswerMessage(text)),
    "answer's call": lambda text: trace(answer=AnswerMessage(None, [call(text)])),
    "refusal": lambda text: trace(answer=AnswerMessage(refusal=text)),
    "draft": lambda text: trace(draft=Draft(AnswerMessage(text))),
    "draft's tokens": lambda text: trace(
        draft=Draft(
            AnswerMessage("a"), logprobs=[TokenLogprob(text[at : at + 3], -1.0) for at in range(0, len(text), 3)]
        )
    ),
    "draft's raw text": lambda text: trace(draft=Draft(AnswerMessage("a"), note=EngineNote(raw=text))),
    "raw text": lambda text: trace(note=EngineNote(raw=text)),
    "usage": lambda text: trace(usage=Usage(1, 1, 2, {"note": text})),
    "error": lambda text: trace(error=text),
    "tried": lambda text: trace(tried=["a", text]),
    "detail": lambda text: trace(decision=Decision("student", "unverified", text)),
    "conversation": lambda text: trace(conversation=text),
    "wire id": lambda text: trace(wire_id=text),
}


def texts(value: Any) -> list[str]:
    """Every text in a value; what is JSON is read too, so that nothing hides behind an escape."""
    if isinstance(value, dict):
        return [text for pair in value.items() for item in pair for text in texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    if not isinstance(value, str):
        return [str(value)]
    try:
        inner = json.loads(value)
    except ValueError:
        return [value]
    return [value, *(texts(inner) if isinstance(inner, dict | list) else [])]


def left(secret: str, redacted: Any) -> bool:
    return any(secret in text for text in texts(msgspec.to_builtins(redacted)))


@pytest.mark.parametrize("field", FIELDS)
def test_no_kind_is_left_in_any_field(field: str) -> None:
    redactor, rng = Redactor(KEY), random.Random(field)
    for name, plant in KINDS.items():
        text, secret = plant(rng)
        before = FIELDS[field](text)
        after = redactor.trace(before)
        assert left(secret, before) or field == "draft's tokens", name
        assert not left(secret, after), (name, text)
        assert after.redacted >= 1, name
        assert redactor.trace(after) is after, (name, text)


def test_three_hundred_in_random_places() -> None:
    """Each among lines of ordinary text, as a tool would return them."""
    rng = random.Random(300)
    redactor, names, fields = Redactor(KEY), list(KINDS), list(FIELDS)
    for number in range(300):
        text, secret = KINDS[names[number % len(names)]](rng)
        field = fields[number % len(fields)] if rng.random() < 0.5 else rng.choice(fields)
        lines = ["def main() -> int:", "    return 0", text, "2026-03-01 12:00:01 INFO done", ""]
        rng.shuffle(lines)
        assert not left(secret, redactor.trace(FIELDS[field]("\n".join(lines)))), (names[number % len(names)], field)


@pytest.mark.parametrize("name", KINDS)
def test_feedback_is_redacted_too(name: str) -> None:
    text, secret = KINDS[name](random.Random(name))
    outcome = Outcome("t", "feedback", 1.0, comment=text, corrected=AnswerMessage(text))
    after = Redactor(KEY).outcome(outcome)
    assert not left(secret, after)
    assert after.corrected == AnswerMessage(after.comment)


@pytest.mark.parametrize("name", KINDS)
def test_the_same_secret_has_the_same_placeholder_in_a_later_call(name: str) -> None:
    text, _ = KINDS[name](random.Random(name))
    told, written = Message("user", text), Message("assistant", tool_calls=[call(text)])
    after = Redactor(KEY).trace(trace({"messages": [told, written]})).request.messages
    assert after[1].tool_calls is not None
    assert json.loads(after[1].tool_calls[0].function.arguments)["content"] == f"x\n{after[0].content}"
