"""What holds for any text: twice is once, lines stay, JSON stays JSON, and no character does harm."""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from distill.redact import Redactor
from distill.trace import Trace
from router.chat import ChatRequest, FunctionCall, Message, ToolCall
from router.decision import Decision
from tests.distill.redact.planted import KINDS

REDACTOR = Redactor(bytes(range(32)))
ANY = st.text(st.characters(codec=None), max_size=40)
GLUE = st.sampled_from([*" \n\"'@:=-._\x00\ud800", "\\n", "://", "password="])


@st.composite
def pieces(draw: st.DrawFn) -> str:
    """Secrets and anything else, with what tells of secrets in between."""
    name = draw(st.sampled_from(sorted(KINDS)))
    text, secret = KINDS[name](random.Random(draw(st.integers(0, 10**6))))
    return draw(st.sampled_from([text, secret]))


TEXTS = st.lists(st.one_of(ANY, pieces(), GLUE), max_size=8).map("".join)
NAMES = TEXTS | st.sampled_from(["password", "token"])
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


def trace(messages: list[Message]) -> Trace:
    return Trace("t", 1.0, "c", ChatRequest("m", messages), "completed", Decision("teacher", "policy"))


@given(TEXTS)
def test_redacting_twice_changes_nothing(text: str) -> None:
    once = REDACTOR.text(text)
    assert REDACTOR.text(once) == once
    assert REDACTOR.text(once) is once
    assert Redactor(bytes(32)).text(once) == once  # whatever the key


@given(TEXTS)
def test_lines_are_neither_added_nor_removed(text: str) -> None:
    assert [*map(REDACTOR.text(text).count, "\n\r\u2028")] == [*map(text.count, "\n\r\u2028")]


@given(TEXTS)
def test_equal_texts_give_the_same_object_or_another_text(text: str) -> None:
    after = REDACTOR.text(text)
    assert after is text or after != text


@given(VALUES)
def test_values_keep_their_form(value: Any) -> None:
    def form(value: Any) -> Any:
        if isinstance(value, dict):
            return [form(item) for item in value.values()]
        return [form(item) for item in value] if isinstance(value, list) else type(value)

    once = REDACTOR.value(value)
    assert form(once) == form(value)
    assert REDACTOR.value(once) is once


@given(st.dictionaries(TEXTS, VALUES, max_size=4), st.booleans(), st.sampled_from([None, 2]))
def test_arguments_stay_json(value: dict[str, Any], ascii_only: bool, indent: int | None) -> None:
    arguments = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    message = Message("assistant", tool_calls=[ToolCall("c", FunctionCall("f", arguments))])
    after = REDACTOR.trace(trace([message])).request.messages[0].tool_calls
    assert after is not None
    read = json.loads(after[0].function.arguments)
    assert len(read) == len(value)
    assert after[0].function.arguments.count("\n") == arguments.count("\n")


@given(pieces(), st.lists(TEXTS, min_size=1, max_size=3))
def test_a_secret_is_the_same_in_every_turn(secret: str, others: list[str]) -> None:
    told = [Message("user", secret), *(Message("user", other) for other in others), Message("assistant", f"{secret}")]
    after = REDACTOR.trace(trace(told))
    assert after.request.messages[0].content == after.request.messages[-1].content
    assert REDACTOR.trace(after) is after
