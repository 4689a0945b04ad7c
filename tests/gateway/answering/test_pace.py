"""What drafts and teachers take, and from which chance on a draft pays."""

from __future__ import annotations

import pytest

from gateway.answering.calls import Call
from gateway.answering.pace import Average, Pace
from gateway.answering.turn import Ask, Turn
from gateway.backends.client import Address
from router.chat import ChatRequest, Message
from router.decision import Decision

ASK = Ask(ChatRequest("nightschool", [Message("user", "Hi")]), {}, 2, "c")


def turn(draft: float, teacher: float, error: str = "") -> Turn:
    """A turn whose draft took so long, and whose teacher so long after it; 0: was not asked."""
    made = Turn(ASK)
    for seconds, is_draft in ((draft, True), (teacher, False)):
        if seconds:
            call = Call(
                "student" if is_draft else "teacher",
                "m",
                Address("http://127.0.0.1:9/v1"),
                local=False,
                is_draft=is_draft,
            )
            call.since, call.first, call.until, call.error = 100.0, 100.1, 100.0 + seconds, error
            made.calls.append(call)
    made.decision = Decision(arm="teacher" if teacher else "student", reason="verified")
    made.state = "completed"
    return made


def test_an_average_is_believed_after_ten_and_follows_what_is_new() -> None:
    average = Average()
    for _ in range(9):
        average.add(1.0)
    assert average.value is None
    average.add(1.0)
    assert average.value == pytest.approx(1.0)
    for _ in range(40):
        average.add(3.0)
    assert average.value == pytest.approx(3.0, abs=0.05)


def test_a_draft_pays_above_the_share_that_it_takes() -> None:
    pace = Pace()
    assert pace.worth == 0.0
    for _ in range(12):
        pace.ended(turn(8.0, 93.0))
    assert pace.worth == pytest.approx(8 / 93)


def test_calls_that_failed_measure_nothing() -> None:
    pace = Pace()
    for _ in range(12):
        pace.ended(turn(8.0, 93.0, "BackendBroken"))
    assert pace.worth == 0.0


def test_a_teacher_that_is_faster_leaves_no_draft_worth_making() -> None:
    pace = Pace()
    for _ in range(12):
        pace.ended(turn(2.0, 0.5))
    assert pace.worth > 1
