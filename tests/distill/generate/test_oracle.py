"""The oracle is tolerant of wording and strict on facts."""

from collections.abc import Iterable

import pytest

from distill.generate.oracle import exact_calls, right
from distill.generate.question import Kind, Oracle, Question
from distill.generate.templates import Call


def question(kind: Kind, value: Iterable[str], text: str = "?", allowed: Iterable[str] = ()) -> Question:
    return Question("id", "repository", "search", "t", text, [], Oracle(kind, tuple(value), tuple(allowed)))


SUBCLASSES = question("names", ["Child", "Other"], "Which classes subclass Base?", ["a/b.py", "c.py"])
HELPERS = question("names", ["load", "save_all"], "Which functions does io.py define?", ["io.py"])
PLACE = question("places", ["a/b.py:12"], "Where is the class Child defined?")
PLACES = question("places", ["a/b.py:12", "c.py:3"], "Where is the function walk defined?")
LINES = question("number", ["120"], "How many lines does a/b.py have?")
SUM = question("number", ["12"], "What is 10 plus 2?")
SIGNATURE = question("signature", ["self", "a", "*rest", "**more"], "What are the parameters of walk?")
ABSENT = question("absent", ["missing"], "Where is the class Chimera defined?")
EMPTY = question("absent", ["empty"], "What is the first line of a/__init__.py?")
OUTSIDE = question("absent", ["outside"], "What is the first line of ../x.py?")
MANY = question("some", ["A1", "B1", "C1", "D1", "E1", "F1"], "Which classes subclass Base?", ["a.py"])
TEXT = question("text", ['"""Walks far."""'], "What is the first line of a.py?")
CAPITAL = question("words", ["Paris"], "What is the capital of France?")

DOTTED = question("names", ["NamedTuple"], "What does the class Token inherit from?", ["t.NamedTuple", "t"])

RIGHT = [
    (DOTTED, "Token inherits from t.NamedTuple."),
    (DOTTED, "Its base is NamedTuple."),
    (SUBCLASSES, "Subclasses of Base: Child (a/b.py), Other (c.py)."),
    (SUBCLASSES, "There are two: `Other` and `Child`."),
    (SUBCLASSES, "- Child\n- Other"),
    (HELPERS, "Functions in io.py: load, save_all."),
    (HELPERS, "io.py defines load and save_all."),
    (PLACE, "Child is defined in a/b.py line 12."),
    (PLACE, "It is at `a/b.py:12`."),
    (PLACE, "You find it on line 12 of ./a/b.py."),
    (PLACES, "walk is defined in a/b.py line 12, c.py line 3."),
    (LINES, "a/b.py has 120 lines."),
    (LINES, "120"),
    (SUM, "12"),
    (SUM, "10 plus 2 is 12."),
    (SIGNATURE, "walk takes (self, a: int = (1), *rest: str, **more)."),
    (SIGNATURE, "The parameters are self, a, *rest and **more."),
    (ABSENT, "There is no class Chimera."),
    (ABSENT, "I could not find Chimera in this repository; it isn't defined."),
    (EMPTY, "a/__init__.py is empty."),
    (OUTSIDE, "../x.py is outside the repository."),
    (MANY, "More than 5 classes subclass Base, for example A1 (a.py), B1 (a.py), C1 (a.py)."),
    (TEXT, 'The first line is: """Walks far."""'),
    (CAPITAL, "It is Paris, of course."),
]

WRONG = [
    (SUBCLASSES, ""),
    (SUBCLASSES, "Subclasses of Base: Child (a/b.py)."),
    (SUBCLASSES, "Subclasses of Base: Child, Other, Third."),
    (SUBCLASSES, "Subclasses of Base: Child (a/b.py), Other (d.py)."),
    (SUBCLASSES, "Subclasses of Base: Child, Others."),
    (SUBCLASSES, "Child, Other and MadeUpClass subclass it."),
    (HELPERS, "Functions in io.py: load, save_all, dump."),
    (HELPERS, "Functions in io.py: load, save."),
    (HELPERS, "Functions in oi.py: load, save_all."),
    (PLACE, "Child is defined in a/b.py line 13."),
    (PLACE, "Child is defined in a/b.py."),
    (PLACE, "Child is defined in b.py line 12."),
    (PLACE, "Child is defined in a/b.py line 12, c.py line 3."),
    (PLACE, "Child is defined in a/b.py line 12 or 14."),
    (PLACES, "walk is defined in a/b.py line 3, c.py line 12."),
    (PLACES, "walk is defined in a/b.py line 12."),
    (LINES, "a/b.py has 121 lines."),
    (LINES, "a/b.py has 1200 lines."),
    (LINES, "a/b.py has 120 or 121 lines."),
    (LINES, "a/c.py has 120 lines."),
    (LINES, "There is no file a/b.py."),
    (SUM, "13"),
    (SUM, "10 plus 2 is 13."),
    (SUM, "120"),
    (SIGNATURE, "walk takes (self, a, rest, **more)."),
    (SIGNATURE, "walk takes (self, a, *rest)."),
    (SIGNATURE, "walk takes (a, self, *rest, **more)."),
    (SIGNATURE, "There is no function walk."),
    (ABSENT, "Chimera is defined in a/b.py line 12."),
    (ABSENT, "There is no Chimera, but there is ChimeraBase."),
    (ABSENT, "There is no class Chimera here; see a/b.py."),
    (EMPTY, "There is no file a/__init__.py."),
    (OUTSIDE, "There is no file ../x.py."),
    (MANY, "More than 5 classes subclass Base, for example A1, B1."),
    (MANY, "More than 5 classes subclass Base, for example A1, B1, C1, Z1."),
    (TEXT, 'The first line is: """Walks."""'),
    (CAPITAL, "Parisian things."),
    (CAPITAL, "Rome."),
]


@pytest.mark.parametrize(("asked", "answer"), RIGHT)
def test_a_right_answer_is_right_in_any_words(asked: Question, answer: str) -> None:
    assert right(asked, answer)


@pytest.mark.parametrize(("asked", "answer"), WRONG)
def test_a_wrong_fact_makes_an_answer_wrong(asked: Question, answer: str) -> None:
    assert not right(asked, answer)


def planned(*calls: Call) -> Question:
    return Question("id", "r", "search", "t", "?", list(calls), Oracle("number", ("1",)))


def grep(*args: str) -> Call:
    return Call("run_command", {"command": "grep", "args": list(args)})


@pytest.mark.parametrize(
    ("plan", "made"),
    [
        (grep("-rn", "x y", "."), grep("-nr", "x y", ".")),
        (grep("-rn", "x", "."), grep("-r", "-n", "x", "./")),
        (grep("-rn", "x", "."), grep("x", "-rn", ".")),
        (grep("-rn", "x", "."), grep("--recursive", "--line-number", "x", ".")),
        (grep("-rn", "x", "."), grep("-rn", "x")),
        (grep("-c", "x", "a/b.py"), grep("-c", "x", "./a/b.py")),
        (Call("read_file", {"path": "a.py", "start": 1}), Call("read_file", {"path": "./a.py", "lines": 40})),
        (Call("list_files", {"path": "."}), Call("list_files", {})),
        (
            Call("run_command", {"command": "head", "args": ["-n", "1", "a"]}),
            Call("run_command", {"args": ["-n1", "a"], "command": "head"}),
        ),
    ],
)
def test_calls_are_equal_but_for_spelling(plan: Call, made: Call) -> None:
    assert exact_calls(planned(plan), [made])


@pytest.mark.parametrize(
    ("plan", "made"),
    [
        ([grep("-rn", "x", ".")], []),
        ([], [grep("-rn", "x", ".")]),
        ([grep("-rn", "x", ".")], [grep("-rn", "y", ".")]),
        ([grep("-rn", "./x", ".")], [grep("-rn", "x", ".")]),
        ([grep("-rn", "x", ".")], [grep("-rnw", "x", ".")]),
        ([grep("-rn", "x", ".")], [grep("-rn", "x", "a")]),
        ([grep("-rn", "x", ".")], [Call("run_command", {"command": "find", "args": ["-rn", "x", "."]})]),
        ([grep("-rn", "x", ".")], [grep("-rn", "x", "."), grep("-rn", "x", ".")]),
        ([grep("-c", "x", "a"), grep("-c", "y", "a")], [grep("-c", "y", "a"), grep("-c", "x", "a")]),
        ([Call("read_file", {"path": "a", "start": 2})], [Call("read_file", {"path": "a", "start": "2"})]),
        ([grep("-n", "x", "a")], [Call("run_command", {"command": "grep", "args": "-n x a"})]),
        ([grep("-n", "x", "a")], [Call("run_command", {"command": "grep", "args": [1, None]})]),
    ],
)
def test_calls_that_differ_are_not_exact(plan: list[Call], made: list[Call]) -> None:
    assert not exact_calls(planned(*plan), made)
