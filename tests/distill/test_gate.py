"""The statistics against published and independently computed values, and the rule against its cases."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from distill.examination.marking import Mark
from distill.examination.scores import score
from distill.gate import judge
from distill.statistics import mcnemar, share, wilson


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [
        (81, 100, 0.7222, 0.8749),
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0000),
    ],
)
def test_wilson(hits: int, of: int, low: float, high: float) -> None:
    assert wilson(hits, of) == (pytest.approx(low, abs=6e-5), pytest.approx(high, abs=6e-5))


def test_wilson_of_nothing_knows_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert share([]).share == 0.0


@given(st.integers(1, 2000), st.data())
def test_wilson_holds_the_share_and_is_symmetric(of: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, of))
    low, high = wilson(hits, of)
    assert 0.0 <= low <= hits / of + 1e-12
    assert hits / of - 1e-12 <= high <= 1.0
    mirrored = wilson(of - hits, of)
    assert mirrored == (pytest.approx(1 - high, abs=1e-9), pytest.approx(1 - low, abs=1e-9))
    wider = wilson(hits, of, 0.99)
    assert wider[0] <= low + 1e-12
    assert wider[1] >= high - 1e-12


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_binomial_tail(gained: int, lost: int) -> None:
    n = gained + lost
    tail = Fraction(0)
    for k in range(gained, n + 1):
        tail += Fraction(math.factorial(n), math.factorial(k) * math.factorial(n - k)) * Fraction(1, 2) ** n
    assert mcnemar(gained, lost) == pytest.approx(float(tail), rel=1e-12)


@pytest.mark.parametrize(
    ("gained", "lost", "p"), [(0, 0, 1.0), (5, 0, 0.03125), (4, 0, 0.0625), (0, 5, 1.0), (10, 2, 0.019287109375)]
)
def test_mcnemar_known(gained: int, lost: int, p: float) -> None:
    assert mcnemar(gained, lost) == pytest.approx(p)


def test_mcnemar_of_many() -> None:
    assert mcnemar(1500, 10) < 1e-300
    assert 0.5 < mcnemar(600, 600) < 0.52


def mark(question: int, *, exact: bool = False, right: bool = False, called: bool = False, needed: bool = True) -> Mark:
    return Mark(f"q{question}", "search", needed, called, exact, right, float(question), alone=question % 2 == 1)


def marks(exact: list[bool], right: list[bool] | None = None) -> list[Mark]:
    return [mark(n, exact=e, right=r) for n, (e, r) in enumerate(zip(exact, right or exact, strict=True))]


def test_better_and_no_worse_passes() -> None:
    verdict = judge(marks([False] * 10), marks([True] * 5 + [False] * 5))
    assert verdict.passed
    assert verdict.reasons == []
    assert (verdict.gained, verdict.lost, verdict.p_value) == (5, 0, 0.03125)


@pytest.mark.parametrize(("needless", "passes"), [(4, True), (5, False)])
def test_one_that_calls_where_no_tool_is_needed_does_not_pass(needless: int, passes: bool) -> None:
    """However many calls it makes that are right: its base keeps from tools, since it knows of none."""
    base = [mark(n) for n in range(40)] + [mark(100 + n, exact=True, needed=False) for n in range(12)]
    adapter = [mark(n, exact=True, called=True) for n in range(40)]
    adapter += [mark(100 + n, exact=n >= needless, called=n < needless, needed=False) for n in range(12)]
    verdict = judge(base, adapter)
    assert verdict.passed is passes
    if not passes:
        assert verdict.reasons == ["calls a tool in 5 questions that need none and where the base called none"]


def test_better_by_chance_does_not_pass() -> None:
    verdict = judge(marks([False] * 10), marks([True] * 4 + [False] * 6))
    assert not verdict.passed
    assert len(verdict.reasons) == 1
    assert "p = 0.0625" in verdict.reasons[0]


def test_the_same_does_not_pass() -> None:
    both = marks([True, False] * 5)
    assert not judge(both, both).passed


def test_fewer_right_answers_do_not_pass() -> None:
    verdict = judge(marks([False] * 20, [True] + [False] * 19), marks([True] * 20, [False] * 20))
    assert not verdict.passed
    assert verdict.reasons == ["fewer right answers than the base (0 < 1)"]


def test_worse_in_both_says_both() -> None:
    reasons = judge(marks([True] * 9), marks([False] * 9)).reasons
    assert ["not significantly" in reasons[0], "fewer right answers" in reasons[1]] == [True, True]


def test_order_does_not_matter() -> None:
    base, adapter = marks([False] * 8), marks([True] * 8)
    assert judge(base, adapter[::-1]).gained == 8


@pytest.mark.parametrize("change", ["fewer", "others", "none"])
def test_other_questions_are_refused(change: str) -> None:
    base = marks([False] * 4)
    adapter = {"fewer": base[:3], "others": [*base[:3], mark(9)], "none": []}[change]
    with pytest.raises(ValueError, match="same questions"):
        judge(base, adapter)


def test_a_question_counted_twice_is_refused() -> None:
    once, twice = marks([False] * 4), marks([True] * 4) * 2
    for base, adapter in ((once, twice), (twice, once), (twice, twice)):
        with pytest.raises(ValueError, match="same questions"):
            judge(base, adapter)


def test_no_questions_at_all() -> None:
    with pytest.raises(ValueError, match="without questions"):
        judge([], [])
    with pytest.raises(ValueError, match="without questions"):
        score([])


def test_the_score_counts_each_thing_where_it_belongs() -> None:
    made = score(
        [
            mark(1, called=True, exact=True, right=True),
            mark(2, called=True),
            mark(3),
            mark(4, needed=False, exact=True, right=True),
            mark(50, needed=False, called=True),
        ]
    )
    assert made.items == 5
    assert (made.autonomous_tool_use.hits, made.autonomous_tool_use.of) == (2, 3)
    assert (made.needless_calls.hits, made.needless_calls.of) == (1, 2)
    assert (made.exact_calls.hits, made.exact_calls.of) == (2, 5)
    assert made.right_answers.share == pytest.approx(0.4)
    assert made.median_seconds == 2.0  # of those asked alone, 1 and 3


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_an_adapter_that_loses_as_much_as_it_gains_never_passes(pairs: list[tuple[bool, bool]]) -> None:
    assume(sum(after for _, after in pairs) <= sum(before for before, _ in pairs))
    assert not judge(marks([before for before, _ in pairs]), marks([after for _, after in pairs])).passed
