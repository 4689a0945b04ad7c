"""One good conversation, and one spoilt in one way for each reason to drop it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest

from distill.filters import CHECKS, fault, sift, trajectories
from distill.trace import Trace
from router.chat import AnswerMessage, ChatRequest, FunctionCall, FunctionSpec, Message, Tool, ToolCall
from router.decision import Decision

_SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
_TOOLS = [Tool(FunctionSpec("read_file", "Reads a file.", _SCHEMA)), Tool(FunctionSpec("list_files"))]
_QUESTION = "Where is parse_args defined?"
_RESULT = "src/cli.py:12: def parse_args(argv: list[str]) -> Namespace:"
_ANSWER = "parse_args is defined in src/cli.py, line 12."


def called(path: str = "src/cli.py", identity: str = "c1", **changes: str) -> ToolCall:
    function = {"name": "read_file", "arguments": f'{{"path": "{path}"}}', **changes}
    return ToolCall(identity, FunctionCall(**function))


def traces(
    answer: str | None = _ANSWER,
    *,
    calls: list[ToolCall] | None = None,
    result: str = _RESULT,
    answered: list[str] | None = None,
    conversation: str = "c",
    **last: Any,
) -> list[Trace]:
    """A conversation of two requests: the call (or several), then the answer; `last` changes the last trace."""
    made = calls if calls is not None else [called()]
    system, asked = Message("system", "Look."), Message("user", _QUESTION)
    results = [Message("tool", result, tool_call_id=c) for c in answered or [call.id for call in made]]
    first = ChatRequest("nightschool", [system, asked], tools=_TOOLS, metadata={"repository": "flask"})
    second = msgspec.structs.replace(first, messages=[system, asked, Message("assistant", None, made), *results])
    taught = Decision("teacher", "policy")
    one = Trace("t1", 1.0, conversation, first, "completed", taught, answer=AnswerMessage(None, made))
    two = Trace("t2", 2.0, conversation, second, "completed", taught, answer=AnswerMessage(answer), turn=1)
    return [one, msgspec.structs.replace(two, **last)]


def reason(found: list[Trace]) -> str:
    (trajectory,) = trajectories(found)
    return fault(trajectory)


def test_a_good_conversation_is_learnt_whole() -> None:
    kept, dropped = sift(trajectories(traces()), frozenset())
    assert not dropped
    (example,) = kept
    assert [message.role for message in example.messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert example.messages[-1].text == _ANSWER
    assert (example.conversation, example.repository, example.traces) == ("c", "flask", ["t1", "t2"])
    assert example.tools == _TOOLS


_SPOILT: list[tuple[str, dict[str, Any]]] = [
    ("incomplete", {"state": "failed"}),
    ("incomplete", {"state": "aborted"}),
    ("incomplete", {"answer": None, "state": "completed"}),
    ("may_not_teach", {"teach": False}),
    ("not_the_teacher", {"decision": Decision("student", "verified")}),
    ("no_final_answer", {"answer": AnswerMessage(None, [called("b.py", "c2")])}),
    ("no_final_answer", {"answer": AnswerMessage("  \n")}),
    ("no_final_answer", {"answer": AnswerMessage(None)}),
]


@pytest.mark.parametrize(("expected", "change"), _SPOILT)
def test_a_spoilt_last_trace(expected: str, change: dict[str, Any]) -> None:
    last = dict(change)
    first, second = traces()
    assert reason([first, msgspec.structs.replace(second, **last)]) == expected


@pytest.mark.parametrize(("expected", "change"), [spoilt for spoilt in _SPOILT if spoilt[0] != "no_final_answer"])
def test_a_spoilt_first_trace_spoils_the_conversation_too(expected: str, change: dict[str, Any]) -> None:
    first, second = traces()
    assert reason([msgspec.structs.replace(first, **change), second]) == expected


@pytest.mark.parametrize(
    "bad",
    [
        called(name="delete_everything"),
        called(arguments="{"),
        called(arguments="[]"),
        called(arguments="{}"),
        called(arguments='{"path": 3}'),
        called(arguments=""),
    ],
)
def test_invalid_calls(bad: ToolCall) -> None:
    assert reason(traces(calls=[bad])) == "invalid_call"
    assert reason(traces(calls=[called(identity="good"), bad])) == "invalid_call"


def test_repeated_calls() -> None:
    assert reason(traces(calls=[called(), called(identity="c2")])) == "repeated_call"
    assert reason(traces(calls=[called(), called("src/b.py", "c2")])) == ""


def test_calls_without_results_and_results_without_calls() -> None:
    assert reason(traces(calls=[called(), called("src/b.py", "c2")], answered=["c1"])) == "unanswered_call"
    assert reason(traces(answered=["c1", "c9"])) == "unanswered_call"


@pytest.mark.parametrize(
    "invented",
    [
        "It is in src/main.py, line 12.",
        "parse_args calls read_config.",
        "It returns an ArgumentParser.",
        "See lib/cli.py.",
        "parse_args is defined in src/cli.py; the class CliRunner uses it.",
    ],
)
def test_answers_that_name_what_nobody_saw(invented: str) -> None:
    assert reason(traces(invented)) == "ungrounded"


@pytest.mark.parametrize(
    "grounded", [_ANSWER, "Line 12.", "parse_args(argv: list[str]) in `src/cli.py`.", "It is defined once, in cli.py"]
)
def test_answers_that_name_what_was_seen(grounded: str) -> None:
    assert reason(traces(grounded)) == ""


def test_an_invention_in_a_call_grounds_nothing() -> None:
    """Seen is what the question or a tool said; what the assistant made up in a call stays made up."""
    assert reason(traces("It is in src/main.py.", calls=[called("src/main.py")], result="no match")) == "ungrounded"


def test_every_reason_has_its_case() -> None:
    cases = {expected for expected, _ in _SPOILT} | {"invalid_call", "repeated_call", "unanswered_call", "ungrounded"}
    assert cases == CHECKS.keys()


def test_reserved_repositories_are_never_learnt() -> None:
    kept, dropped = sift(trajectories(traces()), {"flask"})
    assert kept == []
    assert dropped == Counter(reserved=1)


def test_conversations_are_told_apart_and_counted() -> None:
    one, other, bad = traces(conversation="a"), traces(conversation="b"), traces("x_y_z", conversation="c")
    mixed = [one[0], other[0], bad[0], other[1], one[1], bad[1]]
    kept, dropped = sift(trajectories(mixed), frozenset())
    assert [example.conversation for example in kept] == ["a", "b"]
    assert dropped == Counter(ungrounded=1)


def test_the_order_of_traces_does_not_matter() -> None:
    first, second = traces()
    assert sift(trajectories([second, first]), frozenset()) == sift(trajectories([first, second]), frozenset())


def test_no_tools_and_no_metadata() -> None:
    request = ChatRequest("m", [Message("user", "Hello?")])
    hello = Trace("t", 1.0, "c", request, "completed", Decision("teacher", "policy"), answer=AnswerMessage("Hello."))
    kept, _ = sift(trajectories([hello]), frozenset())
    assert kept[0].tools == []
    assert kept[0].repository == ""
