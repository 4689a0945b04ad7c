"""Answers that say where a name is, against the lines that were shown."""

from __future__ import annotations

import time

import pytest

from distill.filters import explain
from distill.filters.places import Claim, Places, claims_in
from tests.distill.filters.test_natural import EDIT, READ, SOURCE, TEST, TOLD, Made, conversation

GREP: Made = (
    "Grep",
    {"pattern": "count_lines"},
    "src/basket.py:10:def count_lines(text):\nsrc/shop.py:14:    return count_lines(page)\nsrc/shop.py:3:import x",
)
RIGHT = [
    "`count_lines` is defined in src/basket.py, line 10.",
    "count_lines() is in `/home/user/shop/src/basket.py:10`.",
    "The function count_lines starts at line 10 of src/basket.py.",
    "`count_lines` is defined in src/basket.py, lines 10-11.",
    "`count_lines` is in src/basket.py:10-11.",
    "`count_lines` splits the text at line 11.",
    "The bug in count_lines is at line 11.",
    "The call of `count_lines` is in src/shop.py, line 14.",
    "The LineCounter is in src/shop.py at line 3.",  # used there perhaps
    "`count_lines` is in src/basket.py, at lines 10 and 11.",  # a range perhaps
    "`count_lines` is called in src/shop.py, line 3 or so, and in line 14.",
    "`SEPARATOR` is in src/basket.py, line 11, and `LineCounter` is at line 13.",
]
WRONG = [
    "`count_lines` is defined in src/basket.py, line 11.",
    "**count_lines** is at src/basket.py:11.",
    "The function `count_lines()` is in basket.py at line 13.",
    "It is simple: count_lines is declared on line 12 of src/basket.py.",
    "`count_lines` starts on line 3.",
    "`LineCounter` is in src/basket.py (line 10).",
    "The LineCounter is also defined in src/shop.py at line 3.",
    "`count_lines` is defined in src/shop.py, line 14.",  # used there, and made elsewhere
    "`SEPARATOR` is in src/basket.py, at lines 13 and 11.",
    "The function count_lines is defined in the file src/shop.py at lines 14 and 90.",
]


def reason(answer: str, *made: Made) -> str:
    return explain(conversation(answer, *made), TOLD).trajectories[0].reason


@pytest.mark.parametrize("answer", RIGHT)
def test_what_may_be_right_stays(answer: str) -> None:
    assert reason(answer, GREP, READ) == ""


@pytest.mark.parametrize("answer", WRONG)
def test_a_line_that_was_shown_without_the_name(answer: str) -> None:
    assert reason(answer, GREP, READ) == "ungrounded"


def test_lines_that_were_shown_before_a_change_do_not_count() -> None:
    answer = "`count_lines` is now in src/basket.py, line 11."
    assert reason(answer, READ) == ""  # no form of a claim
    assert reason(answer.replace("now ", ""), READ) == "ungrounded"
    assert reason(answer.replace("now ", ""), READ, EDIT) == ""
    again: Made = (*READ[:2], SOURCE.replace("    11→ ", "    12→ ").replace("    10→", "    11→"))
    assert reason(answer.replace("now ", ""), READ, EDIT, again) == ""
    assert reason(answer.replace("now ", ""), READ, TEST) == ""  # a program may do anything


def test_what_other_programs_say_of_a_line_is_not_its_text() -> None:
    checked: Made = ("Bash", {"command": "mypy src"}, "src/basket.py:10: error: no return type\n1 error")
    assert reason("`count_lines` is in src/basket.py, line 10.", checked, GREP) == ""
    assert reason("`count_lines` is in src/basket.py, line 10.", GREP, checked) == ""


def test_a_decorator_or_a_comment_belongs_to_what_follows() -> None:
    read: Made = (*READ[:2], "     9→@cached\n" + SOURCE)
    assert reason("`count_lines` is in src/basket.py, line 9.", read) == ""


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ("It is assigned in __init__.py line 103, exceptions.py line 11.", ""),  # a file that many have is one too
        ("It is assigned in exceptions.py line 103.", "ungrounded"),
    ],
)
def test_the_lines_of_two_files_are_not_taken_for_those_of_one(answer: str, wanted: str) -> None:
    found: Made = (
        "Grep",
        {"pattern": "count_lines"},
        "src/__init__.py:103:count_lines\nsrc/exceptions.py:11:count_lines",
    )
    assert reason(answer, READ, found) == wanted


def test_the_forms_of_a_claim() -> None:
    assert claims_in("`parse_args` is defined in ./src/cli.py, line 12.") == [
        Claim("parse_args", "src/cli.py", 12, True)
    ]
    assert claims_in("parse_args is at cli.py:12, and parse_all at line 3 of x.py") == [
        Claim("parse_args", "cli.py", 12),
        Claim("parse_all", "x.py", 3),
    ]
    for none in ("parse is in cli.py, line 12", "Version 2.1 is at 12", "see parse_args, line 12", "", "line 12"):
        assert claims_in(none) == []


@pytest.mark.parametrize(
    "piece",
    ["parse_args is ", "is in at on ", "a_b is in " + "x/" * 90, "a.b" * 60, "function ", ". " * 50, "a_b, is "],
)
def test_long_answers_take_no_time(piece: str) -> None:
    start = time.monotonic()
    claims_in(piece * (200_000 // len(piece)))
    assert time.monotonic() - start < 1


def test_many_claims_of_much_that_was_shown_take_no_time() -> None:
    places = Places()
    for number in range(200):
        places.add("\n".join(f"src/f{number}.py:{line}:def name_{line}(x):" for line in range(500)), "")
    start = time.monotonic()
    assert places.mistaken([Claim(f"name_{n}", f"f{n}.py", n) for n in range(200)]) is None
    assert places.mistaken([Claim("name_1", "f1.py", 2)]) == Claim("name_1", "f1.py", 2)
    assert time.monotonic() - start < 3
