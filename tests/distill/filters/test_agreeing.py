"""When two answers of a teacher say the same, and when they only look like it."""

from __future__ import annotations

import pytest

from distill.filters import agreement
from distill.filters.agreeing import agree
from router.chat import AnswerMessage, FunctionCall, Message, ToolCall

SAME = [
    ("`HookImpl` has three methods; see `pluggy/_impl.py`.", "In `pluggy/_impl.py`, `HookImpl` has 3 methods."),
    ("It is in click/core.py, line 12.", "See click/core.py:12."),
    ("`Basket` is in shop/basket.py.", "`Basket` stands in basket.py of the folder shop."),
    ("It makes a loop with `uvloop`.", "It makes a loop with the uvloop library."),
    ("A context manager sets something up and tears it down.", "A context manager sets up and tears down something."),
    ("1. `one_thing`\n2. `other_thing`", "`other_thing` and `one_thing`"),
    ("Yes, `parse_args` can raise an error.", "Yes: `parse_args` raises an error if it is empty."),
    ("Python 3.11 or newer, see `setup_things`.", "`setup_things` wants Python 3.12."),  # a version is no count
    ("No.", "no"),
]
OTHER = [
    ("`HookImpl` has three methods; see `pluggy/_impl.py`.", "`HookImpl` has five methods; see `pluggy/_impl.py`."),
    ("`wait_fixed` is in line 12 of `tenacity/wait.py`.", "`wait_fixed` is in line 80 of `tenacity/wait.py`."),
    ("Yes, `parse_args` can raise an error.", "No, `parse_args` cannot raise an error."),
    ("It means that the client has sent too many requests.", "It means that the server took too long to answer."),
    ("It is in click/core.py.", "It is in click/types.py."),
    ("It is in click/core.py.", "It is in rich/core.py."),
    ("It is in click/core.py.", "I do not know."),
    ("Yes.", "No."),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_says_the_same(one: str, other: str) -> None:
    assert agree(Message("assistant", one), AnswerMessage(other))
    assert agree(Message("assistant", other), AnswerMessage(one))


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_what_does_not(one: str, other: str) -> None:
    assert not agree(Message("assistant", one), AnswerMessage(other))
    assert not agree(Message("assistant", other), AnswerMessage(one))


def test_what_the_question_says_is_no_agreement() -> None:
    asked = "What does the class EndOfMessage inherit from?"
    said = Message("assistant", "The class EndOfMessage inherits from h11.")
    for other in ("The class EndOfMessage inherits from the `Connection` class.", "What is EndOfMessage for?"):
        assert not agree(said, AnswerMessage(other), asked)
    assert agree(said, AnswerMessage("EndOfMessage inherits from h11."), asked)
    said = Message("assistant", "`confirm` is called by the `termui` module.")
    assert not agree(said, AnswerMessage("`confirm` is called by `prompt_for_value`."), "Who calls confirm?")


def test_where_one_names_nothing_words_decide() -> None:
    said = Message("assistant", "Yes, it raises a `ParseError` when the given line cannot be parsed.")
    assert agree(said, AnswerMessage("Yes, it raises an error when the given line cannot be parsed."))
    assert not agree(said, AnswerMessage("Yes, whenever somebody calls it."))


def test_calls_are_the_same_in_any_spelling_and_nothing_is_the_same_as_a_call() -> None:
    def call(arguments: str) -> list[ToolCall]:
        return [ToolCall("c", FunctionCall("search", arguments))]

    said = Message("assistant", None, call('{"a": 1, "b": 2}'))
    assert agree(said, AnswerMessage("I look.", call('{"b":2,"a":1}')))
    assert not agree(said, AnswerMessage(None, call('{"a": 1}')))
    assert not agree(said, AnswerMessage("search a 1 b 2"))


def test_one_sample_is_no_agreement() -> None:
    said = Message("assistant", "Yes.")
    assert agreement(said, [AnswerMessage("Yes.")]) is None
    assert agreement(said, [AnswerMessage("Yes."), AnswerMessage("No.")]) == 0.5
