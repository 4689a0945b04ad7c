"""Endurance: what a run does when the endpoint does not answer. Owns when to wait, when to go on and when to stop.

The clock is handed in. Knows nothing of questions or of HTTP beyond the codes of faults.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from distill.agent import NONSENSE, TIMEOUT, UNREACHABLE, Fault
from distill.errors import DistillError

# Somebody else's requests, or a night, come first: that is waited for as long as it takes.
_BUSY = frozenset({"overloaded", "rate_limit_exceeded", "memory_leased", "no_room", "shutting_down"})
_SPENT = "spend_limit_reached"
_USELESS = frozenset({401, 403, 404})  # the key or the address is wrong: the next question would fare no better
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 15.0  # seconds between attempts, where the endpoint names none
_BUSY_PAUSE, _LONGEST_WISH = 5.0, 900.0  # and while it is busy; more than the latter is not slept at a time
_ATTEMPTS, _LONG_ATTEMPTS = 4, 10  # of a question; the latter where it has no part in what fails
_AWAY = "away"

Step = Literal["hold", "wait", "drop", "leave"]


class Spent(DistillError):
    """The teacher's spending limit for today is reached."""


class EndpointDown(DistillError):
    """The endpoint does not answer."""


class Endurance:
    """The state of one endpoint. It is given up after `failures` in a row, when the first was `patience` seconds ago;
    `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float], failures: int = 20, patience: float = 60.0) -> None:
        self._clock = clock
        self._failures = failures
        self._patience = patience
        self._row = 0
        self._since = 0.0
        self._last = ""
        self.answers = 0

    def answered(self) -> None:
        self.answers += 1
        self._row = 0

    def step(self, fault: Fault, error: str, attempt: int, answers: int) -> tuple[Step, float, str]:
        """What to do after a question's `attempt` (from 1) failed, with the seconds to wait and the reason; `answers`
        is how many there were when it was asked first. To "hold" is to wait for who is busy, and counts as no attempt.
        A question that fails while others are answered is dropped, and so is one to which nothing sensible comes while
        little else fails; one that fails with all others, or as nobody is there, is left for another run.

        Raises Spent, or EndpointDown when there is no use in going on.
        """
        if fault.code == _SPENT:
            raise Spent
        if fault.status in _USELESS:
            raise EndpointDown(f"no question can be asked: {error}")
        if fault.code in _BUSY or (fault.status == 429):
            return "hold", _pause(fault, _BUSY_PAUSE), fault.code or "busy"
        if 400 <= fault.status < 500 and fault.status != 408:
            return "drop", 0.0, "refused_request"
        self._failed(error)
        reason = _reason(fault)
        if attempt < (_LONG_ATTEMPTS if reason == _AWAY else _ATTEMPTS):
            return "wait", _pause(fault, min(_FIRST_PAUSE * 2.0 ** (attempt - 1), _LONGEST_PAUSE)), reason
        few = reason in ("timeout", "nonsense") and self._row < self._failures
        blamed = reason != _AWAY and (few or self.answers > answers)
        return ("drop" if blamed else "leave"), 0.0, reason

    def end(self) -> None:
        """The run is over. Raises EndpointDown where nothing was answered in it."""
        if self._row >= self._failures and not self.answers:
            raise self._down()

    def _failed(self, error: str) -> None:
        now = self._clock()
        self._since = now if self._row == 0 else self._since
        self._row, self._last = self._row + 1, error
        if self._row >= self._failures and now - self._since >= self._patience:
            raise self._down()

    def _down(self) -> EndpointDown:
        return EndpointDown(f"{self._row} requests failed one after the other; the last: {self._last}")


def _pause(fault: Fault, otherwise: float) -> float:
    """Seconds: what the endpoint wishes, within reason."""
    return otherwise if fault.retry_after is None else min(max(fault.retry_after, 0.1), _LONGEST_WISH)


def _reason(fault: Fault) -> str:
    if fault.code in (UNREACHABLE, "backend_unreachable", "backend_resting"):
        return _AWAY
    if fault.code in (TIMEOUT, "backend_timeout") or fault.status == 504:
        return "timeout"
    return "nonsense" if fault.code in (NONSENSE, "backend_broken") else "endpoint_failed"
