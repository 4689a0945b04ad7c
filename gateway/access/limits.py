"""Limits: requests a minute, requests at once, seconds a request. Owns the arithmetic; knows nothing of HTTP."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.errors import OverLimit, Overloaded

_COME_BACK = 1.0  # seconds: when one of the requests under way may have ended


class Bucket:
    """A token bucket: `rate` requests a minute, as many of them in a row as have not been used for a minute."""

    def __init__(self, rate: int, now: float) -> None:
        self.rate = rate
        self._tokens = float(rate)
        self._at = now

    def take(self, now: float) -> float:
        """Take a token: 0.0, or the seconds until there is one."""
        a_second = self.rate / 60
        self._tokens = min(self.rate, self._tokens + (now - self._at) * a_second)
        self._at = now
        if self._tokens < 1:
            return (1 - self._tokens) / a_second
        self._tokens -= 1
        return 0.0


class Limits:
    """Who has how many requests under way, and who asked how often. `at_once` is the limit for all together, 0: none;
    `clock` is monotonic, in seconds."""

    def __init__(self, at_once: int, clock: Callable[[], float]) -> None:
        self.at_once = at_once
        self._clock = clock
        self._under_way = Counter[str]()
        self._all = 0
        self._ended: float | None = None  # when the last one was over
        self._buckets: dict[str, Bucket] = {}

    @property
    def idle_seconds(self) -> float | None:
        """For how long nobody was inside, not counting what the machine slept; None: nobody ever was."""
        if self._all or self._ended is None:
            return 0.0 if self._all else None
        return self._clock() - self._ended

    @contextmanager
    def held(self, name: str, *, rate: int, at_once: int) -> Iterator[None]:
        """A request under way while the block lasts. 0 is no limit.

        Raises Overloaded for what the gateway as a whole cannot take, OverLimit for what this name may not.
        """
        if self.at_once and self._all >= self.at_once:
            raise Overloaded(f"{self._all} requests are under way, as many as may be.", retry_after=_COME_BACK)
        if at_once and self._under_way[name] >= at_once:
            message = f"This key has {at_once} requests under way, as many as it may have."
            raise OverLimit(message, retry_after=_COME_BACK)
        if rate and (wait := self._bucket(name, rate).take(self._clock())):
            raise OverLimit(f"This key may make {rate} requests a minute.", retry_after=wait)
        self._all += 1
        self._under_way[name] += 1
        try:
            yield
        finally:
            self._all -= 1
            self._ended = self._clock()
            self._under_way[name] -= 1

    def _bucket(self, name: str, rate: int) -> Bucket:
        bucket = self._buckets.get(name)
        if bucket is None or bucket.rate != rate:
            bucket = self._buckets[name] = Bucket(rate, self._clock())
        return bucket


def deadline_in(seconds: float) -> float | None:
    """A moment on the event loop's clock; None for 0 seconds, which is no limit."""
    return asyncio.get_running_loop().time() + seconds if seconds else None
