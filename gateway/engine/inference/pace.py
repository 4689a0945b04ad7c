"""How fast the engine is just now, measured: from it come the size of a prompt chunk and the advice to come back later.

Owns the clock of the generation side. Knows nothing of jobs or models.
"""

from __future__ import annotations

import time

_CHUNK_SECONDS = 0.8  # so long a cancelled prompt goes on at most, and a running stream waits between two of its tokens
_SMALLEST_CHUNK = 32  # tokens: below, the weights are read more often than it is worth
_WEIGHT = 0.3  # of the newest measurement in the running mean
_LONGEST_WAIT = 60.0


class Pace:
    """Running means of what was measured. `most` bounds a chunk, in tokens."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._rate: float | None = None  # prompt tokens a second
        self._job_seconds: float | None = None
        self._last = time.monotonic()

    def chunk(self) -> int:
        """How many prompt tokens to compute in one piece, so that it takes _CHUNK_SECONDS."""
        if self._rate is None:
            return min(self._most, 2 * _SMALLEST_CHUNK)
        return max(_SMALLEST_CHUNK, min(self._most, int(self._rate * _CHUNK_SECONDS)))

    def began(self) -> None:
        """Work was started; if nothing went on before, the silence begins here."""
        self._last = time.monotonic()

    def stepped(self, tokens: int, seconds: float) -> None:
        """A step with so many prompt tokens in it took so long."""
        self._last = time.monotonic()
        if tokens >= _SMALLEST_CHUNK and seconds > 0:
            self._rate = _mean(self._rate, tokens / seconds)

    def ended(self, seconds: float) -> None:
        """A request is through; it took so long."""
        self._job_seconds = _mean(self._job_seconds, seconds)

    def silence(self) -> float:
        """Seconds since anything was computed."""
        return time.monotonic() - self._last

    def wait(self, rounds: float) -> float:
        """Seconds after which a request would be taken if so many full batches are to go before it."""
        return max(1.0, min(_LONGEST_WAIT, (self._job_seconds or 1.0) * rounds))


def _mean(before: float | None, new: float) -> float:
    return new if before is None else before + _WEIGHT * (new - before)
