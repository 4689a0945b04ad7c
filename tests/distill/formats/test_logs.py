"""Logs of other gateways."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from distill.formats.find import read
from distill.formats.lines import BadLine
from distill.trace import Trace
from router.chat import AnswerMessage, FunctionCall, FunctionSpec, Message, Tool, ToolCall, Usage

Whole = Callable[[str], list[Trace]]


def test_openpipe(whole: Whole) -> None:
    (trace,) = whole("openpipe.jsonl")
    assert trace.request.messages == [Message("system", "You know pots."), Message("user", "Hot?")]
    assert trace.request.temperature == 0.5
    assert trace.request.metadata == {"prompt": "heat"}
    assert trace.answer == AnswerMessage(None, [ToolCall("c1", FunctionCall("feel", "{}"))])
    assert (trace.model, trace.wire_id, trace.created) == ("gpt-4o", "chatcmpl-1", 1702666185.0)
    assert trace.usage == Usage(47, 59, 106)


def test_litellm(whole: Whole) -> None:
    (trace,) = whole("litellm.jsonl")
    assert trace.answer == AnswerMessage("Hot.")
    assert trace.request.tools == [Tool(FunctionSpec("feel"))]
    assert trace.request.temperature == 0
    assert (trace.conversation, trace.created, trace.finish_reason) == ("tr-1", 1760000000.5, "stop")


def test_tensorzero(whole: Whole) -> None:
    first, second = whole("tensorzero.jsonl")
    assert first.request.messages == [
        Message("system", "You know pots."),
        Message("user", "Hot?"),
        Message("assistant", None, [ToolCall("c1", FunctionCall("feel", '{"pot":1}'))]),
        Message("tool", "ouch", tool_call_id="c1", name="feel"),
    ]
    assert first.answer == AnswerMessage("Hot.", reasoning_content="It burns.")
    assert first.request.tools == [Tool(FunctionSpec("feel", "Touches a pot.", {"type": "object"}, strict=False))]
    assert first.created == datetime(2025, 9, 1, 10, tzinfo=UTC).timestamp()
    assert (first.conversation, first.model, first.wire_id) == ("ep-1", "big", "0195-1")
    assert second.answer == AnswerMessage(None, [ToolCall("c2", FunctionCall("feel", '{ "pot": 2 }'))])


def test_what_a_template_was_filled_with_is_told_as_json(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(
        b'{"input":{"system":{"name":"Ann"},"messages":[{"role":"user","content":[{"type":"text","arguments":{"a":1}},'
        b'{"type":"text","value":"b"}]}]},"output":[{"type":"text","text":"!"}],"episode_id":"e"}\n'
    )
    (trace,) = read(path, "tensorzero")
    assert isinstance(trace, Trace)
    assert [message.text for message in trace.request.messages] == ['{"name":"Ann"}', '{"a":1}\nb']


BROKEN = [
    ("openpipe", b'{"input":{"model":"m","messages":[]},"output":{"choices":[]}}', "at least one message"),
    (
        "openpipe",
        b'{"input":{"model":"m","messages":[{"role":"user","content":"?"}]},"output":{"choices":[]}}',
        "answer",
    ),
    ("openpipe", b'{"input":{"model":"m"},"output":{"error":"overloaded"}}', "choices"),
    ("litellm", b'{"messages":[{"role":"user","content":"?"}],"response":"","status":"failure"}', "response"),
    (
        "litellm",
        b'{"messages":[{"role":"user","content":"?"}],"model":"m","response":{"choices":'
        b'[{"message":{"role":"assistant","content":"redacted-by-litellm"}}]}}',
        "not logged",
    ),
    ("tensorzero", b'{"input":"{","output":"[]"}', "trunc"),
    ("tensorzero", b'{"input":{"messages":[{"role":"user","content":"?"}]},"output":{"raw":"{}"}}', "Expected `array`"),
]


@pytest.mark.parametrize(("form", "line", "reason"), BROKEN)
def test_lines_without_an_answer_are_listed(form: str, line: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(line + b"\n")
    (bad,) = read(path, form)
    assert isinstance(bad, BadLine)
    assert bad.line == 1
    assert reason in bad.reason
