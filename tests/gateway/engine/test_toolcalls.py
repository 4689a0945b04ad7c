"""Whatever a model writes, its calls are found and nothing is lost."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.engine.toolcalls import parse, releasable
from router.chat import FunctionCall

NAMES = {"grep", "read"}
A = '{"name": "grep", "arguments": {"pattern": "x"}}'
B = '{"name": "read", "arguments": {"path": "a.py", "start": 3}}'
CALL_A, CALL_B = FunctionCall("grep", '{"pattern": "x"}'), FunctionCall("read", '{"path": "a.py", "start": 3}')


@pytest.mark.parametrize(
    ("text", "content", "calls"),
    [
        (f"<tool_call>\n{A}\n</tool_call>", None, [CALL_A]),
        (f"<tool_call>{A}", None, [CALL_A]),
        (f"<tool_call>\n{A}\n{B}\n</tool_call>", None, [CALL_A, CALL_B]),
        (f"<tool_call>[{A}, {B}]</tool_call>", None, [CALL_A, CALL_B]),
        (f"<tool_call>{A}<tool_call>{B}</tool_call>", None, [CALL_A, CALL_B]),
        (f"<tool_call>{A}</tool_call>\n<tool_call>{B}</tool_call>", None, [CALL_A, CALL_B]),
        (f"I look.\n<tool_call>{A}</tool_call> Then <tool_call>{B}</tool_call> done", "I look.\nThen\ndone",
         [CALL_A, CALL_B]),
        (f"```json\n{A}\n```", None, [CALL_A]),
        (f"```\n{A}\n```\nSo.", "So.", [CALL_A]),
        (f"```json\n{A}", None, [CALL_A]),
        (A, None, [CALL_A]),
        (f"[{A}, {B}]", None, [CALL_A, CALL_B]),
        (f"Sure: {A} ok?", "Sure:\nok?", [CALL_A]),
        ('{"name": "grep", "parameters": {"pattern": "x"}}', None, [CALL_A]),
        ('{"type": "function", "function": {"name": "grep", "arguments": "{\\"pattern\\": \\"x\\"}"}}', None, [CALL_A]),
        ('<tool_call>{"name": "grep", "arguments": "{\\"pattern\\": \\"x\\"}"}</tool_call>', None, [CALL_A]),
        ('<tool_call>{"name": "list"}</tool_call>', None, [FunctionCall("list", "{}")]),
        ('<tool_call>{"name": "grep", "arguments": {"pattern": "</tool_call>"}}</tool_call>', None,
         [FunctionCall("grep", '{"pattern": "</tool_call>"}')]),
    ],
)  # fmt: skip
def test_a_call_is_found_in_any_form(text: str, content: str | None, calls: list[FunctionCall]) -> None:
    parsed = parse(text, NAMES)
    assert parsed.calls == calls
    assert parsed.content == content


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain words",
        "<tool_call>",
        "<tool_call>not json</tool_call>",
        '<tool_call>{"name": "grep", "arguments": {"pattern": "x"</tool_call>',
        '<tool_call>{"name": "grep", "arguments": "no json"}</tool_call>',
        '<tool_call>{"name": "grep", "arguments": [1]}</tool_call>',
        '<tool_call>{"name": 3, "arguments": {}}</tool_call>',
        '<tool_call>{"name": "grep", "arguments": {"n": NaN}}</tool_call>',
        '<tool_call>{"name": "grep", "arguments": {"n": 1e999}}</tool_call>',
        '{"name": "unknown", "arguments": {}}',
        '{"name": "grep"}',
        '```json\n{"colour": "red"}\n```',
        "[" * 100_000,
        '{"name":' * 2_000,
        '{"name": [' * 5_000,
    ],
)
def test_what_is_no_call_stays_content(text: str) -> None:
    started = time.monotonic()
    parsed = parse(text, NAMES)
    assert parsed.calls == []
    assert parsed.content == text
    assert time.monotonic() - started < 5


def test_half_a_surrogate_pair_leaves_as_an_escape() -> None:
    [call] = parse('<tool_call>{"name": "grep", "arguments": {"p": "\\ud800"}}</tool_call>', NAMES).calls
    assert call.arguments.encode()
    assert json.loads(call.arguments) == {"p": "\ud800"}


PIECES = st.sampled_from(
    [A, B, "<tool_call>", "</tool_call>", "```json\n", "```", "\n", " ", "text", "{", "[", '"', '{"name"', "<tool", "é"]
)
WRITTEN = st.one_of(st.lists(PIECES, max_size=12).map("".join), st.text(max_size=60))


@given(WRITTEN)
@settings(max_examples=300, deadline=None)
def test_no_word_is_lost(text: str) -> None:
    """What a text says outside of its calls is in the content, in the same order."""
    parsed = parse(text, NAMES)
    if not parsed.calls:
        assert parsed.content == text
    for call in parsed.calls:
        assert isinstance(json.loads(call.arguments), dict)
    kept = (parsed.content or "") + "".join(call.name for call in parsed.calls)
    assert kept.count("text") == text.count("text")


@given(WRITTEN, st.integers(1, 7))
@settings(max_examples=300, deadline=None)
def test_a_stream_releases_only_what_stays_content(text: str, size: int) -> None:
    sent = 0
    for end in range(0, len(text) + size, size):
        sent = max(sent, releasable(text[:end], sent))
    parsed = parse(text, NAMES)
    assert (parsed.content or "").startswith(text[:sent])


@given(st.dictionaries(st.text(max_size=8), st.one_of(st.text(), st.integers(), st.booleans(), st.none()), max_size=4))
@settings(max_examples=100, deadline=None)
def test_arguments_survive_unchanged(arguments: dict[str, object]) -> None:
    written = json.dumps({"name": "grep", "arguments": arguments})
    [call] = parse(f"<tool_call>\n{written}\n</tool_call>", NAMES).calls
    assert json.loads(call.arguments) == arguments
