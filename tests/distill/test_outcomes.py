"""Implicit outcomes: what a conversation shows of its traces, and what it does not."""

from __future__ import annotations

import pytest

from distill.outcomes import PATIENCE, alike, implicit_outcomes
from distill.trace import State, Trace
from router.chat import AnswerMessage, ChatRequest, FunctionCall, Message, ToolCall
from router.decision import Decision

QUESTION = "Where does the parser read its limits?"


class Talk:
    """A conversation, a trace for each answer, a second apart."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.traces: list[Trace] = []

    def ask(self, text: str = QUESTION) -> Talk:
        self.messages.append(Message("user", text))
        return self

    def _answer(self, answer: AnswerMessage | None, state: State = "completed") -> None:
        number = len(self.traces)
        request = ChatRequest("m", [*self.messages])
        taught = Decision("teacher", "policy")
        self.traces.append(Trace(f"t{number}", float(number), "c", request, state, taught, answer=answer))
        if answer is not None:
            self.messages.append(Message("assistant", answer.content, answer.tool_calls))

    def call(self, path: str, result: str | None = "fine", tool: str = "read") -> Talk:
        identity = f"c{len(self.messages)}"
        self._answer(AnswerMessage(None, [ToolCall(identity, FunctionCall(tool, f'{{"path": "{path}"}}'))]))
        if result is not None:
            self.messages.append(Message("tool", result, tool_call_id=identity))
        return self

    def say(self, text: str = "There.") -> Talk:
        self._answer(AnswerMessage(text))
        return self

    def fail(self, state: State = "failed") -> Talk:
        self._answer(None, state)
        return self

    def found(self, now: float = 0.0) -> list[tuple[str, str, float]]:
        return [(one.trace, one.kind, one.at) for one in implicit_outcomes(self.traces, now)]


def test_a_good_conversation_has_none() -> None:
    talk = Talk().ask().call("a").call("b").say().ask("And what does it do with them?").call("c").say()
    assert talk.found(now=1e9) == []


def test_an_error_a_repair_and_an_error_that_nobody_repaired() -> None:
    talk = Talk().ask().call("a", "Error: no").call("b").say()
    assert talk.found() == [("t0", "repaired", 1.0), ("t0", "tool_error", 1.0)]
    talk = Talk().ask().call("a", "Error: no").call("b", tool="list").say()
    assert talk.found() == [("t0", "tool_error", 1.0)]
    talk = Talk().ask().call("a", "Error: no").say()
    assert talk.found() == [("t0", "tool_error", 1.0)]


def test_an_error_that_nobody_has_answered_yet() -> None:
    talk = Talk().ask().call("a", "Error: no").fail()
    assert talk.found() == [("t0", "tool_error", 1.0)]


def test_the_very_same_call() -> None:
    talk = Talk().ask().call("a").call("b").call("a").say()
    assert talk.found() == [("t0", "repeated", 2.0)]
    assert Talk().ask().call("a", "one").call("a", "two").say().found() == []
    assert Talk().ask().call("a").say().ask("Now what does it hold?").call("a").say().found() == []


@pytest.mark.parametrize("again", [QUESTION, f"No, {QUESTION}", f"  {QUESTION.lower()} please!"])
def test_the_question_put_again(again: str) -> None:
    assert Talk().ask().call("a").say().ask(again).say("Here.").found() == [("t1", "asked_again", 2.0)]


@pytest.mark.parametrize("other", ["Where does the lexer read its limits?", "Why?", ""])
def test_another_question(other: str) -> None:
    assert Talk().ask().call("a").say().ask(other).say("Here.").found() == []


def test_going_on_is_not_asking_again() -> None:
    assert Talk().ask("continue").say().ask("continue").say("More.").found() == []
    assert not alike("yes", "yes")


def test_an_answer_that_was_thrown_away() -> None:
    talk = Talk().ask().say()
    talk.messages.pop()
    assert talk.say("Somewhere else.").found() == [("t0", "asked_again", 1.0)]


def test_a_title_for_the_same_question_is_no_second_one() -> None:
    talk = Talk().ask().say()
    talk.messages = [Message("system", "Find a title."), Message("user", QUESTION)]
    assert talk.say("Limits").found() == []


def test_a_request_that_failed_and_was_made_again() -> None:
    assert Talk().ask().fail().say().found(now=1e9) == []


@pytest.mark.parametrize("end", ["calls", "failed", "aborted", "empty"])
def test_abandoned(end: str) -> None:
    talk = Talk().ask().say().ask("And then, what comes after that one?")
    {
        "calls": lambda: talk.call("a", None),
        "failed": talk.fail,
        "aborted": lambda: talk.fail("aborted"),
        "empty": lambda: talk.say(" "),
    }[end]()
    assert talk.found(now=1.0 + PATIENCE - 0.1) == []
    assert talk.found(now=1.0 + PATIENCE) == [("t1", "abandoned", 1.0 + PATIENCE)]


def test_each_is_told_once_however_many_ways_a_conversation_went() -> None:
    talk = Talk().ask().call("a", "Error: no").call("b").say()
    branch = [*talk.messages[:-1]]
    talk.ask("Which of them is the largest one?").say()
    talk.messages = [*branch[:-2], Message("user", "Never mind.")]
    talk.say("Fine.")
    kinds = [(trace, kind) for trace, kind, _ in talk.found()]
    assert kinds == [("t0", "repaired"), ("t0", "tool_error")]
    assert implicit_outcomes([], now=1e9) == []
