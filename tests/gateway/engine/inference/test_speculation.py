"""What is guessed, and how much of it is worth checking."""

from __future__ import annotations

import pytest

from gateway.engine.inference.generation import Generation
from gateway.engine.inference.job import Job, Sampling
from gateway.engine.inference.lookup import Draft, Lookup, Trust
from gateway.engine.inference.speculation import Speculation, StepCost


def row(tokens: list[int], max_tokens: int = 100) -> Generation:
    return Generation.of(Job(tokens, max_tokens, Sampling()))


def test_what_followed_before_is_guessed_again() -> None:
    assert Lookup().guess([1, 2, 3, 4, 5, 6, 9, 2, 3], 3).tokens == [4, 5, 6]


def test_the_longest_agreement_wins_and_then_the_latest() -> None:
    text = [1, 2, 3, 10, 7, 2, 3, 20, 8, 2, 3, 30, 1, 2, 3]
    assert Lookup().guess(text, 1).tokens == [10]
    assert Lookup().guess([7, 2, 3, 20, 8, 2, 3, 30, 5, 2, 3], 1).tokens == [30]


def test_a_text_that_repeats_itself_is_taken_to_go_on_so() -> None:
    assert Lookup().guess([9, 1, 2, 1, 2], 5).tokens == [1, 2, 1, 2, 1]


@pytest.mark.parametrize("text", [[4], [1, 2], [1, 2, 3], [5, 1, 6, 1]])
def test_too_little_in_common_is_no_guess(text: list[int]) -> None:
    assert Lookup().guess(text, 4).tokens == []


def test_a_lookup_follows_a_growing_text() -> None:
    lookup, text = Lookup(), [1, 2, 3]
    assert lookup.guess(text, 2).tokens == []
    text += [4, 1, 2]
    assert lookup.guess(text, 2).tokens == [3, 4]


def test_trust_follows_what_came_true() -> None:
    trust = Trust(1.0, 2.0)
    for _ in range(20):
        trust.checked(0, 4)
    assert trust.chance < 0.1
    for _ in range(20):
        trust.checked(4, 4)
    assert trust.chance > 0.9
    before = trust.chance
    trust.checked(0, 0)
    assert trust.chance == before


def test_a_draft_expects_the_sum_of_its_chances() -> None:
    assert Draft([1, 2, 3], Trust(1, 2)).expected(2) == pytest.approx(1 + 0.5 + 0.25)


def taught(a: float, b: float, c: float) -> Speculation:
    """After steps that cost a + b · rows + c · positions."""
    speculation = Speculation()
    for rows in (1, 2, 3):
        for guessed in (0, 2, 5):
            drafts = [Draft([0] * guessed, Trust(1, 1)) for _ in range(rows)]
            speculation.took(drafts, a + b * rows + c * rows * (1 + guessed))
    return speculation


REPEATING = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16] * 2


def test_cheap_positions_are_filled_with_guesses() -> None:
    [draft] = taught(a=0.1, b=0.01, c=0.001).drafts([row(REPEATING)])
    assert len(draft.tokens) == 8


def test_nothing_is_guessed_where_positions_cost_as_much_as_steps() -> None:
    [draft] = taught(a=0.0, b=0.0, c=0.1).drafts([row(REPEATING)])
    assert draft.tokens == []


def test_before_anything_is_known_guesses_are_tried() -> None:
    drafts = Speculation().drafts([row(REPEATING), row([1, 2, 3])])
    assert [len(draft.tokens) for draft in drafts] == [8, 0]


@pytest.mark.parametrize("left", [1, 2, 5])
def test_no_more_is_guessed_than_may_be_said(left: int) -> None:
    [draft] = Speculation().drafts([row(REPEATING, max_tokens=left)])
    assert len(draft.tokens) == left - 1


def test_many_rows_share_the_positions_of_a_step() -> None:
    drafts = Speculation().drafts([row(REPEATING) for _ in range(32)])
    assert sum(1 + len(draft.tokens) for draft in drafts) <= 96


def test_steps_that_differ_in_nothing_say_nothing_against_guessing() -> None:
    cost = StepCost()
    for _ in range(5):
        cost.took(1, 1, 0.1)
    assert cost.seconds(1, 1) == pytest.approx(0.1)
    assert cost.seconds(1, 5) < 0.3
