"""Tools of every kind: what a model is offered, what the client is given back, and Codex's own way of asking."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.api.responses.tools import custom_arguments, custom_input, flat_name, read_tools
from gateway.backends.scripted import Act
from router.chat import InvalidRequest
from tests.gateway.responses.judged import judged, stream
from tests.gateway.running import Running, Script

SHELL = {"type": "function", "name": "shell", "strict": False, "parameters": {"type": "object", "properties": {}}}
PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Change files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: begin hunk+ end"},
}
FILES = {
    "type": "namespace",
    "name": "mcp__files",
    "description": "Files.",
    "tools": [{"type": "function", "name": "read.all", "description": "Read.", "parameters": {"type": "object"}}],
}
CODEX: dict[str, Any] = {
    "model": "gpt-5-codex",
    "instructions": "You are Codex.",
    "tools": [SHELL, PATCH, FILES, {"type": "web_search", "external_web_access": False}],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "0199-thread",
    "text": {"verbosity": "low"},
}
FIRST = [
    {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Sandbox: on."}]},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Fix it."}]},
]
PATCHED = "*** Begin Patch\n*** Update File: a.py\n-\"x\"\n+'y'\n*** End Patch"


def test_codex_calls_tools_of_all_kinds_and_goes_on(gateway: Running, student: Script, teacher: Script) -> None:
    calls = [
        ("mcp__files__read_all", '{"path": "a.py"}'),
        ("apply_patch", custom_arguments(PATCHED)),
        ("shell", "{}"),
    ]
    student.play(Act(thoughts="Read, then patch.", calls=calls))
    _, headers, body = gateway.call("/v1/responses", {**CODEX, "input": FIRST})
    assert (headers["x-nightschool-served-by"], headers["x-nightschool-skipped-tools"]) == ("student", "web_search")
    events = stream(body)
    items = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    thoughts, read, patch, shell = items
    assert (read["type"], read["namespace"], read["name"]) == ("function_call", "mcp__files", "read.all")
    assert (patch["type"], patch["name"], patch["input"]) == ("custom_tool_call", "apply_patch", PATCHED)
    assert (shell["name"], shell["arguments"]) == ("shell", "{}")
    assert "namespace" not in shell
    assert "response.custom_tool_call_input.done" in {event["type"] for event in events}
    assert thoughts["encrypted_content"]

    del thoughts["content"]  # Codex does not send raw thoughts again
    outputs = [
        {"type": "function_call_output", "call_id": read["call_id"], "output": "text of a.py"},
        {"type": "custom_tool_call_output", "call_id": patch["call_id"], "output": "Done"},
        {
            "type": "function_call_output",
            "call_id": shell["call_id"],
            "output": [{"type": "input_text", "text": "one"}, {"type": "input_text", "text": "two"}],
        },
    ]
    student.play(Act(text="Fixed."))
    _, headers, body = gateway.call("/v1/responses", {**CODEX, "input": [*FIRST, *items, *outputs]})
    assert headers["x-nightschool-served-by"] == "student"
    assert stream(body)[-1]["response"]["output"][0]["content"][0]["text"] == "Fixed."
    sent = student.asked[-1].body
    assert [message["role"] for message in sent["messages"]] == ["system", "user", "assistant", *["tool"] * 3]
    assert sent["messages"][0]["content"] == "You are Codex.\n\nSandbox: on."
    turn = sent["messages"][2]
    assert turn["reasoning_content"] == "Read, then patch."
    assert [call["function"]["name"] for call in turn["tool_calls"]] == [name for name, _ in calls]
    assert msgspec.json.decode(turn["tool_calls"][1]["function"]["arguments"]) == {"input": PATCHED}
    assert sent["messages"][-1]["content"] == "one\ntwo"
    assert gateway.trace(headers)["conversation"] == "0199-thread"
    assert not teacher.asked


def test_a_grammar_is_told_in_words_and_the_schema_asks_for_one_text(gateway: Running, student: Script) -> None:
    gateway.call("/v1/responses", {**CODEX, "input": FIRST})
    functions = {tool["function"]["name"]: tool["function"] for tool in student.asked[-1].body["tools"]}
    assert list(functions) == ["shell", "apply_patch", "mcp__files__read_all"]
    assert functions["shell"]["strict"] is False
    assert "start: begin hunk+ end" in functions["apply_patch"]["description"]
    assert functions["apply_patch"]["parameters"]["required"] == ["input"]


def test_names_of_functions_are_legal_and_distinct() -> None:
    long = [flat_name(name, "mcp__" + "x" * 80) for name in ("one", "two")]
    assert len({*long, flat_name("one", "mcp__x"), flat_name("one")}) == 4
    assert all(len(name) <= 64 for name in long)
    assert flat_name("a.b", "n s") == "n_s__a_b"


def test_free_text_comes_out_of_arguments_of_any_form() -> None:
    assert custom_input(custom_arguments('a "b"\n')) == 'a "b"\n'
    for odd in ("not JSON", "[1]", '{"other": 1}', "[" * 10_000):
        assert custom_input(odd) == odd


NAMED = {"type": "function", "function": {"name": "mcp__files__read_all"}}


@pytest.mark.parametrize(
    ("choice", "told", "left"),
    [
        (None, None, 3),
        ("none", "none", 3),
        ({"type": "function", "name": "shell"}, {"type": "function", "function": {"name": "shell"}}, 3),
        ({"type": "custom", "name": "apply_patch"}, {"type": "function", "function": {"name": "apply_patch"}}, 3),
        ({"type": "function", "name": "read.all", "namespace": "mcp__files"}, NAMED, 3),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", "name": "apply_patch"}]},
            "required",
            1,
        ),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "namespace", "name": "mcp__files"}]}, "auto", 1),
    ],
)
def test_a_choice_is_told_in_chat_form(choice: Any, told: Any, left: int) -> None:
    tools = read_tools(CODEX["tools"], choice)
    assert (tools.choice, len(tools.offered)) == (told, left)


@pytest.mark.parametrize(
    ("tools", "choice", "param"),
    [
        ([{"name": "x"}], None, "tools[0].type"),
        ([{"type": "function"}], None, "tools[0].name"),
        ([{"type": "function", "function": {"name": "x"}}], None, "tools[0].name"),
        ([{"type": "function", "name": "x", "parameters": []}], None, "tools[0].parameters"),
        ([{"type": "function", "name": "x", "strict": "yes"}], None, "tools[0].strict"),
        ([{"type": "function", "name": "x", "description": 1}], None, "tools[0].description"),
        ([SHELL, SHELL], None, "tools[1].name"),
        ([FILES, {"type": "function", "name": "mcp__files__read_all"}], None, "tools[1].name"),
        ([{"type": "namespace", "name": "n"}], None, "tools[0].tools"),
        ([{"type": "namespace", "name": "n", "tools": [{"type": "function"}]}], None, "tools[0].tools[0].name"),
        ([{"type": "custom", "name": "x", "format": {"type": "regex"}}], None, "tools[0].format"),
        ([SHELL], "sometimes", "tool_choice"),
        ([{"type": "web_search"}], "required", "tool_choice"),
        ([SHELL, {"type": "web_search"}], {"type": "web_search"}, "tool_choice.type"),
        ([SHELL], {"type": "function", "name": "other"}, "tool_choice.name"),
        ([SHELL], {"type": "custom", "name": "shell"}, "tool_choice.name"),
        ([SHELL], {"type": "function"}, "tool_choice.name"),
        ([SHELL], {"type": "allowed_tools", "mode": "auto", "tools": []}, "tool_choice.tools"),
        ([SHELL], {"type": "allowed_tools", "mode": "no", "tools": [SHELL]}, "tool_choice.mode"),
        ([SHELL], {"type": "allowed_tools", "tools": [{"type": "mcp"}]}, "tool_choice.tools[0].type"),
        ([SHELL], {"type": "allowed_tools", "tools": [{"type": "namespace", "name": "n"}]}, "tool_choice.tools[0]"),
    ],
)
def test_tools_that_make_no_sense_are_refused(tools: Any, choice: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_tools(tools, choice)
    assert refused.value.param == param
    assert str(refused.value)


def test_a_call_of_a_tool_nobody_offered_keeps_its_name(gateway: Running, teacher: Script) -> None:
    teacher.play(Act(calls=[("invented", "{}")]))
    _, _, body = gateway.call("/v1/responses", {"model": "teacher", "input": "Hi", "tools": [SHELL]})
    assert judged(body)["output"][0]["name"] == "invented"
