"""One good conversation, and one spoilt in one way for each reason to drop it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from distill.dataset import Example
from distill.filters import Rules, Told, explain, sift
from distill.trace import Trace
from distill.trajectory import by_conversation
from router.chat import AnswerMessage, ChatRequest, FunctionCall, FunctionSpec, Message, Tool, ToolCall
from router.decision import Decision

_SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
_TOOLS = [Tool(FunctionSpec("read_file", "Reads a file.", _SCHEMA)), Tool(FunctionSpec("list_files"))]
_QUESTION = "Where is parse_args defined, in src/cli.py or in src/b.py?"
_RESULT = "src/cli.py:12: def parse_args(argv: list[str]) -> Namespace:"
RULES = Rules(confirm=False)
TOLD = Told(RULES)
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
    """Why the longest trajectory is dropped; empty when something is learnt from it."""
    return explain(found, TOLD).trajectories[0].reason


def kept(found: list[Trace], told: Told = TOLD) -> list[Example]:
    return [example for sifted in sift([found], told) for example in sifted.examples]


def test_a_good_conversation_is_learnt_whole() -> None:
    (sifted,) = sift([traces()], TOLD)
    assert (sifted.conversation, sifted.dropped, sifted.masked) == ("c", {}, {})
    (example,) = sifted.examples
    assert [message.role for message in example.messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert example.messages[-1].text == _ANSWER
    assert (example.conversation, example.repository, example.traces) == ("c", "flask", ["t1", "t2"])
    assert (example.tools, example.learnt) == (_TOOLS, [2, 4])


_SPOILT: list[tuple[str, dict[str, Any]]] = [
    ("incomplete", {"state": "failed"}),
    ("incomplete", {"state": "aborted"}),
    ("incomplete", {"answer": None, "state": "completed"}),
    ("not_the_teacher", {"decision": Decision("student", "verified")}),
    ("cached", {"decision": Decision("teacher", "cached")}),
    ("truncated", {"finish_reason": "length"}),
]
_DROPPED: list[tuple[str, dict[str, Any]]] = [
    *_SPOILT,
    ("may_not_teach", {"teach": False}),
    ("no_final_answer", {"answer": AnswerMessage(None, [called("b.py", "c2")])}),
    ("no_final_answer", {"answer": AnswerMessage("  \n")}),
    ("no_final_answer", {"answer": AnswerMessage(None)}),
]


@pytest.mark.parametrize(("expected", "change"), _DROPPED)
def test_a_spoilt_last_trace(expected: str, change: dict[str, Any]) -> None:
    first, second = traces()
    assert reason([first, msgspec.structs.replace(second, **change)]) == expected


@pytest.mark.parametrize(("expected", "change"), [_SPOILT[0], _SPOILT[1], _SPOILT[3], _SPOILT[4]])
def test_a_spoilt_first_trace_stays_as_context(expected: str, change: dict[str, Any]) -> None:
    first, second = traces()
    (sifted,) = sift([[msgspec.structs.replace(first, **change), second]], TOLD)
    (example,) = sifted.examples
    assert (example.learnt, sifted.masked) == ([4], {expected: 1})
    assert len(example.messages) == 5


def test_what_an_import_does_not_tell_whole_is_context_only() -> None:
    first, second = traces()

    def marked(trace: Trace, value: Any) -> Trace:
        metadata = {**(trace.request.metadata or {}), "incomplete": value}
        return msgspec.structs.replace(trace, request=msgspec.structs.replace(trace.request, metadata=metadata))

    assert reason([first, marked(second, True)]) == "missing_context"
    (sifted,) = sift([[marked(first, True), second]], TOLD)
    assert (sifted.examples[0].learnt, sifted.masked) == ([4], {"missing_context": 1})
    assert kept([first, marked(second, "true")])[0].learnt == [2, 4]


def test_one_trace_that_may_not_teach_bars_the_conversation() -> None:
    first, second = traces()
    assert reason([msgspec.structs.replace(first, teach=False), second]) == "may_not_teach"


def test_what_an_agent_puts_into_the_assistants_mouth_is_not_learnt() -> None:
    _, second = traces()
    (example,) = kept([second])
    assert example.learnt == [4]


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
def test_invalid_calls_are_masked(bad: ToolCall) -> None:
    for calls in ([bad], [called(identity="good"), bad]):
        (sifted,) = sift([traces(calls=calls)], TOLD)
        assert sifted.masked == {"invalid_call": 1}
        assert sifted.examples[0].learnt == [3 + len(calls)]


def test_extra_arguments_are_invalid_where_the_schema_forbids_them() -> None:
    extra = called(arguments='{"path": "src/cli.py", "depth": 1}')
    assert kept(traces(calls=[extra]))[0].learnt == [2, 4]
    strict = [Tool(FunctionSpec("read_file", "", {**_SCHEMA, "additionalProperties": False}))]
    changed = [
        msgspec.structs.replace(one, request=msgspec.structs.replace(one.request, tools=strict))
        for one in traces(calls=[extra])
    ]
    assert kept(changed)[0].learnt == [4]


def test_too_many_calls_at_once() -> None:
    calls = [called(f"src/cli.py{'/' * n}", f"c{n}") for n in range(9)]
    (sifted,) = sift([traces(calls=calls)], TOLD)
    assert sifted.masked == {"too_many_calls": 1}
    assert sift([traces(calls=calls[:8])], TOLD).__next__().masked == {}


def test_the_same_call_twice_is_masked_unless_it_shows_something_new() -> None:
    twice = [called(), called(identity="c2")]
    (sifted,) = sift([traces(calls=twice)], TOLD)
    assert sifted.masked == {"repeated_call": 1}
    found = traces(calls=twice)
    changed = [*found[1].request.messages]
    changed[-1] = msgspec.structs.replace(changed[-1], content=f"{_RESULT} # new")
    request = msgspec.structs.replace(found[1].request, messages=changed)
    assert kept([found[0], msgspec.structs.replace(found[1], request=request)])[0].learnt == [2, 5]


def test_calls_without_results_and_results_without_calls() -> None:
    assert reason(traces(calls=[called(), called("src/b.py", "c2")], answered=["c1"])) == "unanswered_call"
    assert reason(traces(answered=["c1", "c9"])) == "unanswered_call"
    assert reason(traces(answered=["c1", "c1"])) == "unanswered_call"
    assert reason(traces(calls=[called(), called("src/b.py")], answered=["c1", "c1"])) == "unanswered_call"


@pytest.mark.parametrize(
    "invented",
    [
        "It is in src/main.py, line 12.",
        "It is in src/cli.py, line 99.",
        "It is at src/cli.py:99.",
        "parse_args calls read_config.",
        "It returns an ArgumentParser.",
        "It returns a `Parser`.",
        "See lib/cli.py.",
        "Look into ./src/args/.",
        "parse_args is defined in src/cli.py; the class CliRunner uses it.",
    ],
)
def test_answers_that_name_what_nobody_saw(invented: str) -> None:
    assert reason(traces(invented)) == "ungrounded"


@pytest.mark.parametrize(
    "grounded",
    [
        _ANSWER,
        "Line 12.",
        "parse_args(argv: list[str]) in `src/cli.py`.",
        "It is defined once, in cli.py",
        "It reads/writes, e.g. on GitHub, with Python 3.11 and/or Node.js, and gives `None` or a **Namespace**.",
        "Call it so:\n```python\nfrom src.cli import new_helper\nnew_helper.runNow()\n```\n",
        "_parse_args_ it is; at src/cli.py:12.",
    ],
)
def test_answers_that_name_what_was_seen(grounded: str) -> None:
    assert reason(traces(grounded)) == ""


def test_an_invention_in_a_call_grounds_nothing() -> None:
    """Seen is what the question or a tool said; what the assistant made up in a call stays made up."""
    assert reason(traces("It is in src/main.py.", calls=[called("src/main.py")], result="no match")) == "ungrounded"


@pytest.mark.parametrize(
    ("answer", "result", "expected"),
    [
        ("There is no parse_args.", _RESULT, "unproven_absence"),
        ("There is no parse_args.", "(no output)", ""),
        ("parse_args does not exist.", "error: no such file: parse_args", ""),
        ("The docstring says: there is no way back.", '"""There: there is no way back."""', ""),
        ("It raises an error if the file does not exist.", _RESULT, ""),
        ("I could not find it.", "No matches found", ""),
        ("It was not found.", "1: # raised where it was not found", "unproven_absence"),
        ("I could not find it.", _RESULT, "unproven_absence"),
    ],
)
def test_denials_rest_on_an_empty_search(answer: str, result: str, expected: str) -> None:
    assert reason(traces(answer, result=result, calls=[called("parse_args")])) == expected


def test_reserved_repositories_are_never_learnt() -> None:
    (sifted,) = sift([traces()], Told(RULES, reserved={"flask"}))
    assert (sifted.examples, sifted.dropped) == ([], {"reserved": 1})


def test_conversations_are_told_apart_and_sifted_one_by_one() -> None:
    one, other, bad = traces(conversation="a"), traces(conversation="b"), traces("x_y_z", conversation="c")
    mixed = [one[0], other[0], bad[0], other[1], one[1], bad[1]]
    pulled = []

    def conversations() -> Iterator[list[Trace]]:
        for conversation in by_conversation(mixed):
            pulled.append(conversation[0].conversation)
            yield conversation

    found = sift(conversations(), TOLD)
    assert next(found).conversation == "a"
    assert pulled == ["a"]
    assert [(one.conversation, one.dropped) for one in found] == [("b", {}), ("c", {"ungrounded": 1})]


def test_the_order_of_traces_does_not_matter() -> None:
    first, second = traces()
    assert kept([second, first]) == kept([first, second])


def test_no_tools_and_no_metadata() -> None:
    request = ChatRequest("m", [Message("user", "Hello?")])
    hello = Trace("t", 1.0, "c", request, "completed", Decision("teacher", "policy"), answer=AnswerMessage("Hello."))
    (example,) = kept([hello])
    assert (example.tools, example.repository, example.learnt) == ([], "", [1])


def test_nothing_is_found_in_nothing() -> None:
    assert [sifted.examples for sifted in sift([[]], TOLD)] == [[]]
    assert explain([], TOLD).trajectories == []
