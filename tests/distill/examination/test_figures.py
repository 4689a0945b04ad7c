"""What is measured of an arm, the plan's rows with their states, and what a promotion may not turn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.examination.figures import by_category, figures, succeeded
from distill.examination.marking import Mark
from distill.examination.rows import Standing, four_rows, standing, turned
from distill.gate import judge
from tests.distill.examination.marks import mark, marks

GB = 1_000_000_000


def states(made: list[Mark], memory: int | None = None) -> dict[str, str]:
    return {row.key: row.cells["arm"].state for row in four_rows({"arm": standing(made, memory)})}


def test_each_thing_is_counted_where_it_belongs() -> None:
    made = figures(
        [
            mark(1, repository="a", calls=2, shortest=2),
            mark(2, repository="a", right=False, exact=True),
            mark(3, repository="b", called=False, right=True, exact=False, calls=0),
            mark(4, repository="b", needed=False, called=False, calls=0, shortest=0),
            mark(5, repository="b", needed=False, called=True, calls=3, shortest=0, repeats=1, exact=False),
        ]
    )
    assert (made.items, made.failed) == (5, 0)
    assert (made.tool.hits, made.tool.of) == (2, 3)
    assert (made.no_tool.hits, made.no_tool.of) == (1, 2)
    assert made.balanced.value == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert (made.right_answers.hits, made.right_calls.hits, made.exact_calls.hits) == (4, 3, 3)
    assert made.success.hits == 2  # questions 1 and 4: 3 was guessed, 5 called needlessly
    assert (made.calls, made.shortest) == (pytest.approx(6 / 5), pytest.approx(4 / 5))
    assert (made.repeats.hits, made.repeats.of) == (1, 6)
    assert made.success.clustered is not None


def test_equivalent_calls_are_right_ones() -> None:
    import msgspec

    other = msgspec.structs.replace(mark(1, exact=False), equivalent=True)
    made = figures([other])
    assert (made.exact_calls.hits, made.right_calls.hits) == (0, 1)


def test_a_failed_request_is_wrong_and_slower_than_any() -> None:
    failed = mark(0, end="error", right=False, called=False, needed=False, seconds=0.01, calls=0)
    made = figures([failed, *marks(9, 9, seconds=2.0)[:9]])
    assert made.failed == 1
    assert made.no_tool.hits == 0  # it did not refrain: nobody was there
    assert made.p50.value == 2.0
    assert made.p95.value is None
    assert states([failed, *marks(9, 9, seconds=2.0)])["seconds"] == "not met"


def test_a_repeat_that_was_stopped_is_no_more_than_all_calls() -> None:
    made = figures([mark(1, calls=0, repeats=1, end="repeated", right=False)])
    assert (made.repeats.hits, made.repeats.of) == (1, 1)


def test_nothing_has_no_figures() -> None:
    with pytest.raises(ValueError, match="without questions"):
        figures([])
    assert by_category([]) == {}


def test_categories_apart() -> None:
    found = by_category([mark(1), mark(2, category="edge", right=False)])
    assert (found["search"].success.hits, found["edge"].success.hits) == (1, 0)
    assert found["edge"].no_tool.share is None
    assert found["edge"].balanced.value is None


@given(st.lists(st.tuples(*[st.booleans()] * 3), min_size=1, max_size=40))
def test_success_is_never_more_than_right_answers(flags: list[tuple[bool, bool, bool]]) -> None:
    made = [mark(n, right=r, called=c, needed=d) for n, (r, c, d) in enumerate(flags)]
    found = figures(made)
    assert found.success.hits == sum(map(succeeded, made)) <= found.right_answers.hits
    assert found.tool.of + found.no_tool.of == found.items


@pytest.mark.parametrize(
    ("right", "of", "state"),
    [(60, 60, "met"), (57, 60, "not shown"), (54, 60, "not shown"), (40, 60, "not met"), (3, 3, "not shown")],
)
def test_a_share_is_met_missed_or_not_shown_by_its_bounds(right: int, of: int, state: str) -> None:
    assert states(marks(right, of))["right_answers"] == state


def test_seconds_need_median_and_95th_percentile() -> None:
    assert states(marks(59, 59, seconds=3.0))["seconds"] == "met"
    assert states(marks(58, 58, seconds=3.0))["seconds"] == "not shown"  # no bound for the 95th percentile
    slow = [*marks(90, 90, seconds=3.0), *marks(10, 10, seconds=30.0)]
    assert states(slow)["seconds"] == "not met"
    assert states(marks(59, 59, seconds=20.0))["seconds"] == "not met"


def test_memory_is_met_missed_or_not_known() -> None:
    sizes = {7_999_999_999: "met", 8 * GB: "not met", None: "not known"}
    assert {size: states(marks(1, 1), size)["memory"] for size in sizes} == sizes


def test_an_arm_that_was_asked_nothing_that_needs_a_tool() -> None:
    assert states(marks(5, 5, needed=False, called=False))["tool"] == "not known"


def test_the_rows_are_the_plans_four() -> None:
    rows = four_rows({"arm": standing(marks(1, 1), None)})
    assert [(row.key, row.target, row.above) for row in rows] == [
        ("tool", 0.8, True),
        ("right_answers", 0.9, True),
        ("seconds", 20.0, False),
        ("memory", 8.0, False),
    ]
    assert all(not row.cells for row in four_rows({}))


def stand(right: int, seconds: float = 1.0, memory: int | None = None, called: int = 100) -> Standing:
    made = [mark(n, right=n < right, called=n < called, seconds=seconds) for n in range(100)]
    return standing(made, memory)


def test_nothing_turns_where_nothing_gets_worse() -> None:
    assert turned(stand(95), stand(95)) == []
    assert turned(stand(50), stand(10)) == []  # it was missed before
    assert turned(stand(50), stand(99)) == []


@pytest.mark.parametrize(
    ("after", "word"),
    [
        (stand(90, memory=GB), "accuracy of final answers would miss its target of > 90 %: 95 % before, 90 % now"),
        (
            stand(95, called=80, memory=GB),
            "autonomous tool use would miss its target of > 80 %: 100 % before, 80 % now",
        ),
        (stand(95, memory=9 * GB), "peak memory would miss its target of < 8 GB: 1 GB before, 9 GB now"),
    ],
)
def test_each_row_can_turn(after: Standing, word: str) -> None:
    assert turned(stand(95, memory=GB), after) == [word]


def test_seconds_turn_at_the_median_and_at_the_95th_percentile() -> None:
    slow = [*marks(90, 90, seconds=3.0), *[mark(90 + n, seconds=30.0) for n in range(10)]]
    assert turned(stand(95), standing(slow, None)) == [
        "seconds per question (p95) would miss its target of < 20 s: 1 s before, 30 s now"
    ]
    assert len(turned(stand(95), stand(95, seconds=21.0))) == 2
    failed = [*marks(95, 95), *[mark(95 + n, end="error", right=True) for n in range(6)]]
    assert "beyond all that was measured" in turned(stand(95), standing(failed, None))[0]


def test_memory_that_nobody_tells_turns_nothing() -> None:
    assert turned(stand(95, memory=GB), stand(95)) == []
    assert turned(stand(95), stand(95, memory=9 * GB)) == []


def test_a_promotion_turns_no_row_from_met_to_missed() -> None:
    base = [mark(n, exact=False, seconds=2.0) for n in range(20)]
    better = [mark(n, exact=True, seconds=2.0) for n in range(20)]
    assert judge(base, better, memory=(GB, 2 * GB)).passed
    heavy = judge(base, better, memory=(GB, 9 * GB))
    assert not heavy.passed
    assert heavy.reasons == ["peak memory would miss its target of < 8 GB: 1 GB before, 9 GB now"]
    slow = judge(base, [mark(n, exact=True, seconds=40.0) for n in range(20)])
    assert [reason.partition(" would")[0] for reason in slow.reasons] == [
        "seconds per question (p50)",
        "seconds per question (p95)",
    ]


def test_what_was_asked_among_others_says_nothing_of_seconds() -> None:
    crowded = [mark(n, seconds=90.0, alone=False) for n in range(90)]
    quick = [mark(100 + n, seconds=2.0) for n in range(60)]
    assert states(crowded)["seconds"] == "not known"
    assert states([*crowded, *quick])["seconds"] == "met"
    assert turned(standing(quick, None), standing(crowded, None)) == []
    assert turned(standing(quick, None), standing([*crowded, *quick], None)) == []
