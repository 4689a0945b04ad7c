"""In which vocabulary a question is asked: evenly, steadily, and only where it can be."""

from collections import Counter

import pytest

from distill.generate.question import Oracle, Question
from distill.generate.templates import Call
from distill.vocabularies.choosing import can_ask, identity, with_vocabularies
from tests.distill.vocabularies.asking import VOCABULARIES

SEARCH = Call("run_command", {"command": "grep", "args": ["-rnw", "class A", "."]})
COUNT = Call("run_command", {"command": "wc", "args": ["-l", "a.py"]})


def question(
    number: int, plan: list[Call], category: str = "search", withheld: tuple[str, ...] = (), pair: str = ""
) -> Question:
    text = f"{category} {number}?"
    return Question(
        identity("r", text, "explore"),
        "r",
        category,
        "t",
        text,
        plan,
        Oracle("number", ("1",)),
        "explore",
        withheld,
        pair,
    )


MANY = [
    *(question(number, [SEARCH]) for number in range(160)),
    *(question(number, [COUNT], "analysis") for number in range(80)),
    *(question(number, [], "negative") for number in range(40)),
]


def test_half_of_each_category_stays_and_the_rest_is_spread_evenly() -> None:
    made = with_vocabularies(MANY, VOCABULARIES, seed=1)
    assert [one.text for one in made] == [one.text for one in MANY]
    for category in ("search", "analysis", "negative"):
        names = Counter(one.vocabulary for one in made if one.category == category)
        assert abs(names["explore"] / names.total() - 0.5) < 0.02
    others = Counter(one.vocabulary for one in made if one.vocabulary != "explore")
    assert set(others) == {*VOCABULARIES} - {"explore"}
    assert max(others.values()) - min(others.values()) <= 4
    assert all(can_ask(VOCABULARIES[one.vocabulary], one) for one in made)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_is_a_choice(share: float) -> None:
    made = with_vocabularies(MANY, VOCABULARIES, seed=1, explore=share)
    assert abs(sum(one.vocabulary == "explore" for one in made) / len(made) - share) < 0.02


def test_the_same_seed_gives_the_same_choice_and_another_one_another() -> None:
    assert with_vocabularies(MANY, VOCABULARIES, seed=1) == with_vocabularies(MANY, VOCABULARIES, seed=1)
    assert with_vocabularies(MANY, VOCABULARIES, seed=1) != with_vocabularies(MANY, VOCABULARIES, seed=2)


def test_ids_stay_unique_and_name_the_vocabulary() -> None:
    made = with_vocabularies(MANY, VOCABULARIES, seed=1)
    assert len({one.id for one in made}) == len(made)
    for before, after in zip(MANY, made, strict=True):
        assert after.id == identity("r", after.text, after.vocabulary)
        assert (after.id == before.id) == (after.vocabulary == "explore")


def test_pairs_stay_together() -> None:
    positives = [question(number, [COUNT if number % 2 else SEARCH], "search") for number in range(40)]
    negatives = [question(number, [], "negative", pair=one.id) for number, one in enumerate(positives)]
    made = with_vocabularies([*positives, *negatives], VOCABULARIES, seed=1, explore=0.2)
    by_id = {one.id: one for one in made}
    for one in made[40:]:
        assert by_id[one.pair].vocabulary == one.vocabulary
    assert {one.vocabulary for one in made[1:40:2]} <= {"explore", "bash", "codex", "cline", "gemini"}


def test_a_pair_that_is_not_there_is_left_alone() -> None:
    (made,) = with_vocabularies([question(1, [], pair="elsewhere")], VOCABULARIES, seed=1, explore=0.0)
    assert made.pair == "elsewhere"


def test_what_is_withheld_is_asked_where_it_can_be() -> None:
    asked = [question(number, [], withheld=("run_command",)) for number in range(40)]
    made = with_vocabularies(asked, VOCABULARIES, seed=1, explore=0.0)
    assert {one.vocabulary for one in made} == {"claude", "copilot", "opencode"}
