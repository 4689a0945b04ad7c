from __future__ import annotations

import time

import pytest

from router.chat import (
    AnswerMessage,
    ChatRequest,
    Choice,
    FunctionCall,
    FunctionSpec,
    Message,
    Tool,
    ToolCall,
    this_turn,
)
from router.verify import fault

SCHEMA = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "lines": {"type": "integer", "minimum": 1}},
    "required": ["path"],
    "additionalProperties": False,
}


def tool(schema: dict[str, object] = SCHEMA, name: str = "read_file") -> Tool:
    return Tool(FunctionSpec(name, parameters=schema))


def called(*calls: tuple[str, str], finish: str = "tool_calls") -> Choice:
    made = [ToolCall(f"call_{i}", FunctionCall(name, arguments)) for i, (name, arguments) in enumerate(calls)]
    return Choice(AnswerMessage(None, made), finish)


def said(text: str | None, finish: str = "stop") -> Choice:
    return Choice(AnswerMessage(text), finish)


def asked(*messages: Message, **more: object) -> ChatRequest:
    return ChatRequest("m", list(messages) or [Message("user", "Look.")], **{"tools": [tool()], **more})  # type: ignore[arg-type]


def test_a_call_that_fits_its_schema_is_well_formed() -> None:
    assert fault(asked(), called(("read_file", '{"path": "a", "lines": 3}'))) == ""


def test_a_plain_text_is_well_formed() -> None:
    assert fault(asked(), said("Two classes.")) == ""


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (called(("read_file", '{"path": "a"}'), finish="length"), "token limit"),
        (called(("read_file", '{"path": "a"}'), finish="content_filter"), "content_filter"),
        (called(("grep", "{}")), "unknown tool"),
        (called(("read_file", "{")), "not a JSON object"),
        (called(("read_file", '["a"]')), "not a JSON object"),
        (called(("read_file", "{}")), "do not fit"),
        (called(("read_file", '{"path": "a", "lines": 0}')), "do not fit"),
        (called(("read_file", '{"path": "a", "mode": "r"}')), "do not fit"),
        (called(("read_file", '{"path": "a"}'), ("read_file", '{ "path":"a"}')), "same call again"),
        (said(""), "empty"),
        (said(None), "empty"),
        (said("<tool_call>\n{"), "markup"),
        (said('```json\n{"name": "read_file", "arguments": {}}\n```'), "written as text"),
    ],
)
def test_a_fault_is_named(choice: Choice, words: str) -> None:
    assert words in fault(asked(), choice)


def test_a_call_already_made_since_the_last_user_message_is_a_fault() -> None:
    call = ToolCall("call_s1", FunctionCall("read_file", '{"path":"a"}'))
    history = [
        Message("user", "Look."),
        Message("assistant", tool_calls=[call]),
        Message("tool", "error: no such file"),
    ]
    again = called(("read_file", '{"path": "a"}'))
    assert "same call again" in fault(asked(*history), again)
    answered = [*history, Message("assistant", "There is no such file."), Message("user", "Once more.")]
    assert fault(asked(*answered), again) == ""


@pytest.mark.parametrize(
    ("tool_choice", "choice", "words"),
    [
        ("none", called(("read_file", '{"path": "a"}')), "tool_choice is none"),
        ("required", said("No."), "required"),
        ({"type": "function", "function": {"name": "other"}}, called(("read_file", '{"path": "a"}')), "names: other"),
    ],
)
def test_tool_choice_is_respected(tool_choice: object, choice: Choice, words: str) -> None:
    assert words in fault(asked(tool_choice=tool_choice), choice)


def test_several_calls_are_a_fault_only_where_the_client_forbids_them() -> None:
    two = called(("read_file", '{"path": "a"}'), ("read_file", '{"path": "b"}'))
    assert fault(asked(), two) == ""
    assert "parallel" in fault(asked(parallel_tool_calls=False), two)


def test_a_pattern_that_would_backtrack_without_end_does_not() -> None:
    schema = {"type": "object", "properties": {"path": {"type": "string", "pattern": "^(a+)+$"}}}
    arguments = '{"path": "' + "a" * 5000 + '!"}'
    start = time.perf_counter()
    assert "do not fit" in fault(asked(tools=[tool(schema)]), called(("read_file", arguments)))
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize("reference", ["http://127.0.0.1:9/schema.json", "file:///etc/passwd"])
def test_a_schema_that_points_elsewhere_is_not_fetched(reference: str) -> None:
    schema = {"type": "object", "properties": {"path": {"$ref": reference}}}
    assert "cannot be checked" in fault(asked(tools=[tool(schema)]), called(("read_file", '{"path": "a"}')))


JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}


@pytest.mark.parametrize(
    ("wanted", "text", "sound"),
    [
        ({"type": "text"}, "Two.", True),
        ({"type": "json_object"}, '{"a": 1}', True),
        ({"type": "json_object"}, "Two.", False),
        ({"type": "json_object"}, '{"a": ', False),
        (JSON_SCHEMA, '{"path": "a", "lines": 2}', True),
        (JSON_SCHEMA, '{"path": "a", "lines": 0}', False),
        (JSON_SCHEMA, "[]", False),
        (JSON_SCHEMA, "Two.", False),
    ],
)
def test_a_text_has_the_form_that_was_asked_for(wanted: dict[str, object], text: str, sound: bool) -> None:
    assert (fault(asked(tools=None, response_format=wanted), said(text)) == "") == sound


def test_a_call_may_come_where_a_form_is_asked_of_the_text() -> None:
    assert fault(asked(response_format=JSON_SCHEMA), called(("read_file", '{"path": "a"}'))) == ""


CALL = Message("assistant", None, [ToolCall("call_1", FunctionCall("read_file", '{"path": "a"}'))])
RESULT = Message("tool", "text", tool_call_id="call_1")


@pytest.mark.parametrize(
    ("messages", "since"),
    [
        ([Message("user", "Look.")], 0),
        ([Message("user", "Look."), CALL, RESULT], 2),
        ([Message("user", "Look."), CALL, RESULT, Message("user", "<reminder>")], 3),
        ([Message("user", "Look."), CALL, RESULT, Message("assistant", "So."), Message("user", "And?")], 0),
        ([CALL, RESULT], 2),
        ([], 0),
    ],
)
def test_a_reminder_beside_a_tools_result_begins_no_new_turn(messages: list[Message], since: int) -> None:
    assert len(this_turn(messages)) == since


def test_the_same_call_again_is_seen_over_a_reminder() -> None:
    ask = asked(Message("user", "Look."), CALL, RESULT, Message("user", "<reminder>"))
    assert "again" in fault(ask, called(("read_file", '{"path": "a"}')))
