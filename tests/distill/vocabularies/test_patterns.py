"""Patterns in several syntaxes: what grep finds by them is what they mean."""

import re
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.errors import ToolError
from distill.generate.templates import Call
from distill.vocabularies.forms import search_of
from distill.vocabularies.patterns import bounded, parts_of, unbounded, written
from tests.distill.vocabularies.asking import VOCABULARIES

LINES = [
    *("class Base(Other):", "def f(x, *y) -> None:", "x[0] = a.b()", "^caret $dollar", "a+b?c|d{2}e", "back\\slash"),
    *("tab\there", "aa bb aab", "import os.path as p", "@dec.orator", "] - [", "foo_bar1 2", "CONST = 3", "{a,b}", "]"),
]
ALIKE = r"a b . * ^ $ x 0 | + ? \. \( \) \* \[ \w \b \s [ab] class \\ ] -"
REGEX = rf"{ALIKE} \d [^\w] [\]x] [\d-] [-a] (ab|b) (?:a|x) a{{1,2}} {{a \- }} *? \t"
BASIC = rf"{ALIKE} ( [^a-c] [].] [a\] \| \+ \{{1,2\}} {{ [0-9]"
REFUSED = r"(?=x) (?<a>x) [ [a [] \ \1 \p{L} a** *a (*a) a|* \b? ^*"


def patterns(pieces: str) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from([" ", *pieces.split()]), min_size=1, max_size=6).map("".join)


def grep(*args: str) -> list[str] | None:
    """The lines that grep finds; None where it calls the pattern damaged."""
    text = "\n".join(LINES) + "\n"
    done = subprocess.run(["grep", *args], input=text, capture_output=True, text=True, check=False, env={"LC_ALL": "C"})
    return None if done.returncode > 1 else done.stdout.splitlines()


def found(pattern: str) -> list[str] | None:
    try:
        return [line for line in LINES if re.search(pattern, line)]
    except re.error:
        return None


@given(patterns(REGEX))
@settings(max_examples=120, deadline=None)
def test_what_agents_search_for_is_what_grep_finds(pattern: str) -> None:
    meant = VOCABULARIES["claude"].meant(Call("Grep", {"pattern": pattern, "output_mode": "content"}))
    expected = found(pattern)
    if meant is None or expected is None:
        return
    letters, *words = meant.arguments["args"]
    assert grep(letters.replace("r", "") + "h", *words[:-1]) == expected


@given(patterns(BASIC))
@settings(max_examples=120, deadline=None)
def test_a_basic_pattern_means_the_same_as_a_regex(pattern: str) -> None:
    expected = grep("-e", pattern)
    try:
        regex = written(parts_of(pattern, "basic"), "regex")
    except ToolError:
        return
    assert expected is None or found(regex) == expected


@pytest.mark.parametrize(
    ("pattern", "regex"),
    [
        ("class .*(.*Base", "\\bclass .*\\(.*Base\\b"),
        ("def f", "\\bdef f\\b"),
        ("^NAME =", "^NAME ="),
        ("@dec", "@dec\\b"),
        ("from a.b import", "\\bfrom a.b import\\b"),
    ],
)
def test_words_are_bounded_where_they_end_in_a_letter(pattern: str, regex: str) -> None:
    parts = bounded(parts_of(pattern, "basic"))
    assert parts is not None
    assert written(parts, "regex") == regex


def test_only_what_w_of_grep_means_is_said_with_it() -> None:
    assert unbounded(parts_of("\\bclass ", "regex")) is None
    assert unbounded(parts_of("\\bclass A", "regex")) is None
    assert unbounded(parts_of("class", "regex")) is None
    assert unbounded(parts_of("^class A\\b", "regex")) == parts_of("^class A", "regex")


@pytest.mark.parametrize("pattern", REFUSED.split())
def test_what_grep_has_not_is_refused(pattern: str) -> None:
    with pytest.raises(ToolError):
        parts_of(pattern, "regex")


@pytest.mark.parametrize(
    "args",
    [
        *("-rn a b c", "-rn -e a -e b .", "-rvn a .", "-n a", "-rZ a .", "-rn --include=*.py --include=*.txt a ."),
        *("-rn a\\ .", "", "-rn"),
    ],
)
def test_a_search_for_more_than_one_thing_is_none(args: str) -> None:
    assert search_of(Call("run_command", {"command": "grep", "args": args.split()})) is None
