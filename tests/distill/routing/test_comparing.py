"""When a draft counts as worse than what the teacher said."""

from __future__ import annotations

import json
from typing import Any

import pytest

from distill.routing.comparing import compared, meaning
from distill.vocabularies import EXPLORE
from router.chat import AnswerMessage, ChatRequest, Choice, FunctionCall, FunctionSpec, Message, Tool, ToolCall

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer", "default": 1},
        "metric": {"type": "boolean"},
        "kinds": {"type": "array", "uniqueItems": True},
    },
    "required": ["city"],
}
WEATHER = Tool(FunctionSpec("weather", "", SCHEMA))
ASK = ChatRequest("nightschool", [Message("user", "What will the weather be in Bonn?")], tools=[WEATHER])


def call(arguments: Any, name: str = "weather") -> AnswerMessage:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return AnswerMessage(tool_calls=[ToolCall("1", FunctionCall(name, text))])


def draft(message: AnswerMessage) -> Choice:
    return Choice(message, "tool_calls" if message.tool_calls else "stop")


@pytest.mark.parametrize(
    "arguments",
    [
        {"city": "Bonn"},
        {"city": " Bonn "},
        {"city": "Bonn", "days": 1},
        '{ "days" : 1, "city":"Bonn" }',
    ],
)
def test_calls_that_mean_the_same_are_no_worse(arguments: Any) -> None:
    found = compared(ASK, draft(call(arguments)), [call({"city": "Bonn"})])
    assert (found.worse, found.how) == (False, "call")


@pytest.mark.parametrize("arguments", [{"city": "bonn"}, {"city": "Bonn", "days": 2}, {"city": "Köln"}])
def test_calls_that_mean_something_else_are_worse(arguments: Any) -> None:
    assert compared(ASK, draft(call(arguments)), [call({"city": "Bonn"})]).worse


def test_one_of_the_teachers_answers_is_enough() -> None:
    teachers = [call({"city": "Bonn", "days": 3}), call({"city": "Bonn", "days": 2})]
    assert not compared(ASK, draft(call({"city": "Bonn", "days": 2})), teachers).worse


def test_words_where_the_teacher_calls_are_worse_and_the_other_way_round() -> None:
    assert compared(ASK, draft(AnswerMessage("It rains.")), [call({"city": "Bonn"})]).how == "kind"
    assert compared(ASK, draft(call({"city": "Bonn"})), [AnswerMessage("It rains.")]).worse


def test_a_draft_of_a_wrong_form_is_worse_whatever_the_teacher_says() -> None:
    found = compared(ASK, draft(call({"town": "Bonn"})), [call({"town": "Bonn"})])
    assert (found.worse, found.how) == (True, "form")


def test_words_are_compared_by_what_they_name() -> None:
    teacher = AnswerMessage("`parse` is defined in src/core.py, line 12.")
    assert not compared(ASK, draft(AnswerMessage("It is defined in `src/core.py` at line 12.")), [teacher]).worse
    assert compared(ASK, draft(AnswerMessage("It is defined in `src/other.py` at line 7.")), [teacher]).worse


def test_values_are_read_as_the_schema_has_them() -> None:
    one = meaning(
        ToolCall("1", FunctionCall("weather", '{"city":"x","days":"5","metric":"True","kinds":["b","a"]}')), WEATHER
    )
    other = meaning(
        ToolCall("2", FunctionCall("weather", '{"city":"x","days":5.0,"metric":true,"kinds":["a","b"]}')), WEATHER
    )
    assert one == other


def test_the_exploring_agents_own_calls_are_compared_as_they_work() -> None:
    request = ChatRequest("nightschool", ASK.messages, tools=EXPLORE.specs)
    one, other = call({"path": "./src/a.py"}, "read_file"), call({"path": "src/a.py", "start": 1}, "read_file")
    assert not compared(request, draft(one), [other]).worse
    assert compared(request, draft(call({"path": "src/b.py"}, "read_file")), [other]).worse


@pytest.mark.parametrize("arguments", ["not json", "[1]", "7", '{"days": 1e999}', '{"days": "1e999"}', "{" * 3000])
def test_arguments_that_make_no_sense_have_a_meaning(arguments: str) -> None:
    assert meaning(ToolCall("1", FunctionCall("weather", arguments)), WEATHER)[0] == "weather"


def test_without_a_teacher_there_is_nothing_to_compare() -> None:
    with pytest.raises(ValueError, match="teacher"):
        compared(ASK, draft(call({"city": "Bonn"})), [])
