"""What is kept of a night's time for what comes after training."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from distill.examination.drawn import DrawnExamination
from distill.night.diary import Done, Record
from distill.night.settings import NightSettings
from distill.night.training import reserved


def settings(deadline: float | None) -> NightSettings:
    here, nobody = Path(), DrawnExamination("none", 1, [], 0, 0)
    return NightSettings(here, here, here, here, here, nobody, {}, 0, deadline=deadline)


def last(questions: str) -> Record:
    record = Record("n", 1.0, 1, "i", questions=questions)
    record.stages = {"examine": Done(1.0, 600.0), "certify": Done(1.0, 100.0), "propose": Done(1.0, 0.0)}
    return record


def test_what_came_after_training_last_time_is_kept_for_it() -> None:
    there = settings(time.time() + 8 * 3600)
    assert reserved([last("q1")], there, "q1") == pytest.approx(1.25 * 700)
    assert reserved([last("q1")], settings(None), "q1") == 0.0


def test_more_is_kept_where_everybody_has_to_be_asked_anew() -> None:
    assert reserved([last("q1")], settings(time.time() + 8 * 3600), "q2") == pytest.approx(1.25 * (5 * 600 + 100))


def test_a_quarter_is_kept_where_no_night_says_how_long_it_takes() -> None:
    begun = Record("n", 1.0, 1, "i")
    assert reserved([begun], settings(time.time() + 4000.0), "q1") == pytest.approx(1000.0, rel=0.01)
