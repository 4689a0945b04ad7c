"""Why an answer is kept or not, which of several is, and what a report says of it all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from distill.generate.question import Oracle, Question
from distill.generate.templates import Call
from distill.school.checks import REASONS, cannot_be_shorter, shortest, verdict
from distill.school.ledger import Ledger, Settled, Taken
from distill.school.reporting import kept_of, report
from router.chat import FunctionCall, Message

OFFERED = {"run_command", "read_file", "list_files"}
GREP = FunctionCall("run_command", '{"command": "grep", "args": ["-rn", "class Basket", "."]}')
LIST = FunctionCall("list_files", "{}")
PLACE = Oracle("places", ("shop.py:3",))
WHERE = Question("q1", "shop", "search", "t", "Where is Basket?", [Call("run_command", {})], PLACE)
SUM = Question("q2", "shop", "negative", "sum", "What is 2 plus 2?", [], Oracle("number", ("4",)))
RIGHT = "Basket is defined in shop.py, line 3."


def taken(answer: str, *calls: FunctionCall, end: str = "answered", code: str = "", question: str = "q1") -> Taken:
    said = [Message("user", "?"), Message("assistant", answer)]
    return Taken(question, 0, "c", end, answer, list(calls), said, [], 1.0, 100, 10, 1.0, code=code)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        (WHERE, taken(RIGHT, GREP), ""),
        (WHERE, taken(RIGHT), "no_call"),
        (WHERE, taken("Basket is defined in shop.py, line 4.", GREP), "wrong_answer"),
        (WHERE, taken("I can’t look into your files.", GREP), "refused"),
        (WHERE, taken("I cannot find Basket anywhere.", GREP), "wrong_answer"),
        (WHERE, taken("I'm sorry, I am not able to do that.", GREP), "refused"),
        (WHERE, taken(RIGHT, GREP, FunctionCall("write_file", "{}")), "invalid_call"),
        (WHERE, taken(RIGHT, GREP, FunctionCall("list_files", "[]")), "invalid_call"),
        (WHERE, taken(RIGHT, GREP, FunctionCall("list_files", "[" * 100_000)), "invalid_call"),
        (WHERE, taken(RIGHT, FunctionCall("list_files", ""), GREP), ""),
        (WHERE, taken("", GREP, end="repeated"), "repeated"),
        (WHERE, taken(RIGHT, GREP, end="cut"), "cut"),
        (WHERE, taken("", end="empty"), "empty"),
        (WHERE, taken("", end="error", code="timeout"), "timeout"),
        (SUM, taken("It is 4."), ""),
        (SUM, taken("It is 4.", LIST), "needless_call"),
        (SUM, taken("It is 5."), "wrong_answer"),
    ],
)
def test_verdicts(question: Question, answer: Taken, reason: str) -> None:
    assert verdict(question, answer, OFFERED) == reason
    assert not reason or reason in REASONS


def test_the_shortest_good_answer_is_kept() -> None:
    way_round, straight, wordy = taken(RIGHT, LIST, GREP), taken(RIGHT, GREP), taken(f"Well. {RIGHT}", GREP)
    wrong = taken("No.", GREP)
    assert shortest(WHERE, {0: way_round, 1: wordy, 2: straight, 3: wrong}, OFFERED) == (2, "")
    assert shortest(WHERE, {0: straight, 1: straight}, OFFERED) == (0, "")
    assert shortest(WHERE, {0: wrong, 1: taken(RIGHT)}, OFFERED) == (None, "wrong_answer")
    assert [cannot_be_shorter(WHERE, one, OFFERED) for one in (way_round, straight, wrong)] == [False, True, False]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.opened(tmp_path) as opened:
        yield opened


def test_a_report(ledger: Ledger) -> None:
    for line in (taken(RIGHT, LIST, GREP), Settled("q1", 0, ""), taken("4", LIST, question="q2")):
        ledger.add(line)
    told = report("s", [WHERE, SUM], ledger)
    assert (told.all.questions, told.all.settled, told.all.kept) == (2, 1, 1)
    assert told.categories["negative"].needless_tools.of == 0  # it is not settled yet
    ledger.add(Settled("q2", None, "needless_call"))
    told = report("s", [WHERE, SUM], ledger)
    assert told.categories["search"].used_tools.share == 1
    assert (told.categories["search"].calls, told.categories["search"].shortest) == (2, 1)
    assert told.categories["negative"].needless_tools.share == 1
    assert told.categories["negative"].right.share == 1  # right, and yet not kept
    assert told.dropped == {"needless_call": 1}
    assert told.tools == {"list_files": 1, "run_command": 1}
    assert told.sequences == {"list_files run_command": 1}
    assert (told.seconds, told.prompt_tokens, told.completion_tokens) == ((1.0, 1.0), 200, 20)
    assert [question.id for question, _ in kept_of([WHERE, SUM], ledger)] == ["q1"]
