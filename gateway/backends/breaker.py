"""When a backend is left alone for a while: a circuit breaker, and a budget for trying again.

Owns the arithmetic on a clock that it is given. Knows nothing of HTTP or of what an error was.
"""

from __future__ import annotations

from collections.abc import Callable

_FIRST_PAUSE = 5.0  # seconds; doubled each time a trial fails again
_LONGEST_PAUSE = 60.0
_RETRY_SHARE = 0.2  # retries a request, in the long run: trouble shall not make twice the traffic
_RETRIES_A_SECOND = 1.0
_RETRY_RESERVE = 20.0  # retries that a quiet hour leaves for the next trouble


class Breaker:
    """Closed: everything passes. Open: nothing does, until the pause is over. Then one request tries for all.

    `limit`: so many failures in a row open it; 0: nothing does.
    """

    def __init__(self, clock: Callable[[], float], limit: int) -> None:
        self._clock = clock
        self._limit = limit
        self._failures = 0
        self._pause = 0.0
        self._until = 0.0
        self._trying = False

    @property
    def waits(self) -> float:
        """Seconds until it is worth asking again; 0: now."""
        if not self._pause:
            return 0.0
        left = max(0.0, self._until - self._clock())
        return left or (1.0 if self._trying else 0.0)

    def begin(self) -> None:
        """A request is on its way. Whoever begins when a pause is over is the trial, and others wait for its end."""
        self._trying = self._pause > 0

    def succeeded(self) -> None:
        self._failures, self._pause, self._trying = 0, 0.0, False

    def failed(self) -> None:
        self._failures += 1
        trial, self._trying = self._trying, False
        if trial or self._failures >= self._limit:
            self.rest(min(max(self._pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE))

    def rest(self, seconds: float) -> None:
        """Open for so long: the backend asked for it, or failed too often."""
        self._trying = False
        if self._limit:
            self._pause, self._until = seconds, self._clock() + seconds

    def left(self) -> None:
        """A request ended without telling anything of the backend: its client went away."""
        self._trying = False


class RetryBudget:
    """Trying again costs one, and is given back if it helped. Requests and time earn new ones, up to a reserve."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since = clock()
        self._saved = _RETRY_RESERVE

    def earn(self) -> None:
        """One more request, and the time since the last one."""
        now = self._clock()
        self._save(_RETRY_SHARE + (now - self._since) * _RETRIES_A_SECOND)
        self._since = now

    def spend(self) -> bool:
        """Whether one more retry may be made."""
        if self._saved < 1:
            return False
        self._saved -= 1
        return True

    def helped(self) -> None:
        """The last retry was worth it."""
        self._save(1.0)

    def _save(self, amount: float) -> None:
        self._saved = min(_RETRY_RESERVE, self._saved + amount)
