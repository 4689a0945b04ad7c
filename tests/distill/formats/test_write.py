"""What others read of our traces; and what they would write, read again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from distill.formats import write
from distill.tools import SPECS
from distill.trace import Trace
from router.chat import AnswerMessage, ChatRequest, FunctionCall, Message, ToolCall
from router.decision import Decision

CALL = ToolCall("c1", FunctionCall("run_command", '{"command":"grep","args":["-r","Protocol"]}'))
READ = ToolCall("c2", FunctionCall("read_file", '{"path":"a.py","lines":5}'))
ODD = ToolCall("c3", FunctionCall("read_file", "not json"))


def trace(name: str, messages: list[Message], answer: AnswerMessage | None, **more: Any) -> Trace:
    request = ChatRequest("nightschool", messages, tools=SPECS)
    return Trace(name, 1.0, "c", request, "completed", Decision("teacher", "policy"), answer=answer, **more)


def conversation() -> list[Trace]:
    """Two questions; the first takes two turns, the second is answered at once and then asked again in vain."""
    start = [Message("system", "Look."), Message("user", [{"type": "text", "text": "Which are protocols?"}])]
    called = AnswerMessage("I look.", [CALL, READ], reasoning_content="Search first.")
    results = [Message("tool", "a.py:1", tool_call_id="c1"), Message("tool", "class A", tool_call_id="c2")]
    second = [*start, Message("assistant", "I look.", [CALL, READ], reasoning_content="Search first."), *results]
    third = [*second, Message("assistant", "A."), Message("user", "What is 2 + 2?")]
    failed = msgspec.structs.replace(
        trace("t4", [*third, Message("assistant", "4"), Message("user", "?")], None), state="failed"
    )
    return [
        trace("t1", start, called),
        trace("t3", third, AnswerMessage("4", reasoning_content="Arithmetic.")),
        trace("t2", second, AnswerMessage("A.")),
        failed,
    ]


def lines(written: Iterator[bytes]) -> list[Any]:
    return [msgspec.json.decode(line) for line in written]


def test_openai_has_the_longest_answered_trace() -> None:
    (line,) = lines(write.openai([conversation()]))
    assert list(line) == ["messages", "tools"]
    assert [message["role"] for message in line["messages"]] == [
        *("system", "user", "assistant", "tool", "tool", "assistant", "user", "assistant")
    ]
    assert line["messages"][2] == {
        "role": "assistant",
        "content": "I look.",
        "tool_calls": msgspec.to_builtins([CALL, READ]),
    }
    assert line["messages"][-1] == {"role": "assistant", "content": "4"}
    assert line["tools"] == msgspec.to_builtins(SPECS)
    assert "Search first" not in msgspec.json.encode(line).decode()


def test_trl_has_arguments_as_objects_and_tools_as_text() -> None:
    (line,) = lines(write.trl([conversation()]))
    called = line["messages"][2]
    assert called["tool_calls"][0]["function"] == {
        "name": "run_command",
        "arguments": {"command": "grep", "args": ["-r", "Protocol"]},
    }
    assert called["reasoning_content"] == "Search first."
    assert line["messages"][3] == {"role": "tool", "content": "a.py:1", "tool_call_id": "c1", "name": "run_command"}
    assert line["messages"][1]["content"] == "Which are protocols?"
    assert msgspec.json.decode(line["tools"]) == msgspec.to_builtins(SPECS)
    ((odd,),) = [lines(write.trl([[trace("t", [Message("user", "?")], AnswerMessage(None, [ODD]))]]))]
    assert odd["messages"][1]["tool_calls"][0]["function"]["arguments"] == {"arguments": "not json"}


def test_plan_has_a_line_for_each_question_that_was_answered() -> None:
    first, second = lines(write.plan([conversation()]))
    assert first == {
        "query": "Which are protocols?",
        "reasoning": "Search first.\n\nI look.",
        "tool_calls": [
            {"tool": "run_command", "args": ["grep", ["-r", "Protocol"]]},
            {"tool": "read_file", "args": {"path": "a.py", "lines": 5}},
        ],
        "answer": "A.",
    }
    assert second == {"query": "What is 2 + 2?", "reasoning": "Arithmetic.", "tool_calls": [], "answer": "4"}


@pytest.mark.parametrize("written", [write.openai, write.trl, write.plan])
def test_a_conversation_that_nobody_answered_is_left_out(written: Callable[..., Iterator[bytes]]) -> None:
    assert lines(written([[], [msgspec.structs.replace(one, state="failed") for one in conversation()]])) == []


def test_one_conversation_is_read_at_a_time() -> None:
    asked: list[int] = []

    def conversations() -> Iterator[Iterator[Trace]]:
        for number in range(3):
            asked.append(number)
            yield iter(conversation())

    next(write.openai(conversations()))
    assert asked == [0]


@pytest.mark.parametrize(("name", "written"), [("openai", write.openai), ("trl", write.trl), ("plan", write.plan)])
def test_what_is_written_is_read_and_written_again_the_same(
    name: str, written: Callable[..., Iterator[bytes]], tmp_path: Path, taken: Callable[[Path], tuple]
) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"".join(written([conversation()])))
    traces, bad = taken(path)
    assert not bad
    assert {one.wire for one in traces} == {name}
    conversations: dict[str, list[Trace]] = {}
    for one in traces:
        conversations.setdefault(one.conversation, []).append(one)
    assert b"".join(written(conversations.values())) == path.read_bytes()
