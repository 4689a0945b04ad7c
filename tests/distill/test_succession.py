"""May an adapter follow the one that serves? The rule, and how often it is wrong, by simulation."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from distill.examination.drawn import read_drawn
from distill.examination.marking import Mark
from distill.succession import ALPHA, LOOKS, level_of, succession


def mark(number: int, exact: bool, category: str = "search", needed: bool = True, called: bool = True) -> Mark:
    return Mark(f"q{number}", category, needed, called, exact, exact, 1.0)


def marks(exact: list[bool], category: str = "search") -> list[Mark]:
    return [mark(number, one, category) for number, one in enumerate(exact)]


def test_one_that_is_better_follows() -> None:
    found = succession("old", marks([False] * 20 + [True] * 80), marks([True] * 100), level_of(0), 0.05)
    assert (found.standing, found.gained, found.lost, found.may_follow) == ("superior", 20, 0, True)
    assert found.told.startswith("superior: +20.0% exact calls beside old")


def test_one_that_is_as_good_follows_where_the_questions_can_show_it() -> None:
    many = [True] * 900 + [False] * 100
    assert succession("old", marks(many), marks(many), level_of(0), 0.05).standing == "not inferior"
    few = [True] * 9 + [False]
    found = succession("old", marks(few), marks(few), level_of(0), 0.05)
    assert (found.standing, found.may_follow) == ("not shown", False)
    assert "nor surely within 5% of it" in found.told


def test_one_that_makes_fewer_exact_calls_does_not_follow_however_wide_the_margin() -> None:
    old = marks([True] * 500 + [False] * 500)
    new = marks([True] * 499 + [False] * 501)
    found = succession("old", old, new, level_of(0), 0.4)
    assert found.standing == "not shown"
    assert found.told.startswith("fewer exact calls than old makes (-0.1% exact calls")


def test_a_kind_of_question_that_became_worse_holds_it_up() -> None:
    old = [*marks([False] * 60), *(mark(100 + n, True, "listing") for n in range(12))]
    new = [*marks([True] * 60), *(mark(100 + n, n < 2, "listing") for n in range(12))]
    found = succession("old", old, new, level_of(0), 0.05)
    assert (found.standing, found.worse, found.may_follow) == ("superior", ["listing"], False)
    assert "worse than old at listing" in found.told


def test_one_that_calls_where_no_tool_is_needed_is_held_up() -> None:
    old = [*marks([False] * 60), *(mark(100 + n, True, "chat", needed=False, called=False) for n in range(12))]
    new = [*marks([True] * 60), *(mark(100 + n, False, "chat", needed=False, called=True) for n in range(12))]
    assert succession("old", old, new, level_of(0), 0.05).worse == ["no tool needed"]


def test_what_is_surely_worse_was_harmed_and_what_is_no_better_was_not() -> None:
    old = marks([True] * 100)
    assert succession("old", old, marks([True] * 80 + [False] * 20), level_of(0), 0.05).harmed
    assert not succession("old", old, marks([True] * 97 + [False] * 3), level_of(0), 0.05).harmed
    listing = [mark(100 + n, True, "listing") for n in range(12)]
    lost = [*marks([True] * 100), *(mark(100 + n, n < 2, "listing") for n in range(12))]
    assert succession("old", [*old, *listing], lost, level_of(0), 0.05).harmed


def test_other_questions_are_no_comparison() -> None:
    with pytest.raises(ValueError, match="same questions"):
        succession("old", marks([True] * 3), marks([True] * 4), 0.05, 0.05)


def test_all_verdicts_on_the_same_questions_share_one_level() -> None:
    assert sum(level_of(night) for night in range(100_000)) <= ALPHA
    assert len({level_of(night) for night in range(LOOKS)}) == 1
    levels = [level_of(night) for night in range(100)]
    assert levels == sorted(levels, reverse=True)


def test_a_month_of_nights_promotes_a_worse_adapter_hardly_ever() -> None:
    """In 200 months of 30 nights with candidates that are the whole margin, five points, worse than what serves."""
    draw = random.Random(8)
    months = 0
    for _ in range(200):
        wrong = False
        for night in range(30):
            old, new = [], []
            for _ in range(150):
                both = draw.random()
                old.append(both < 0.80)
                new.append(both < 0.7368 or draw.random() < 0.05)
            found = succession("old", marks(old), marks(new), level_of(night), 0.05)
            wrong = wrong or found.may_follow
        months += wrong
    assert months / 200 <= ALPHA + 2 * (ALPHA * (1 - ALPHA) / 200) ** 0.5


@pytest.mark.parametrize("share", [0.8, 0.9, 0.95])
def test_a_night_asks_enough_to_let_a_good_adapter_follow_one_that_is_as_good(share: float) -> None:
    """Of 96 questions, both answered alike, nobody can say that the new one is not 5 points behind."""
    asked = read_drawn(Path(__file__).resolve().parents[2] / "data" / "examinations" / "night.toml").questions
    for count, shown in ((96, False), (asked, True)):
        alike = marks([number < share * count for number in range(count)])
        found = succession("old", alike, alike, level_of(6) / 2, 0.05)
        assert found.may_follow is shown
