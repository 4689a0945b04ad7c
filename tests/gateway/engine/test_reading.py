"""Thoughts, content and calls come apart the same way, whatever the pieces a text comes in."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.engine.reading import Parsed, Reader, parse
from gateway.engine.text import TextStream
from gateway.engine.toolcalls.families import Family
from gateway.engine.toolcalls.form import Ending
from router.chat import FunctionCall, FunctionSpec, Tool

MARKS = ("<think>", "</think>")
TOOLS = [Tool(FunctionSpec("grep", parameters={"properties": {"pattern": {"type": "string"}}}))]
CALL = '<tool_call>\n{"name": "grep", "arguments": {"pattern": "x"}}\n</tool_call>'
CALLED = FunctionCall("grep", '{"pattern": "x"}')


def reader(family: str = "hermes", *, thinking: bool = False, tools: bool = True) -> Reader:
    return Reader(Family(family).form(TOOLS) if tools else None, MARKS, thinking=thinking)


@pytest.mark.parametrize(
    ("text", "thinking", "parsed"),
    [
        ("<think>\nHm.\n</think>\n\nYes.", False, Parsed("Yes.", "Hm.")),
        ("Hm.\n</think>\n\nYes.", True, Parsed("Yes.", "Hm.")),
        ("<think>\nHm.</think>Yes.", True, Parsed("Yes.", "Hm.")),  # the prompt's mark, repeated
        ("\n</think>\n\nYes.", True, Parsed("Yes.")),
        ("<think>\n\n</think>\n\n", False, Parsed()),
        ("Yes, <think> is a tag. ", False, Parsed("Yes, <think> is a tag. ")),
        (f"<think>a {CALL} b</think>{CALL}", False, Parsed("", f"a {CALL} b", [CALLED])),  # a draft is a thought
        (f"I need x.\n{CALL}", True, Parsed("", "I need x.", [CALLED])),
        (f"I need x.\n{CALL}\nDone.", True, Parsed("Done.", "I need x.", [CALLED])),
        ("I need <tool_call> x", True, Parsed("", "I need <tool_call> x")),
        ("<thi", False, Parsed("<thi")),
        (f"<think>Hm.</think>\n\nYes.\n\n{CALL}\n", False, Parsed("Yes.", "Hm.", [CALLED])),
    ],
)
def test_thoughts_are_told_from_what_is_said(text: str, thinking: bool, parsed: Parsed) -> None:
    assert parse(text, reader(thinking=thinking)) == parsed


def test_thoughts_cut_off_are_thoughts() -> None:
    assert parse(f"Hm.\n{CALL}", reader(thinking=True), Ending.CUT) == Parsed("", f"Hm.\n{CALL}")
    assert parse("<think>Hm", reader(tools=False), Ending.CUT) == Parsed("", "Hm")


def test_without_marks_thoughts_are_content() -> None:
    assert parse("<think>Hm.</think> Yes.", Reader(None)) == Parsed("<think>Hm.</think> Yes.")


def test_a_call_is_given_out_with_its_last_character() -> None:
    text = f"Look.\n{CALL}\n{CALL}"
    growing = reader()
    at = [end for end in range(1, len(text) + 1) for piece in growing.feed(text[:end]) if piece == CALLED]
    assert at == [len(text) - len(CALL) - 1, len(text)]


def test_text_is_given_out_at_once() -> None:
    growing = reader()
    given = [growing.feed(text) for text in ("A", "Aa", "Aa ", "Aa b", "Aa b <", "Aa b <p")]
    assert [[piece.text for piece in pieces] for pieces in given] == [["A"], ["a"], [], [" b"], [], [" <p"]]  # type: ignore[union-attr]


PIECES = [CALL, CALL[:-12], '{"name": "grep", "arguments": {}}', "<tool_call>", "</tool_call>", "```json\n", "```",
          "\n", " ", "text", "{", "[", '"', "<think>", "</think>", "<function=grep>", "</function>", "<fun",
          "<parameter=pattern>", "</parameter>", "\n</parameter>\n", "\n<parameter=x>\n", "}", "]", ","]  # fmt: skip
WRITTEN = st.one_of(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), st.text(max_size=50))
FAMILIES = ["hermes", "qwen3_coder", "glm47", "kimi_k2", "mistral"]


@given(
    WRITTEN,
    st.sampled_from(FAMILIES),
    st.booleans(),
    st.sampled_from([Ending.WHOLE, Ending.CUT]),
    st.lists(st.integers(1, 9), min_size=1, max_size=30),
)
@settings(max_examples=1500, deadline=None)
def test_a_stream_says_what_the_whole_says(
    text: str, family: str, thinking: bool, ending: Ending, sizes: list[int]
) -> None:
    whole = parse(text, reader(family, thinking=thinking), ending)
    growing, parsed, end = reader(family, thinking=thinking), Parsed(), 0
    while end < len(text):
        end += sizes[end % len(sizes)]
        parsed.take(growing.feed(text[:end]))
    parsed.take(growing.feed(text, ending))
    assert parsed == whole


@given(WRITTEN, st.booleans(), st.sampled_from([Ending.WHOLE, Ending.CUT]))
@settings(max_examples=500, deadline=None)
def test_no_character_is_lost(text: str, thinking: bool, ending: Ending) -> None:
    """What is neither content nor thought is white space, a mark of thoughts, or a call."""
    parsed = parse(text, reader(thinking=thinking), ending)
    left = text
    for known in (*MARKS, " ", "\n"):
        left = left.replace(known, "")
    kept = parsed.reasoning + parsed.content
    for known in (*MARKS, " ", "\n"):
        kept = kept.replace(known, "")
    if parsed.calls:
        assert kept.count("text") == left.count("text")
    else:
        assert "".join(kept.split()) == "".join(left.split())


def test_long_calls_cost_little_per_token() -> None:
    """A call of 200 kB in pieces of 20 characters is not read again with each of them."""
    import time

    text = CALL.replace("x", "lorem ipsum (dolor) <b>sit</b> amet; " * 5_000)
    growing, parsed = reader(), Parsed()
    started = time.process_time()
    for end in range(20, len(text) + 20, 20):
        parsed.take(growing.feed(text[:end]))
    assert len(parsed.calls) == 1
    assert time.process_time() - started < 6


class Letters:
    """A vocabulary of single bytes."""

    @staticmethod
    def decode(ids: list[int]) -> str:
        return bytes(ids).decode("utf-8", "replace")


@given(st.text(max_size=30), st.lists(st.text(min_size=1, max_size=3), max_size=2))
@settings(max_examples=300, deadline=None)
def test_a_stop_string_takes_back_nothing_that_was_given_out(text: str, stops: list[str]) -> None:
    text = text.encode("utf-8", "ignore").decode()
    stream = TextStream(Letters.decode, (), stops)
    given = ""
    for byte in text.encode():
        stream.feed(byte)
        settled = stream.text[: stream.settled()]
        assert settled.startswith(given)
        given = settled
    ends = [at for stop in stops if (at := text.find(stop)) >= 0]
    assert stream.finish() == (text[: min(ends)] if ends else text)
