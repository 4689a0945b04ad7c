"""What gates look at: patterns of questions, parts of a draft, and that nothing depends on what was seen before."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as some

from router.chat import (
    AnswerMessage,
    ChatRequest,
    Choice,
    ChoiceLogprobs,
    FunctionCall,
    FunctionSpec,
    Message,
    TokenLogprob,
    Tool,
    ToolCall,
)
from router.features import draft as drafts
from router.features import request as requests
from router.features.draft import draft_features
from router.features.memory import Memory
from router.features.pattern import alike, pattern
from router.features.request import Features, features, texts_of
from router.features.tokens import parts

TOOLS = [
    Tool(
        FunctionSpec(
            "read_file", "", {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
        )
    ),
    Tool(FunctionSpec("write_file", "", {"type": "object", "properties": {"lines": {"type": "array"}}})),
]


def ask(*messages: Message, tools: list[Tool] | None = None) -> ChatRequest:
    return ChatRequest("nightschool", list(messages), tools=tools)


def seen(request: ChatRequest, memory: Memory | None = None) -> Features:
    return features(request, texts_of(request), memory or Memory())


def named(request: ChatRequest) -> dict[str, float]:
    return dict(zip(requests.NAMES, seen(request).numbers, strict=True))


def tokens(*pairs: tuple[str, float]) -> list[TokenLogprob]:
    return [TokenLogprob(text, math.log(share)) for text, share in pairs]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("In which file is `parse` defined?", "In which file is `load_all` defined?"),
        ("Where is parse_request used?", "Where is split_words used?"),
        ("What does src/app.py import?", "What does lib/core/x.py import?"),
        ("How many lines has line 14?", "How many lines has line 1567?"),
        ("Explain HttpClient please", "explain TraceStore  please"),
    ],
)
def test_questions_that_differ_in_names_only_have_one_pattern(one: str, other: str) -> None:
    assert pattern(one) == pattern(other)


def test_other_questions_have_another() -> None:
    assert pattern("In which file is `parse` defined?") != pattern("In which file is `parse` used?")
    assert pattern("") == pattern(" `x` "[:0]) == ""


def test_texts_are_alike_by_their_runs() -> None:
    assert alike("where is it", "where is it") == 1.0
    assert alike("where is it", "quite another") < 0.2
    assert alike("", "x") == 0.0


def test_a_request_by_its_features() -> None:
    call = ToolCall("call_s1", FunctionCall("read_file", '{"path": "a.py"}'))
    request = ask(
        Message("system", "Be brief."),
        Message("user", "What is in a.py?"),
        Message("assistant", None, [call]),
        Message("tool", "Error: no such file", tool_call_id="call_s1"),
        tools=TOOLS,
    )
    found = named(request)
    assert found["in_loop"] == 1.0
    assert found["steps"] == 1.0
    assert found["tools"] == pytest.approx(math.log(3))
    assert found["most_required"] == 1.0
    assert (found["nested"], found["destructive_tools"]) == (1.0, 1.0)
    assert (found["result_error"], found["errors_lately"]) == (1.0, 1.0)
    assert (found["student_steps"], found["teacher_steps"]) == (1.0, 0.0)
    assert found["question_marks"] == 1.0
    assert found["repeated_call"] == 0.0


def test_the_same_question_once_more_is_noticed() -> None:
    question = "Which module opens the socket?"
    found = named(ask(Message("user", question), Message("assistant", "None."), Message("user", question + " Really?")))
    assert found["asked_again"] > 0.7


def test_a_call_that_was_made_twice_is_noticed_however_it_is_written() -> None:
    calls = [
        ToolCall(f"c{n}", FunctionCall("f", text)) for n, text in enumerate(('{"a":1,"b":2}', '{ "b": 2, "a": 1 }'))
    ]
    request = ask(Message("user", "x"), *(Message("assistant", None, [call]) for call in calls))
    assert named(request)["repeated_call"] == 1.0


@given(
    some.lists(
        some.tuples(some.sampled_from(["user", "assistant", "tool", "system"]), some.text()), min_size=1, max_size=8
    )
)
def test_what_was_read_before_changes_nothing(said: list[tuple[str, str]]) -> None:
    request = ask(*(Message(role, text) for role, text in said), tools=TOOLS)  # type: ignore[arg-type]
    memory = Memory(kept=3)
    first = seen(request, memory)
    assert seen(request, memory) == first == seen(request)
    assert all(math.isfinite(number) for number in first.numbers)
    assert all(1 <= abs(place) <= requests.WORDS for place in first.words)


def test_tokens_by_what_they_are_for() -> None:
    said = tokens(
        ("<tool_call>", 0.99), ("\n", 1.0), ('{"name": "', 0.9), ("read", 0.8), ("_file", 0.7),
        ('", "arguments": {"', 0.9),
        ("path", 0.5), ('": "', 0.9), ("src/", 0.6), ("a.py", 0.4), ('"}}', 0.9),
    )  # fmt: skip
    found = parts(said, [ToolCall("1", FunctionCall("read_file", '{"path": "src/a.py"}'))])
    assert [said[at].token for at in found.names] == ["read", "_file"]
    assert [said[at].token for at in found.values] == ["src/", "a.py", '"}}']
    assert found.first == 0


def test_bare_values_count_and_keys_do_not() -> None:
    said = tokens(
        ('{"name":"f","arguments":{"', 1.0),
        ("limit", 0.5),
        ('":', 1.0),
        (" 10", 0.4),
        (',"deep":', 1.0),
        ("true", 0.3),
        ("}}", 1.0),
    )
    found = parts(said, [ToolCall("1", FunctionCall("f", '{"limit": 10, "deep": true}'))])
    assert [said[at].token for at in found.values] == [" 10", "true"]


def test_a_call_in_a_form_that_nobody_knows_is_values_all_through() -> None:
    said = tokens(("<function=", 0.9), ("x", 0.9))
    assert parts(said, [ToolCall("1", FunctionCall("read_file"))]).values == (0, 1)


def draft(message: AnswerMessage, said: list[TokenLogprob] | None = None) -> Choice:
    return Choice(message, "stop", logprobs=ChoiceLogprobs(said) if said else None)


def of_draft(request: ChatRequest, choice: Choice) -> dict[str, float]:
    return dict(zip(drafts.NAMES, draft_features(request, texts_of(request), choice, 0.3), strict=True))


def test_a_draft_is_grounded_where_what_it_names_was_shown() -> None:
    request = ask(Message("user", "Read src/a.py"), tools=TOOLS)
    made = AnswerMessage(tool_calls=[ToolCall("1", FunctionCall("read_file", '{"path": "src/a.py"}'))])
    assert of_draft(request, draft(made))["ungrounded"] == 0.0
    made = AnswerMessage(tool_calls=[ToolCall("1", FunctionCall("read_file", '{"path": "src/b.py"}'))])
    found = of_draft(request, draft(made))
    assert (found["ungrounded"], found["grounded_share"], found["is_call"]) == (1.0, 0.0, 1.0)


def test_words_are_grounded_by_the_names_in_them() -> None:
    request = ask(Message("user", "Where is parse_all?"), Message("tool", "src/core.py:3: def parse_all"))
    found = of_draft(request, draft(AnswerMessage("parse_all is in src/core.py, not in made_up.py")))
    assert found["values"] == 3.0
    assert found["ungrounded"] == 1.0


def test_how_sure_a_draft_was() -> None:
    made = AnswerMessage(tool_calls=[ToolCall("1", FunctionCall("read_file", '{"path": "a"}'))])
    said = tokens(('{"name": "read_file"', 0.5), (', "arguments": {"path": "', 0.9), ("a", 0.05), ('"}}', 0.9))
    found = of_draft(ask(Message("user", "a")), draft(made, said))
    assert found["least"] == pytest.approx(math.log(0.05))
    assert found["least_name"] == pytest.approx(math.log(0.5))
    assert found["least_value"] == pytest.approx(math.log(0.05))
    assert found["unsure"] == 1.0
    assert found["pre"] == 0.3


@given(some.text(), some.text(), some.lists(some.tuples(some.text(max_size=5), some.floats(-50, 3)), max_size=20))
def test_any_draft_has_finite_features(name: str, arguments: str, said: list[tuple[str, float]]) -> None:
    logs = [TokenLogprob(text, value) for text, value in said]
    for message in (AnswerMessage(tool_calls=[ToolCall("1", FunctionCall(name, arguments))]), AnswerMessage(arguments)):
        found = draft_features(ask(Message("user", name)), [name], draft(message, logs), 0.0)
        assert len(found) == len(drafts.NAMES)
        assert all(math.isfinite(number) for number in found)


def test_deep_arguments_end_no_thread() -> None:
    deep = "[" * 100_000 + "]" * 100_000
    made = AnswerMessage(
        tool_calls=[ToolCall("1", FunctionCall("f", json.dumps({"a": 1})[:-1] + ', "b": ' + deep + "}"))]
    )
    assert len(draft_features(ask(Message("user", "x")), ["x"], draft(made), 0.0)) == len(drafts.NAMES)
