"""Seconds are those of somebody who asks alone: the timed questions come first and one after the other."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from openai import AsyncOpenAI

from distill.examination.drawn import DrawnExamination, set_drawn
from distill.examination.figures import figures
from distill.examination.items import Item
from distill.examination.sitting import Pace, examine, pace
from gateway.backends.scripted import Act
from tests.gateway.exam.pupil import Pupil
from tests.gateway.running import ROOT, Script


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    drawn = DrawnExamination("small", 1, ["iniconfig"], questions=12, seed=3)
    return asyncio.run(set_drawn(drawn, ROOT / "data" / "questions", tmp_path_factory.mktemp("work")))


class Crowd(Pupil):
    """Answers after a moment, and knows in which order it was asked."""

    order: list[str]

    def __call__(self, body: dict[str, Any]) -> Act:
        said = super().__call__(body)
        self.order.append(next(message["content"] for message in body["messages"] if message["role"] == "user"))
        return Act(text=said.text, calls=said.calls, delay=0.03)


@pytest.mark.parametrize(("at_once", "timed", "alone"), [(4, 3, 3), (4, 0, 0), (4, 99, 12), (1, 0, 12)])
async def test_the_timed_are_asked_alone(items: list[Item], at_once: int, timed: int, alone: int) -> None:
    chosen = pace(items, at_once, timed)
    assert len(chosen.alone) == alone
    pupil = Crowd([item.question for item in items], {})
    pupil.order = []
    with Script(pupil) as script:
        async with AsyncOpenAI(base_url=script.url, api_key="none", max_retries=0) as client:
            sat = await examine(client, "m", items, pace=chosen, max_tokens=99)
    marks = [mark for mark, _ in sat]
    assert [mark.question for mark in marks] == [item.question.id for item in items]
    assert {mark.question for mark in marks if mark.alone} == chosen.alone
    texts = [item.question.text for item in items if item.question.id in chosen.alone]
    first = [text for text in pupil.order if text in texts]
    assert pupil.order[: len(first)] == first
    assert sorted(first, key=texts.index) == first  # none began before the one before it was done
    found = figures(marks)
    assert found.timed == alone
    assert (found.p50.value is not None) == bool(alone)


def test_the_timed_are_spread_over_all(items: list[Item]) -> None:
    assert pace(items, 4, 3).alone == {items[0].question.id, items[4].question.id, items[8].question.id}
    assert pace([], 1, 5) == Pace(1)
