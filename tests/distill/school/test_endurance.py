"""When a run waits, goes on without a question, or stops."""

from __future__ import annotations

import pytest

from distill.agent import NONSENSE, TIMEOUT, UNREACHABLE, Fault
from distill.school.endurance import EndpointDown, Endurance, Spent


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize(
    "fault",
    [Fault(429, "rate_limit_exceeded", 30.0), Fault(503, "memory_leased", 30.0), Fault(503, "overloaded", 30.0)],
)
def test_who_asks_for_patience_gets_it(clock: Clock, fault: Fault) -> None:
    endurance = Endurance(clock)
    for _ in range(1000):
        clock.now += 30
        assert endurance.step(fault, "", 1, 0)[:2] == ("hold", 30.0)
    endurance.end()


@pytest.mark.parametrize(("wish", "pause"), [(None, 5.0), (0.0, 0.1), (1e9, 900.0), (float("inf"), 900.0)])
def test_no_wish_is_obeyed_beyond_reason(clock: Clock, wish: float | None, pause: float) -> None:
    assert Endurance(clock).step(Fault(429, "", wish), "", 1, 0) == ("hold", pause, "busy")


def test_a_question_is_blamed_only_where_others_are_answered(clock: Clock) -> None:
    endurance = Endurance(clock)
    for fault, reason in (
        (Fault(0, TIMEOUT), "timeout"),
        (Fault(503, "backend_timeout", 2.0), "timeout"),
        (Fault(502, "backend_broken", 2.0), "nonsense"),
        (Fault(200, NONSENSE), "nonsense"),
        (Fault(502, "backend_refused"), "endpoint_failed"),
    ):
        before = endurance.answers
        few = endurance.step(fault, "", 4, before)[0]
        assert few == ("leave" if reason == "endpoint_failed" else "drop")
        for _ in range(20):
            endurance.step(fault, "", 1, before)
        assert endurance.step(fault, "", 3, before)[0] == "wait"
        assert endurance.step(fault, "", 4, before) == ("leave", 0.0, reason)
        endurance.answered()
        assert endurance.step(fault, "", 4, before) == ("drop", 0.0, reason)
    assert endurance.step(Fault(400, "context_length_exceeded"), "", 1, 0) == ("drop", 0.0, "refused_request")


def test_no_question_is_blamed_where_nobody_is_there(clock: Clock) -> None:
    endurance = Endurance(clock)
    pauses = []
    for attempt in range(1, 10):
        step, pause, reason = endurance.step(Fault(0, UNREACHABLE), "", attempt, 0)
        endurance.answered()
        assert (step, reason) == ("wait", "away")
        pauses.append(pause)
    assert pauses == [1, 2, 4, 8, 15, 15, 15, 15, 15]
    assert endurance.step(Fault(0, UNREACHABLE), "", 10, 0)[0] == "leave"


def test_twenty_failures_in_a_row_for_a_minute_are_enough(clock: Clock) -> None:
    endurance = Endurance(clock)
    for _ in range(100):  # all at once, as when a gateway starts anew
        endurance.step(Fault(0, UNREACHABLE), "refused", 1, 0)
    endurance.answered()
    for _ in range(19):
        clock.now += 60
        endurance.step(Fault(502, "backend_broken"), "broken", 1, 0)
    with pytest.raises(EndpointDown, match=r"20 requests .* broken"):
        endurance.step(Fault(502, "backend_broken"), "broken", 1, 0)
    endurance.end()  # something was answered


def test_a_run_in_which_nothing_was_answered_ends_with_an_error(clock: Clock) -> None:
    endurance = Endurance(clock)
    for _ in range(20):
        endurance.step(Fault(502, "backend_refused"), "bad key", 1, 0)
    with pytest.raises(EndpointDown, match="bad key"):
        endurance.end()


def test_what_no_waiting_helps(clock: Clock) -> None:
    with pytest.raises(Spent):
        Endurance(clock).step(Fault(429, "spend_limit_reached", 40_000.0), "", 1, 0)
    for status in (401, 403, 404):
        with pytest.raises(EndpointDown, match="bad key"):
            Endurance(clock).step(Fault(status, ""), "bad key", 1, 0)
