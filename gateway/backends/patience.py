"""How a backend is asked: not by too many at once, again after what may pass, and not at all while it keeps failing.

Owns queueing, retries and the breaker of one backend. Knows nothing of bytes or of what is asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, stop_after_delay

from gateway.backends.breaker import Breaker, RetryBudget
from gateway.errors import (
    BackendBroken,
    BackendBusy,
    BackendError,
    BackendRefused,
    BackendResting,
    BackendTimeout,
    BackendUnreachable,
)

T = TypeVar("T")

_RETRY_CAP = 10.0  # seconds: a backend that asks for a longer pause is not waited for
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 2.0  # seconds between attempts, where the backend names none
_BUSY_SECONDS = 5.0  # what a client is told when the queue is full


class Manners(msgspec.Struct, frozen=True):
    """`attempts` in all and `retry_seconds` for them together; `at_once` requests (0: any number) with `queue` more
    waiting; after `failures` in a row the backend is left alone for a while (0: never)."""

    attempts: int = 1
    retry_seconds: float = 30.0
    at_once: int = 0
    queue: int = 64
    failures: int = 5


class Patience:
    """The manners towards one backend, and what is known of its state."""

    def __init__(self, manners: Manners, clock: Callable[[], float] = time.monotonic) -> None:
        self._manners = manners
        self._budget = RetryBudget(clock)
        self._slots = asyncio.Semaphore(manners.at_once) if manners.at_once else None
        self.waiting = 0
        self.breaker = Breaker(clock, manners.failures)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """One of the requests that the backend may have at once; waits for it. Raises BackendBusy."""
        if self._slots is None:
            yield
            return
        if self._slots.locked() and self.waiting >= self._manners.queue:
            raise BackendBusy(retry_after=_BUSY_SECONDS)
        self.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            self._slots.release()

    async def persist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Run `attempt`; if it fails in a way that may pass, again. Raises its BackendError, or BackendResting."""
        self._budget.earn()
        try:
            return await self._once(attempt)
        except BackendError as error:
            if self._manners.attempts <= 1 or not self._worth_another(error):
                raise
            pause = _pause(error, 1)
        await asyncio.sleep(pause)
        again = AsyncRetrying(
            stop=stop_after_attempt(self._manners.attempts - 1) | stop_after_delay(self._manners.retry_seconds - pause),
            wait=_wait,
            retry=retry_if_exception(self._worth_another),
            reraise=True,
        )
        found: T = await again(self._once, attempt)
        self._budget.helped()
        return found

    def broke_off(self) -> None:
        """An answer that had begun well was cut short."""
        self.breaker.failed()

    async def _once(self, attempt: Callable[[], Awaitable[T]]) -> T:
        if wait := self.breaker.waits:
            raise BackendResting(retry_after=wait)
        self.breaker.begin()
        try:
            found = await attempt()
        except BackendError as error:
            self._note(error)
            raise
        except BaseException:
            self.breaker.left()
            raise
        self.breaker.succeeded()
        return found

    def _note(self, error: BackendError) -> None:
        """What a failure says of the backend. One that asks for a short pause is busy: each request waits by itself."""
        asked = error.retry_after
        if not is_fault(error):
            self.breaker.succeeded()
        elif asked is None:
            self.breaker.failed()
        elif asked > _RETRY_CAP:
            self.breaker.rest(asked)
        else:
            self.breaker.left()

    def _worth_another(self, error: BaseException) -> bool:
        return _may_pass(error) and not self.breaker.waits and self._budget.spend()


def is_fault(error: BackendError) -> bool:
    """Whether an error tells of a backend in trouble, and not of a request that it rightly refused."""
    if isinstance(error, BackendRefused):
        return error.status in (401, 403, 408, 429) or error.status >= 500
    return isinstance(error, BackendUnreachable | BackendBroken | BackendTimeout)


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, BackendRefused):
        patient = error.retry_after is None or error.retry_after <= _RETRY_CAP
        return (error.status in (408, 429) or error.status >= 500) and patient
    return isinstance(error, BackendUnreachable | BackendBroken)


def _pause(error: BaseException | None, attempt: int) -> float:
    asked = getattr(error, "retry_after", None)
    return float(asked) if asked is not None else min(_FIRST_PAUSE * 2.0 ** (attempt - 1), _LONGEST_PAUSE)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    return _pause(error, state.attempt_number + 1)
