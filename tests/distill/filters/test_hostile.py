"""Traces that nobody would make: nothing is raised, what is kept keeps its form, and nothing takes long."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.dataset import Example
from distill.filters import REASONS, Rules, Told, explain, sift
from distill.trace import Trace
from router.chat import AnswerMessage, ChatRequest, FunctionCall, FunctionSpec, Message, Tool, ToolCall
from router.decision import Decision

TOLD = Told(Rules(confirm=False))
_WORDS = [
    "a",
    "There is no x_y.",
    "src/a.py",
    "line 9",
    "`Foo`",
    "\ud800",
    "\x00",
    "```\n",
    "<tool_call",
    "Error: no",
    "",
]
_TEXT = st.one_of(st.none(), st.lists(st.sampled_from(_WORDS), max_size=4).map(" ".join), st.text(max_size=8))
_ARGUMENTS = st.sampled_from(["", "{", "[]", "{}", '{"path": "src/a.py"}', '{"start": 99999}', '{"path": ["\\u0000"]}'])
_CALLS = st.lists(
    st.builds(
        ToolCall, st.sampled_from(["1", "2"]), st.builds(FunctionCall, st.sampled_from(["read", "x"]), _ARGUMENTS)
    ),
    max_size=2,
)
_MESSAGE = st.one_of(
    st.builds(Message, st.sampled_from(["user", "system", "developer", "function"]), _TEXT),
    st.builds(Message, st.just("assistant"), _TEXT, _CALLS),
    st.builds(lambda text, call: Message("tool", text, tool_call_id=call), _TEXT, st.sampled_from(["1", "2", None])),
    st.just(Message("user", [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "x"}}, {}])),
)
_TOOLS = [Tool(FunctionSpec("read", "", {"type": "object", "properties": {"path": {"type": "string"}}}))]


@st.composite
def conversations(draw: st.DrawFn) -> list[Trace]:
    """Traces whose requests go on from each other, now and then."""
    made: list[Trace] = []
    for number in range(draw(st.integers(1, 5))):
        before: list[Message] = []
        if made and draw(st.booleans()):
            last = draw(st.sampled_from(made))
            said = last.answer or AnswerMessage()
            before = [*last.request.messages, Message("assistant", said.content, said.tool_calls)]
        messages = [*before, *draw(st.lists(_MESSAGE, min_size=1, max_size=4))]
        answer = draw(st.one_of(st.none(), st.builds(AnswerMessage, _TEXT, _CALLS)))
        arm = draw(st.sampled_from(["teacher", "teacher", "student"]))
        state = draw(st.sampled_from(["completed", "completed", "aborted", "failed"]))
        request = ChatRequest("m", messages, tools=draw(st.sampled_from([None, _TOOLS])))
        made.append(Trace(str(number), float(number), "c", request, state, Decision(arm, "policy"), answer=answer))
    return made


@settings(max_examples=300, deadline=None)
@given(conversations())
def test_whatever_comes_is_explained_and_what_is_kept_ends_with_an_answer(traces: list[Trace]) -> None:
    told = explain(traces, TOLD)
    assert {trace for one in told.trajectories for trace in one.traces} == {trace.id for trace in traces}
    assert all(finding.reason in ("", *REASONS) for one in told.trajectories for finding in one.findings)
    assert all(bool(one.reason) != bool(one.learnt) for one in told.trajectories)
    (sifted,) = sift([traces], TOLD)
    assert len(sifted.examples) + sum(sifted.dropped.values()) == len(told.trajectories)
    teachers = {trace.id for trace in traces if trace.decision.arm == "teacher" and trace.state == "completed"}
    assert sum(len(example.learnt or ()) for example in sifted.examples) <= len(teachers)  # none twice
    for example in sifted.examples:
        _check(example, teachers)


def _check(example: Example, teachers: set[str]) -> None:
    assert example.learnt
    assert all(example.messages[at].role == "assistant" for at in example.learnt)
    assert example.learnt[-1] == len(example.messages) - 1
    assert example.messages[-1].text.strip()
    assert not example.messages[-1].tool_calls
    assert {*example.traces} & teachers


def answered(answer: str, question: str = "?", result: str = "fine") -> list[Trace]:
    call = ToolCall("1", FunctionCall("read", '{"path": "a"}'))
    messages = [
        Message("user", question),
        Message("assistant", None, [call]),
        Message("tool", result, tool_call_id="1"),
    ]
    request = ChatRequest("m", messages, tools=_TOOLS)
    return [Trace("t", 0.0, "c", request, "completed", Decision("teacher", "policy"), answer=AnswerMessage(answer))]


_PIECES = [
    "a",
    "a_",
    "`",
    "```\n",
    "a.b",
    "/",
    "a/",
    "line 1 ",
    "1",
    "-",
    "There is no x. ",
    "\\b",
    "A",
    "aA",
    "\n",
    "é",
    "~~~\n",
]
_SIZE = 500_000


@pytest.mark.parametrize("piece", _PIECES)
@pytest.mark.parametrize("place", ["answer", "question", "result"])
def test_long_texts_take_no_time(piece: str, place: str) -> None:
    text = piece * (_SIZE // len(piece))
    start = time.monotonic()
    explain(answered(**{"answer": "No such file_name.py.", place: text}), TOLD)
    assert time.monotonic() - start < 3


def test_many_names_denials_and_turns_take_no_time() -> None:
    names = " ".join(f"name_{number}" for number in range(50_000))
    denials = " ".join(f"There is no name_{number}." for number in range(20_000))
    start = time.monotonic()
    assert explain(answered(f"name_x {names}", names), TOLD).trajectories[0].reason == "ungrounded"
    explain(answered(denials, names, "(no output)"), TOLD)
    messages = [Message("user", "?"), Message("assistant", "Yes.")] * 20_000
    request = ChatRequest("m", [*messages, Message("user", "?")])
    long = Trace("t", 0.0, "c", request, "completed", Decision("teacher", "policy"), answer=AnswerMessage("Yes."))
    assert explain([long], TOLD).trajectories[0].learnt == [40_001]
    assert time.monotonic() - start < 6
