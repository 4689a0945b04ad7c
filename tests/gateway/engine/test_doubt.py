"""A call breaks off if and only if its confidence is below the floor, and not a token later than that is certain."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway.engine.doubt import Doubt
from router.chat import AnswerMessage, Choice, ChoiceLogprobs, FunctionCall, TokenLogprob, ToolCall
from router.score import scores

NAMES = ["read_file", "grep", "read"]
SURE, UNSURE = math.log(0.99), math.log(0.3)

texts = some.text(some.sampled_from('ab {}"\\}'), max_size=12)
calls = some.lists(
    some.tuples(some.sampled_from(NAMES), some.dictionaries(texts, texts, max_size=2)), min_size=1, max_size=2
)


def written(said: str, made: list[tuple[str, dict[str, str]]]) -> str:
    bodies = [json.dumps({"name": name, "arguments": arguments}) for name, arguments in made]
    return said + "\n".join(f"<tool_call>\n{body}\n</tool_call>" for body in bodies)


def choice(tokens: list[tuple[str, float]], made: list[tuple[str, dict[str, str]]]) -> Choice:
    own = [ToolCall("call_1", FunctionCall(name, json.dumps(arguments))) for name, arguments in made]
    logprobs = ChoiceLogprobs([TokenLogprob(*token) for token in tokens])
    return Choice(AnswerMessage(None, own), "tool_calls", logprobs=logprobs)


def rises(tokens: list[tuple[str, float]], floor: float, begun: int = 0) -> int:
    """After how many tokens; 0: never."""
    doubt, text = Doubt(floor, NAMES), ""
    for number, (token, logprob) in enumerate(tokens, 1):
        text += token
        if doubt.rises(text, logprob, begun):
            return number
    return 0


@given(some.data(), some.sampled_from(["", "I look. ", "grep? "]), calls)
def test_it_rises_if_and_only_if_the_whole_call_would_be_rejected(
    data: some.DataObject, said: str, made: list[tuple[str, dict[str, str]]]
) -> None:
    text, tokens = written(said, made), []
    while text:
        size = data.draw(some.integers(1, 6))
        tokens.append((text[:size], data.draw(some.sampled_from([SURE, SURE, SURE, UNSURE]))))
        text = text[size:]
    whole = scores(choice(tokens, made))["confidence"]
    assert not rises(tokens, 0.6) or whole < 0.6
    if said != "grep? ":  # words that name a tool count for the whole draft, and are no call yet
        assert rises(tokens, 0.6) or whole >= 0.6


@pytest.mark.parametrize(
    ("improbable", "after"),
    [("read", 7), ("_file", 7), ('path"', 9), ("<tool_call>", 0), ("\n</tool_call>", 0)],
)
def test_it_rises_at_the_token_that_makes_it_certain(improbable: str, after: int) -> None:
    pieces = ["<tool_call>", "\n{", '"name"', ': "', "read", "_file", '", "arguments": {', '"', 'path"', ': "a"', "}}"]
    tokens = [(piece, UNSURE if piece == improbable else SURE) for piece in [*pieces, "\n</tool_call>"]]
    assert rises(tokens, 0.6) == after


def test_words_are_never_broken_off() -> None:
    assert rises([("I would ", UNSURE), ("read_file", UNSURE), ("} and grep", UNSURE)], 0.9) == 0


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"arguments": {"read": 1}, "name": "grep"}',
        '<tool_call>{"name": "nobody", "arguments": {"read": 1}}',
        '[TOOL_CALLS][{"name": "read", "arguments": {}}]',
        "<tool_call> I would grep",
    ],
)
def test_where_the_name_is_not_certain_nothing_breaks_off(text: str) -> None:
    assert rises([(character, UNSURE) for character in text], 0.6) == 0


def test_a_call_that_is_only_thought_of_is_none() -> None:
    thought = '<think><tool_call>{"name": "grep"'
    assert rises([(thought, UNSURE)], 0.6, begun=len(thought)) == 0


def test_a_tool_may_be_called_name() -> None:
    doubt = Doubt(0.6, ["name"])
    assert not doubt.rises('<tool_call>{"name": "', UNSURE, 0)
    assert doubt.rises('<tool_call>{"name": "name"', UNSURE, 0)


def test_the_other_form_is_known_too() -> None:
    assert rises([("<tool_call>\n<function=", UNSURE), ("grep", UNSURE), (">", SURE)], 0.6) == 3
