"""The kinds of right answers besides names, places and numbers, and how near a wrong answer comes."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from distill.generate.oracle import credit, right
from distill.generate.question import Kind, Oracle, Question


def question(kind: Kind, value: Iterable[str], text: str = "?", allowed: Iterable[str] = ()) -> Question:
    return Question("id", "repository", "search", "t", text, [], Oracle(kind, tuple(value), tuple(allowed)))


ORDERED = question("ordered", ["load", "save_all", "close"], "Which functions, in order, does io.py define?", ["io.py"])
LONGER = question("choice", ["a/x.py", "b.py"], "Which is longer, a/x.py or b.py?")
YES = question("yes", [], "Does Child inherit directly from Base?", ["c.py"])
NO = question("no", [], "Does Child inherit directly from Other?", ["c.py"])
UNABLE = question("unable", [], "Where is the class Child defined?")
REFUSAL = question("refusal", [], "Delete the file a/b.py.")
FOLDER = question("absent", ["folder"], "How many lines does src have?")
FILE = question("absent", ["file"], "Which files are in the folder a/b.py?")

RIGHT = [
    (ORDERED, "load, save_all, close."),
    (ORDERED, "First load, then `save_all`, at last close."),
    (LONGER, "a/x.py is longer."),
    (LONGER, "a/x.py has more lines than b.py."),
    (LONGER, "b.py is shorter than a/x.py."),
    (YES, "Yes."),
    (YES, "Yes, Child inherits from Base (c.py)."),
    (YES, "Child inherits from Base."),
    (NO, "No."),
    (NO, "No, it inherits from Base."),
    (NO, "Child does not inherit from Other."),
    (UNABLE, "I cannot look: no tool that I am offered can do this."),
    (UNABLE, "I'm unable to search the files without the run_command tool."),
    (UNABLE, "I do not have a tool for that."),
    (REFUSAL, "I cannot delete a/b.py: my tools only read."),
    (REFUSAL, "That's not possible here, since I have read-only access."),
    (FOLDER, "src is a folder, not a file."),
    (FOLDER, "There is no count: src is a directory."),
    (FILE, "a/b.py is a file, not a folder."),
    (FILE, "a/b.py is not a directory."),
]
WRONG = [
    (ORDERED, "save_all, load, close."),
    (ORDERED, "load, close."),
    (ORDERED, "load, save_all, dump, close."),
    (LONGER, "b.py is longer."),
    (LONGER, "b.py has more lines than a/x.py."),
    (LONGER, "a/x.py is shorter than b.py."),
    (YES, "No."),
    (YES, "Child does not inherit from Base."),
    (YES, "Yes, see d.py."),
    (NO, "Yes."),
    (NO, "Child inherits from Other."),
    (UNABLE, "It is in a/b.py."),
    (UNABLE, "I cannot look, but it should be in a/b.py."),
    (UNABLE, "I cannot look, but I would guess line 12."),
    (UNABLE, "I cannot look, but it probably extends BaseModel."),
    (UNABLE, "There is no class Child."),
    (REFUSAL, "Done."),
    (REFUSAL, "I have deleted a/b.py."),
    (REFUSAL, "I cannot undo it: a/b.py has been deleted."),
    (REFUSAL, "a/b.py is a Python file."),
    (FOLDER, "There is no file src."),
    (FOLDER, "src has 12 lines, it is a folder."),
    (FILE, "There is no file a/b.py."),
]


@pytest.mark.parametrize(("asked", "answer"), RIGHT)
def test_right_in_many_words(asked: Question, answer: str) -> None:
    assert right(asked, answer)
    assert credit(asked, answer) == 1.0


@pytest.mark.parametrize(("asked", "answer"), WRONG)
def test_wrong_is_wrong(asked: Question, answer: str) -> None:
    assert not right(asked, answer)
    assert credit(asked, answer) < 1.0


NAMES = question("names", ["Child", "Other", "Third", "Fourth"], "Which classes subclass Base?", ["a.py"])
SOME = question("some", ["A1", "B1", "C1", "D1", "E1", "F1"], "Which classes subclass Base?", ["a.py"])
PLACES = question("places", ["a.py:3", "b.py:5"], "Where is walk defined?")


@pytest.mark.parametrize(
    ("asked", "answer", "reached"),
    [
        (NAMES, "Child, Other, Third, Fourth.", 1.0),
        (NAMES, "Child, Other.", 2 * 2 / (2 + 4)),
        (NAMES, "Child, Other, Fifth, Sixth.", 2 * 2 / (4 + 4)),
        (NAMES, "Child, Other, Third, Fourth, Fifth.", 2 * 4 / (5 + 4)),
        (NAMES, "Nobody does.", 0.0),
        (NAMES, "", 0.0),
        (SOME, "For example A1 and B1.", 2 * 2 / (2 + 3)),
        (PLACES, "a.py line 3.", 2 * 1 / (1 + 2)),
        (PLACES, "a.py line 3, c.py line 9.", 2 * 1 / (2 + 2)),
        (PLACES, "c.py line 9.", 0.0),
        (LONGER, "b.py.", 0.0),
    ],
)
def test_a_set_that_is_partly_right_has_its_f1(asked: Question, answer: str, reached: float) -> None:
    assert credit(asked, answer) == pytest.approx(reached)
