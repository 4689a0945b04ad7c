"""Examples for training, as OpenAI, TRL and the plan write them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from distill.formats.find import read
from distill.formats.lines import BadLine
from distill.tools import SPECS
from distill.trace import Trace
from router.chat import AnswerMessage, FunctionCall, FunctionSpec, Message, Tool, ToolCall

Whole = Callable[[str], list[Trace]]


def said(trace: Trace) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in trace.request.messages]


def test_openai(whole: Whole) -> None:
    call, answer, old_call, old_answer = whole("openai.jsonl")
    assert said(call) == [
        ("system", "You know pots."),
        ("user", "Hot?"),
        ("assistant", "Maybe."),  # of weight 0: said, and not learnt
        ("user", "Surely?"),
    ]
    assert call.answer == AnswerMessage(None, [ToolCall("c1", FunctionCall("feel", '{"pot": 1}'))])
    schema = {"type": "object", "properties": {"pot": {"type": "integer"}}}
    assert call.request.tools == [Tool(FunctionSpec("feel", "Touches a pot.", schema))]
    assert call.request.metadata is None
    assert answer.request.messages[-1] == Message("tool", "ouch", tool_call_id="c1")
    assert (answer.conversation, answer.turn, answer.parent) == (call.conversation, 1, call.id)
    assert old_call.answer == AnswerMessage(None, [ToolCall("call_1", FunctionCall("feel", "{}"))])
    assert old_answer.request.messages[-1] == Message("tool", "fine", tool_call_id="call_1", name="feel")
    assert old_call.conversation != call.conversation


def test_trl(whole: Whole) -> None:
    call, answer, completion = whole("trl.jsonl")
    assert call.answer == AnswerMessage(None, [ToolCall("call_1", FunctionCall("light", '{"degrees":900}'))])
    assert [tool.function.name for tool in call.request.tools or ()] == ["light"]
    assert answer.request.messages[-1] == Message("tool", "lit", tool_call_id="call_1", name="light")
    assert said(completion) == [("user", "Hello"), ("assistant", "Hi."), ("user", "Bye")]
    assert completion.answer == AnswerMessage("Farewell.")
    assert completion.wire == "trl"


def test_results_without_an_id_belong_to_the_call_of_their_tool(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(
        b'{"messages":[{"role":"user","content":"?"},{"role":"assistant","tool_calls":[{"function":{"name":"a"}},'
        b'{"function":{"name":"b"}},{"function":{"name":"a"}}]},{"role":"tool","name":"b","content":"1"},'
        b'{"role":"tool","name":"a","content":"2"},{"role":"tool","content":"3"},{"role":"tool","content":"4"},'
        b'{"role":"assistant","content":"!"}]}\n'
    )
    *_, last = read(path, "trl")
    assert isinstance(last, Trace)
    assert [message.tool_call_id for message in last.request.messages[2:]] == ["call_2", "call_1", "call_3", ""]
    assert [tool.function.name for tool in last.request.tools or ()] == ["a", "b"]
    assert last.request.metadata == {"tools_inferred": True}


def test_plan(whole: Whole) -> None:
    called, answered, sum_, fired = whole("plan.jsonl")
    assert said(called) == [("user", "Which classes are protocols?")]
    assert called.answer is not None
    assert called.answer.reasoning_content == "Search for Protocol."
    assert [call.function for call in called.answer.tool_calls or ()] == [
        FunctionCall("run_command", '{"command":"grep","args":["-r","class.*Protocol","."]}'),
        FunctionCall("read_file", '{"path":"src/types.py"}'),
    ]
    assert called.request.tools == SPECS
    assert called.request.metadata is None
    assert answered.request.metadata == {"incomplete": True}  # what the tools said is not told
    assert answered.answer == AnswerMessage("Two: Client and Server.")
    assert sum_.answer == AnswerMessage("4", reasoning_content="Arithmetic.")
    assert fired.answer is not None
    assert [call.function.arguments for call in fired.answer.tool_calls or ()] == [
        '{"args":[900,"slow"]}',
        '{"hours":5}',
    ]
    assert [tool.function.name for tool in fired.request.tools or ()] == ["cool", "fire"]


BROKEN = [
    ("openai", b'{"messages":[{"role":"user","content":"?"}]}', "answers anything"),
    ("openai", b'{"messages":[{"role":"oracle","content":"?"}]}', "oracle"),
    ("openai", b'{"messages":[{"role":"user","content":7}]}', "content"),
    ("openai", b'{"messages":[{"role":"user","content":"?"},{"role":"assistant","content":"!"}],"tools":7}', "tools"),
    ("openai", b"[]", "Expected `object`"),
    ("openai", b'{"messages":[{"role":"user","content":"\xff"}]}', "UTF-8"),
    ("openai", b'{"messages":[{"role":"user","content":"\x00"}]}', "JSON"),
    ("openai", b'{"messages":[{"role":"user","content":"\\ud800"},{"role":"assistant","content":"!"}]}', ""),
    ("openai", b'{"tools":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    ("trl", b'{"messages":[{"role":"user","content":"?"},{"role":"assistant","content":"!"}],"tools":"[{"}', "trunc"),
    ("plan", b'{"query":"?"}', "neither"),
    ("plan", b'{"query":"?","tool_calls":[{"tool":"read_file","args":"x"}]}', "args"),
]


@pytest.mark.parametrize(("form", "line", "reason"), BROKEN)
def test_the_good_lines_are_taken_and_the_bad_ones_listed(form: str, line: bytes, reason: str, tmp_path: Path) -> None:
    good = b'{"messages":[{"role":"user","content":"?"},{"role":"assistant","content":"!"}],"query":"?","answer":"!"}\n'
    path = tmp_path / "t.jsonl"
    path.write_bytes(good + line + b"\n" + good)
    first, bad, second = read(path, form)
    assert isinstance(first, Trace)
    assert isinstance(bad, BadLine)
    assert (bad.line, first.id) == (2, second.id if isinstance(second, Trace) else "")
    assert reason in bad.reason


def test_what_is_the_same_has_the_same_id_wherever_it_is(tmp_path: Path, sample: Callable[[str], Path]) -> None:
    path = tmp_path / "copy.jsonl"
    path.write_bytes(b"".join(reversed(sample("openai.jsonl").read_bytes().splitlines(keepends=True))))
    os.utime(path, (7, 7))
    copied = {trace.id: trace.created for trace in read(path, "openai") if isinstance(trace, Trace)}
    first = {trace.id for trace in read(sample("openai.jsonl"), "openai") if isinstance(trace, Trace)}
    assert copied == dict.fromkeys(first, 7.0)  # a line that tells no time is as old as its file
