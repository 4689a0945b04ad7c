"""Who gets which arm: the same at every turn, evenly, and only ever out of the control while weights grow."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as some

from router.experiment import (
    Experiment,
    InvalidExperiment,
    Variant,
    arm_of,
    chances,
    checked,
    takes_part,
    weighted,
)
from router.lot import lot
from router.policy import Rules

STUDENT, TEACHER = Variant("teacher", 1.0, answers="teacher"), Variant("student", 1.0, answers="student")
EXPERIMENT = Experiment("who", (STUDENT, TEACHER))


@given(some.text(), some.text(), some.text())
def test_a_lot_is_the_same_for_the_same_names_whatever_they_are(salt: str, what: str, conversation: str) -> None:
    found = lot(salt, what, conversation)
    assert 0 <= found < 1
    assert found == lot(salt, what, conversation)


def test_arms_get_their_share() -> None:
    experiment = weighted(EXPERIMENT, [3.0, 1.0])
    found = Counter(arm_of(experiment, f"conversation {number}").name for number in range(8000))
    assert found["student"] / 8000 == pytest.approx(0.25, abs=0.02)
    assert chances(experiment) == {"teacher": 0.75, "student": 0.25}


def test_while_weights_grow_conversations_leave_the_control_only() -> None:
    names = [f"conversation {number}" for number in range(4000)]
    before: set[str] = set()
    for share in (0.01, 0.05, 0.1, 0.25, 0.5, 1.0):
        experiment = weighted(EXPERIMENT, [1 - share, share])
        now = {name for name in names if arm_of(experiment, name).name == "student"}
        assert before <= now
        before = now
    assert before == {*names}


def test_experiments_divide_conversations_independently() -> None:
    other = Experiment("other", EXPERIMENT.arms)
    both = Counter((arm_of(EXPERIMENT, f"{number}").name, arm_of(other, f"{number}").name) for number in range(8000))
    assert all(count / 8000 == pytest.approx(0.25, abs=0.025) for count in both.values())
    assert len(both) == 4


def test_a_share_of_the_conversations_takes_part() -> None:
    experiment = Experiment("some", EXPERIMENT.arms, share=0.2)
    found = sum(takes_part(experiment, f"{number}") for number in range(8000))
    assert found / 8000 == pytest.approx(0.2, abs=0.02)


def test_an_arm_changes_what_it_names() -> None:
    rules = Rules(confidence=0.6, holdout=0.1)
    changed = Variant("a", 1.0, answers="student", confidence=0.9).over(rules)
    assert (changed.answers, changed.confidence, changed.holdout) == ("student", 0.9, 0.1)
    assert Variant("a", 1.0, adapter="night-2").over(rules) == rules


@pytest.mark.parametrize(
    ("experiment", "reason"),
    [
        (Experiment("x", (STUDENT,)), "two arms"),
        (Experiment("", EXPERIMENT.arms), "needs a name"),
        (Experiment("a/b", EXPERIMENT.arms), "no slash"),
        (Experiment("x" * 101, EXPERIMENT.arms), "100 characters"),
        (Experiment("x", EXPERIMENT.arms, expected=0), "to decide at"),
        (Experiment("x", (Variant("a", float("inf")), Variant("b", answers="student"))), "not negative"),
        (Experiment("x", (Variant("a"), Variant("b", confidence=1.5))), "between 0 and 1"),
        (Experiment("x", (Variant("a"), Variant("b", confidence=0.5), Variant("c", confidence=0.5))), "the same"),
        (Experiment("x", (Variant("a", adapter="n"), Variant("b", answers="student"))), "not both at once"),
        (Experiment("x", (STUDENT, Variant("teacher", 1.0, answers="student"))), "name of its own"),
        (Experiment("x", (STUDENT, Variant("", 1.0))), "name of its own"),
        (Experiment("x", (STUDENT, Variant("b", -1.0))), "negative"),
        (Experiment("x", (Variant("a", 0.0), Variant("b", 0.0, answers="student"))), "above 0"),
        (Experiment("x", (Variant("a", float("nan")), Variant("b", 1.0, answers="student"))), "above 0"),
        (Experiment("x", EXPERIMENT.arms, share=0.0), "share"),
        (Experiment("x", (Variant("a", 1.0), Variant("b", 1.0))), "the same"),
    ],
)
def test_an_experiment_that_cannot_be_run_is_refused(experiment: Experiment, reason: str) -> None:
    with pytest.raises(InvalidExperiment, match=reason):
        checked(experiment)
