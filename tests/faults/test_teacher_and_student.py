"""The fault table: {fault} × {arm that breaks} × {stream, not} × {wire}. The client gets an answer or a clear error, in
time, and what docs/faults.md says of it."""

from __future__ import annotations

import time

import pytest

from gateway.backends.scripted import Act
from tests.faults.table import ANSWER, FAULTS, TEXT, Stage, cell, told

CASES = [
    pytest.param(fault, stream, id=f"{fault}-{'stream' if stream else 'whole'}")
    for fault, acts in FAULTS.items()
    for stream in (False, True)
    if stream or acts.whole is not None
]
LONGEST = 6.0  # seconds: two attempts, each with its limits


@pytest.mark.parametrize(("fault", "stream"), CASES)
def test_a_broken_student_is_not_noticed(stage: Stage, fault: str, stream: bool) -> None:
    stage.student.play(FAULTS[fault].drafting)
    stage.teacher.play(Act(text="teacher"))
    start = time.monotonic()
    for seen, headers in stage.ask(stream).values():
        assert (seen.status, seen.text, seen.ends, seen.error) == (200, "teacher", 1, "")
        assert (headers["x-nightschool-served-by"], headers["x-nightschool-reason"]) == ("teacher", "student_failed")
    assert time.monotonic() - start < LONGEST
    assert told(stream)[fault]["student"] == ANSWER


@pytest.mark.parametrize(("fault", "stream"), CASES)
def test_a_broken_teacher_is_a_clear_error(stage: Stage, fault: str, stream: bool) -> None:
    stage.teacher.play(FAULTS[fault].act(stream))
    start = time.monotonic()
    answers = stage.ask(stream, "teacher")
    assert time.monotonic() - start < LONGEST
    for wire, (seen, headers) in answers.items():
        assert seen.error, wire
        assert (seen.ends, seen.after) == (0, 0), wire
        assert seen.text in ("", TEXT), wire  # once, or not at all
        assert stage.gateway.trace(headers)["state"] == "failed"
        if seen.status == 200:
            assert stream
        else:
            assert seen.status in (429, 502, 503)
            assert int(headers["retry-after"]) >= 1
        assert told(stream)[fault][wire] == cell(seen)


def test_the_page_names_every_fault_and_no_other() -> None:
    assert list(told(True)) == list(FAULTS)
    assert list(told(False)) == [name for name, acts in FAULTS.items() if acts.whole is not None]
