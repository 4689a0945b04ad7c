"""Whatever a model writes in JSON or in Qwen's XML, its calls are found and nothing is lost."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.engine.reading import Parsed, Reader, parse
from gateway.engine.toolcalls.families import Family
from gateway.engine.toolcalls.form import Ending
from gateway.engine.toolcalls.typed import Properties, typed
from router.chat import FunctionCall, FunctionSpec, Tool

TYPED = {
    "type": "object",
    "properties": {"pattern": {"type": "string"}, "count": {"type": "integer"}, "options": {"type": "object"}},
}
TOOLS = [Tool(FunctionSpec("grep", parameters=TYPED)), Tool(FunctionSpec("read"))]
A = '{"name": "grep", "arguments": {"pattern": "x"}}'
B = '{"name": "read", "arguments": {"path": "a.py", "start": 3}}'
CALL_A, CALL_B = FunctionCall("grep", '{"pattern": "x"}'), FunctionCall("read", '{"path": "a.py", "start": 3}')


def read(text: str, family: str = "hermes", ending: Ending = Ending.WHOLE, *, loose: bool = True) -> Parsed:
    return parse(text, Reader(Family(family).form(TOOLS, loose=loose)), ending)


@pytest.mark.parametrize(
    ("text", "content", "calls"),
    [
        (f"<tool_call>\n{A}\n</tool_call>", "", [CALL_A]),
        (f"<tool_call>{A}", "", [CALL_A]),
        (f"<tool_call>\n{A}\n{B}\n</tool_call>", "", [CALL_A, CALL_B]),
        (f"<tool_call>[{A}, {B}]</tool_call>", "", [CALL_A, CALL_B]),
        (f"<tool_call>{A}<tool_call>{B}</tool_call>", "", [CALL_A, CALL_B]),
        (f"<tool_call>{A}</tool_call>\n<tool_call>{B}</tool_call>", "", [CALL_A, CALL_B]),
        (f"I look.\n<tool_call>{A}</tool_call> Then <tool_call>{B}</tool_call> done", "I look.\n Then  done",
         [CALL_A, CALL_B]),
        (f"before<tool_call>{A}</tool_call>after", "beforeafter", [CALL_A]),
        (f"<tool_call>{A}}}</tool_call>", "", [CALL_A]),
        (f"<tool_call>{A}\nSo I call.", "So I call.", [CALL_A]),
        (f"<tool_call>{A}\n{{broken</tool_call>", "{broken</tool_call>", [CALL_A]),
        (f"<tool_call>{{broken\n<tool_call>{A}</tool_call>", "<tool_call>{broken", [CALL_A]),
        (f"```json\n{A}\n```", "", [CALL_A]),
        (f"```\n{A}\n```\nSo.", "So.", [CALL_A]),
        (f"```json\n{A}", "", [CALL_A]),
        (A, "", [CALL_A]),
        (f"[{A}, {B}]", "", [CALL_A, CALL_B]),
        (f"Sure: {A} ok?", "Sure:  ok?", [CALL_A]),
        ('{"name": "grep", "parameters": {"pattern": "x"}}', "", [CALL_A]),
        ('{"type": "function", "function": {"name": "grep", "arguments": "{\\"pattern\\": \\"x\\"}"}}', "", [CALL_A]),
        (f'{{"tool_calls": [{A}, {B}]}}', "", [CALL_A, CALL_B]),
        ('<tool_call>{"name": "grep", "arguments": "{\\"pattern\\": \\"x\\"}"}</tool_call>', "", [CALL_A]),
        ('<tool_call>{"name": "list"}</tool_call>', "", [FunctionCall("list", "{}")]),
        ('<tool_call>{"name": "grep", "arguments": null}</tool_call>', "", [FunctionCall("grep", "{}")]),
        ('<tool_call>{"name": "grep", "arguments": {"pattern": "</tool_call>"}}</tool_call>', "",
         [FunctionCall("grep", '{"pattern": "</tool_call>"}')]),
        ('<tool_call>{"name": "grep", "arguments": {"pattern": "a\n  b\\n"}}</tool_call>', "",
         [FunctionCall("grep", '{"pattern": "a\\n  b\\n"}')]),
        ('<tool_call>{"name": "f", "arguments": {"a": null, "b": -1e21, "c": 1, "d": 1.0, "e": true}}</tool_call>', "",
         [FunctionCall("f", '{"a": null, "b": -1e+21, "c": 1, "d": 1.0, "e": true}')]),
    ],
)  # fmt: skip
def test_a_call_is_found_in_any_form(text: str, content: str, calls: list[FunctionCall]) -> None:
    assert read(text) == Parsed(content, "", calls)


NOT_JSON = [
    "<tool_call>",
    "<tool_call>not json</tool_call>",
    '<tool_call>{"name": "grep", "arguments": {"pattern": "x"</tool_call>',
    '<tool_call>{"name": "grep", "arguments": "no json"}</tool_call>',
    '<tool_call>{"name": "grep", "arguments": [1]}</tool_call>',
    '<tool_call>{"name": 3, "arguments": {}}</tool_call>',
    '<tool_call>{"name": "grep", "arguments": {"n": NaN}}</tool_call>',
    '<tool_call>{"name": "grep", "arguments": {"n": 1e999}}</tool_call>',
    '<tool_call>{"name": "grep", "arguments": {"n": ' + "1" * 5000 + "}}</tool_call>",
    '{"name": "unknown", "arguments": {}}',
    '{"type": "object", "answer": {"name": "grep", "arguments": {}}}',  # an answer in JSON is not searched for calls
    '{"name": "grep"}',
    '```json\n{"colour": "red"}\n```',
]


@pytest.mark.parametrize("text", ["", " ", "plain words ", *NOT_JSON])
def test_what_is_no_call_stays_content(text: str) -> None:
    assert read(text) == Parsed(text)


@pytest.mark.parametrize("text", [A, f"```json\n{A}\n```"])
def test_where_json_was_asked_for_only_tags_make_a_call(text: str) -> None:
    assert read(text, loose=False) == Parsed(text)
    assert read(f"<tool_call>{A}</tool_call>", loose=False).calls == [CALL_A]


def xml(name: str, values: dict[str, str]) -> str:
    written = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in values.items())
    return f"<tool_call>\n<function={name}>\n{written}</function>\n</tool_call>"


@pytest.mark.parametrize(
    ("text", "content", "arguments"),
    [
        (xml("grep", {"pattern": "x", "count": "2"}), "", {"pattern": "x", "count": 2}),
        (xml("grep", {}), "", {}),
        (xml("grep", {"pattern": "\n  x \n"}), "", {"pattern": "\n  x \n"}),
        (xml("grep", {"pattern": ""}), "", {"pattern": ""}),
        (xml("grep", {"pattern": "a </parameter> b </function> c </tool_call> <parameter=count> 1 <function=read>"}),
         "", {"pattern": "a </parameter> b </function> c </tool_call> <parameter=count> 1 <function=read>"}),
        (xml("grep", {"pattern": "see\n<parameter=path>\nit"}), "", {"pattern": "see\n<parameter=path>\nit"}),
        ("a<tool_call><function=grep><parameter=pattern>x</parameter></function></tool_call>b", "ab", {"pattern": "x"}),
        ("<function=grep>\n<parameter=pattern>\nx\n</parameter>\n</function>\n</tool_call>", "", {"pattern": "x"}),
        ("<function=grep>\n<parameter=pattern>\nx\n<parameter=count>\n1\n</function></tool_call>", "",
         {"pattern": "x", "count": 1}),
        ("<tool_call>\n<function=grep>\n<parameter=pattern>\nx</parameter>\n<parameter=count>\n1</parameter>\n"
         "</function>\n</tool_call>", "", {"pattern": "x", "count": 1}),
        ("<tool_call>\n<function=grep>\n<parameter=pattern>\nx\n</function>", "", {"pattern": "x"}),
        ("<tool_call><function=grep>\n</function> so", "so", {}),
        (f"<tool_call>\n{A}\n</tool_call>", "", {"pattern": "x"}),
    ],
)  # fmt: skip
def test_a_call_in_xml_is_found(text: str, content: str, arguments: dict[str, Any]) -> None:
    parsed = read(text, "qwen3_coder")
    assert [(call.name, json.loads(call.arguments)) for call in parsed.calls] == [("grep", arguments)]
    assert parsed.content == content


NOT_XML = [
    "<tool_call>",
    "<tool_call>words</tool_call>",
    "<function=unknown>\n</function>",
    "<function=grep>\n<parameter=pattern>\nx",
    "<function=grep>\n<parameter=pattern>\nx\n</parameter>\nwords\n</function>",
    "<function=grep> words </function>",
    "<function=",
    "<function=grep",
    A,
]


@pytest.mark.parametrize("text", NOT_XML)
def test_what_is_no_call_in_xml_stays_content(text: str) -> None:
    assert read(text, "qwen3_coder") == Parsed(text)


@pytest.mark.parametrize(
    ("text", "schema", "value"),
    [
        ("5", {"type": "integer"}, 5),
        ("5.0", {"type": "integer"}, 5),
        ("5.5", {"type": "integer"}, "5.5"),
        ("1e20", {"type": "number"}, 1e20),
        ("1e999", {"type": "number"}, "1e999"),
        ("02139", {"type": "string"}, "02139"),
        ("null", {"type": "string"}, "null"),
        ("null", {"type": ["string", "null"]}, None),
        ("null", {"anyOf": [{"type": "integer"}, {"type": "null"}]}, None),
        ("True", {"type": "boolean"}, True),
        ("yes", {"type": "boolean"}, "yes"),
        ("[1, 2]", {"type": "array"}, [1, 2]),
        ("{'a': True, 'b': None}", {"type": "object"}, {"a": True, "b": None}),
        ("{1, 2}", {"type": "object"}, "{1, 2}"),
        ("{'a': b''}", {"type": "object"}, "{'a': b''}"),
        ('{"a": 1}', {"type": "string"}, '{"a": 1}'),
        ('{"a": 1}', {}, {"a": 1}),
        ("5", {}, "5"),
        ("2", {"enum": [1, 2]}, 2),
        ("7", {"$ref": "#/$defs/whole"}, 7),
        ("7", {"$ref": "#/properties/value"}, "7"),  # a reference to itself
        ("7", {"$ref": "http://elsewhere/"}, "7"),
        ("[" * 50_000, {"type": "array"}, "[" * 50_000),
    ],
)
def test_text_takes_the_type_that_its_schema_asks_for(text: str, schema: dict[str, Any], value: Any) -> None:
    root = {"properties": {"value": schema}, "$defs": {"whole": {"type": "integer"}}}
    found = typed(text, Properties(root).of("value"))
    assert (found, type(found)) == (value, type(value))


def test_half_a_surrogate_pair_leaves_as_an_escape() -> None:
    [call] = read('<tool_call>{"name": "grep", "arguments": {"p": "\\ud800"}}</tool_call>').calls
    assert call.arguments.encode()
    assert json.loads(call.arguments) == {"p": "\ud800"}


UNITS = ['{"name"', '{"name":', '{"name":x', "[", '{"name":[', "<tool_call>", "<tool_call>[", '<tool_call>{"a":"',
         '{"name": "\\"', "```json\n{", "```", A, f"<tool_call>{A}</tool_call>", "<function=grep>",
         "<function=grep><parameter=n>", "<tool_call>\n<function=grep>\n<parameter=n>\n", "</parameter>",
         "<parameter=n>1</parameter>", "\n<parameter=n>\n1\n</parameter>", "</function>", " ", "\n", "<",
         "\\"]  # fmt: skip
FRAMES = [("", ""), ('<tool_call>{"name": "', ""), ("<function=grep>", "</function>"),
          ("<function=grep>\n<parameter=n>\n", "\n</parameter>\n</function></tool_call>")]  # fmt: skip


@pytest.mark.parametrize("family", ["hermes", "qwen3_coder"])
@pytest.mark.parametrize("unit", UNITS)
def test_hostile_text_takes_linear_time(family: str, unit: str) -> None:
    """0.1 MB read twice; the bar is a second for 1 MB, and the machine may be three times as busy as it was."""
    for before, after in FRAMES:
        text = before + unit * (100_000 // len(unit)) + after
        started = time.process_time()
        read(text, family)
        Reader(Family(family).form(TOOLS)).feed(text)
        assert time.process_time() - started < 0.6


PIECES = [A, B, "<tool_call>", "</tool_call>", "```json\n", "```", "\n", " ", "text", "{", "[", '"', '{"name"', "<tool",
          "é", "<function=grep>", "</function>", "<parameter=count>", "</parameter>", "\n<parameter=pattern>\n",
          "\n</parameter>\n", "}", "]", "<think>", "</think>"]  # fmt: skip
WRITTEN = st.one_of(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), st.text(max_size=60))


@given(WRITTEN, st.sampled_from(["hermes", "qwen3_coder"]), st.sampled_from([Ending.WHOLE, Ending.CUT]))
@settings(max_examples=600, deadline=None)
def test_every_character_is_content_or_in_a_call(text: str, family: str, ending: Ending) -> None:
    form = Family(family).form(TOOLS)
    rest, at = "", 0
    while not isinstance(found := form.find(text, at, ending), int):
        assert at <= found.start < found.end <= len(text)
        assert found.calls
        rest, at = rest + text[at : found.start], found.end
    rest += text[at:]
    assert found == len(text)
    parsed = read(text, family, ending)
    assert "".join(parsed.content.split()) == "".join(rest.split())
    if at == 0:
        assert parsed.content == text
    assert all(isinstance(json.loads(call.arguments), dict) for call in parsed.calls)


@given(st.dictionaries(st.text(max_size=8), st.one_of(st.text(), st.integers(), st.booleans(), st.none()), max_size=4))
@settings(max_examples=100, deadline=None)
def test_arguments_survive_unchanged(arguments: dict[str, object]) -> None:
    written = json.dumps({"name": "grep", "arguments": arguments})
    [call] = read(f"<tool_call>\n{written}\n</tool_call>").calls
    assert json.loads(call.arguments) == arguments


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
@settings(max_examples=200, deadline=None)
def test_a_string_in_xml_survives_unchanged(value: str) -> None:
    [call] = read(xml("grep", {"pattern": value}), "qwen3_coder").calls
    assert json.loads(call.arguments) == {"pattern": value}
