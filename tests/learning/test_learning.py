"""The learning curve's own parts: what is spoilt, what the filters leave of it, and what counts as exact."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import msgspec
import numpy as np
import pytest

from distill.dataset import read_examples
from distill.examination.drawn import read_drawn
from distill.train.recipe import recipe_of
from tests.learning import lessons
from tests.learning.arms import ARMS
from tests.learning.played import SPOILT, Played, played, spoil
from tests.learning.unseen import Seen, counted

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("repositories")


@pytest.fixture(scope="module")
def these(work: Path) -> list[Played]:
    demo = read_drawn(ROOT / "data" / "examinations" / "demo.toml")
    lesson = msgspec.structs.replace(demo, repositories=["tenacity", "click"], questions=80)
    return asyncio.run(played(lesson, ROOT / "data" / "questions", work))


def test_half_of_the_conversations_are_spoilt_in_every_way(these: list[Played]) -> None:
    spoilt = spoil(these, 0.5, random.Random(1))
    ways = [one.spoilt for one in spoilt]
    assert len(ways) - ways.count("") == len(these) // 2
    assert {*ways} == {"", *SPOILT}
    for before, after in zip(these, spoilt, strict=True):
        assert (before.messages == after.messages) == (not after.spoilt)
        assert before.messages[:2] == after.messages[:2]
        assert after.messages[-1].text


def test_the_filters_leave_the_good_ones(these: list[Played], work: Path, tmp_path: Path) -> None:
    spoilt = spoil(these, 0.5, random.Random(1))
    told = asyncio.run(lessons.write_sifted(spoilt, work, tmp_path / "train.jsonl"))
    left = read_examples(tmp_path / "train.jsonl")
    assert told["good lost"] == 0
    assert told["of them spoilt"] <= 2
    assert told["left"] == len(left) == len(these) // 2 + told["of them spoilt"]


def test_what_is_exact() -> None:
    """Two conversations with a call (which begins with 7) and an answer, and one that needs none."""
    call, answer = np.array([7, 1, 2]), np.array([5, 6])
    calls = [[True, False], [True, False], [False]]
    due = [[call, answer], [call, answer], [answer]]
    wrong, needless = np.array([7, 1, 3]), np.array([7, 6])
    other, told = np.array([5, 9]), np.array([5, 6, 2])
    assert counted(calls, due, due) == Seen(3, 3, 3, 3)
    assert counted(calls, due, [[wrong, answer], [call, answer], [answer]]) == Seen(3, 2, 2, 3)
    assert counted(calls, due, [[call, other], [call, answer], [answer]]) == Seen(3, 3, 2, 3)
    assert counted(calls, due, [[call, needless], [told, answer], [needless]]) == Seen(3, 0, 0, 1)


def test_every_arm_has_a_recipe_and_a_teacher_that_is_an_arm() -> None:
    for arm in ARMS.values():
        recipe = recipe_of(arm.recipe, arm.preset)
        assert bool(arm.teacher) == bool(recipe.soft)
        assert not arm.teacher or arm.teacher in ARMS
