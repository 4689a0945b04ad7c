"""Right answers are right however a model words them, wrong ones wrong; and none takes long to judge."""

from __future__ import annotations

import time

import pytest

from distill.generate.oracle import right
from distill.generate.question import Question
from distill.generate.said import ITEM, claimed, plain
from distill.generate.said_values import number_words, places
from tests.distill.generate import wordings, wordings_heard, wordings_of_values

WORDED = [*wordings.WORDED, *wordings_of_values.WORDED, *wordings_heard.WORDED]
RIGHT = [(worded.question, answer) for worded in WORDED for answer in worded.right]
WRONG = [(worded.question, answer) for worded in WORDED for answer in worded.wrong]
_SIZE = 3_000  # characters; four times as many are judged as well
_PIECES = (
    *(
        "a",
        "1",
        " ",
        ".",
        "a.",
        "a/",
        "/",
        "~",
        "+",
        "..",
        "_",
        "`",
        "`a",
        "**",
        "**a ",
        "[",
        "[a](",
        "\\_",
        "|",
        "|-|\n",
    ),
    *("(", "()", "f(", "(a, ", "a(b)", "1, ", "111,", "a/b.py ", "a/b.py:1 ", "L1 ", "1-", "1 to ", "3 functions "),
    *("Child, ", "Child and ", "Child\n", "- Child\n", "| Child | a/b.py |\n", "not ", "not a b ", "n't ", "30 or "),
    *(
        "no. ",
        "thirty-",
        '"utf-8" ',
        "return self._items[0] * 2 ",
        "int | ",
        ": ",
        "class A(",
        "\"'",
        "```\n",
        "\u2022 ",
    ),
)


@pytest.mark.parametrize(("question", "answer"), RIGHT)
def test_a_right_answer_in_free_words(question: Question, answer: str) -> None:
    assert right(question, answer)


@pytest.mark.parametrize(("question", "answer"), WRONG)
def test_a_wrong_answer_in_free_words(question: Question, answer: str) -> None:
    assert not right(question, answer)


def test_there_are_enough_of_both() -> None:
    assert len(RIGHT) + len(WRONG) >= 450
    assert min(len(RIGHT), len(WRONG)) >= 200
    assert len({question.oracle.kind for question, _ in RIGHT}) >= 8


@pytest.mark.parametrize("piece", _PIECES)
def test_no_answer_takes_long(piece: str) -> None:
    """Four times the text takes about four times as long, where a pattern that tries all ways takes sixteen times."""
    questions = {worded.question.oracle.kind: worded for worded in WORDED}.values()

    def seconds(size: int) -> float:
        text = (piece * size)[:size]
        start = time.process_time()
        for worded in questions:
            right(worded.question, text)
            right(worded.question, f"{worded.right[0]} {text}" if worded.right else text)
        return time.process_time() - start

    least = min(seconds(_SIZE) for _ in range(2))
    assert min(seconds(4 * _SIZE) for _ in range(2)) < 8 * least + 0.2


def test_names_that_differ_take_no_longer() -> None:
    start = time.process_time()
    assert not right(
        wordings.SUBCLASSES.question, "Child, Other, " + ", ".join(f"n{number}" for number in range(15_000))
    )
    assert time.process_time() - start < 5


def test_markup_is_taken_off() -> None:
    answer = "# Found\n1. **Child** in [a](b)\n* `x\\_y`\n\n| A | B |\n|---|---|\n| c | 1 |\n```python\n**kwargs\n```"
    assert plain(answer).split("\n") == ["Found", f"{ITEM}Child in a", f"{ITEM}`x_y`", "c \u00a6 1", "**kwargs"]


def test_what_is_claimed() -> None:
    said = "In Python, `run` and Child are two; see pkg/io.py, I think, and `None`. Third extends Base(x_y)."
    assert claimed("Who extends Base?", plain(said), {"Child"}) == {"run", "x_y", "Third"}


def test_places_go_with_the_path_that_they_stand_by() -> None:
    assert places("lines 3 and 7 of a.py, 9 of b.py", 3) == {("a.py", "3"), ("a.py", "7"), ("b.py", "9")}
    assert places("a.py:3: x = 9\nb.py", 2) == {("a.py", "3"), ("b.py", "")}


def test_numbers_in_words() -> None:
    assert number_words("Twenty-one of ninety, eleven or zero") == ["21", "90", "11", "0"]
