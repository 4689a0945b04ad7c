"""The stand-in that obeys: what it asks for, what it answers, and which conversations it refuses."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.backends.scripted import Act
from gateway.backends.scripted_loop import IDLE, obey

READ_A, READ_B = ("read", '{"path": "a"}'), ("read", '{"path": "b"}')


def user(*lines: str) -> dict[str, Any]:
    return {"role": "user", "content": "\n".join(lines)}


def calls(*ids: str) -> dict[str, Any]:
    made = [{"id": one, "type": "function", "function": {"name": "read", "arguments": "{}"}} for one in ids]
    return {"role": "assistant", "content": None, "tool_calls": made}


def result(call: str, text: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call, "content": text}


ORDERS = user("Look.", 'call read {"path": "a"}', 'call read {"path": "b"}', "then", ' call read {"path": "a"} ')
AFTER_ONE = [ORDERS, calls("x", "y"), result("x", "A"), result("y", [{"type": "text", "text": "B"}])]
AFTER_TWO = [*AFTER_ONE, calls("z"), result("z", "A again")]
ANSWERED = [*AFTER_TWO, {"role": "assistant", "content": "A | B | A again"}]


@pytest.mark.parametrize(
    ("messages", "asked", "text"),
    [
        ([ORDERS], [READ_A, READ_B], ""),
        (AFTER_ONE, [READ_A], ""),
        (AFTER_TWO, [], "A | B | A again"),
        ([*AFTER_TWO, user("<note>all well</note>")], [], "A | B | A again"),
        ([*ANSWERED, user("recall")], [], "A | B | A again"),
        ([*ANSWERED, user('call read {"path": "b"}')], [READ_B], ""),
        ([*ANSWERED, user('call read {"path": "b"}'), calls("x"), result("x", "B")], [], "B"),
        (
            [*ANSWERED, user('call read {"path": "b"}', "recall"), calls("x"), result("x", "B")],
            [],
            "A | B | A again | B",
        ),
        ([user("Hello.")], [], IDLE),
        ([user("I call read {} a word, then I recall it.")], [], IDLE),
    ],
)
def test_it_does_what_the_conversation_says(messages: list[Any], asked: list[Any], text: str) -> None:
    act = obey({"messages": messages, "tools": [{}]})
    assert (act.status, act.calls, act.text) == (200, asked, text)


def test_it_calls_nothing_where_no_tools_are() -> None:
    assert obey({"messages": [ORDERS]}) == Act(text=IDLE, pieces=3)


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([*AFTER_ONE[:3], user("And?")], "no result for the calls y"),
        (AFTER_ONE[:3], "no result for the calls y"),
        ([ORDERS, result("x", "A")], "a result for x"),
        ([*AFTER_ONE, result("y", "B")], "a result for y"),
    ],
)
def test_it_refuses_calls_and_results_that_do_not_match(messages: list[Any], told: str) -> None:
    act = obey({"messages": messages})
    assert act.status == 400
    assert msgspec.json.decode(act.body)["error"]["message"].startswith(told)
