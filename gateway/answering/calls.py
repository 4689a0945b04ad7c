"""What a turn does that is not the gateway's own work: it asks arms, and it waits.

Owns the times of both. Knows nothing of decisions, wires or how bytes travel.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TypeVar

from gateway.backends.client import Address
from gateway.errors import GatewayError
from router.chat import ChatResponse
from router.decision import Decision

T = TypeVar("T")


class Wait:
    """Seconds spent in `with` blocks, of which there is one at a time."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since = 0.0

    def __enter__(self) -> None:
        self._since = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._since

    def over(self, items: AsyncIterator[T]) -> AsyncIterator[T]:
        """The items; the time until each of them is there counts."""
        return _Awaited(self, items)


class _Awaited(AsyncIterator[T]):
    def __init__(self, wait: Wait, items: AsyncIterator[T]) -> None:
        self._wait = wait
        self._items = items

    async def __anext__(self) -> T:
        with self._wait:
            return await anext(self._items)


class Call:
    """One arm asked, for a draft or for the answer, from its first `with` block to the end of its last.

    `since` and `until` are on time.perf_counter; `error` is the class of what went wrong, empty where nothing did.
    `decision` is what was decided on a draft, None while nothing is; `response` the model's answer, as far as it came.
    """

    def __init__(self, label: str, model: str, address: Address, *, local: bool, is_draft: bool) -> None:
        self.label = label
        self.model = model
        self.address = address
        self.local = local
        self.is_draft = is_draft
        self.since = self.until = time.perf_counter()
        self.first = 0.0  # when the first of the answer was there; 0: it never was
        self.error = ""
        self.decision: Decision | None = None
        self.response: ChatResponse | None = None

    def __enter__(self) -> Call:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        self.until = time.perf_counter()
        if isinstance(error, GatewayError):
            self.error = type(error).__name__

    def began(self) -> None:
        """The first of the answer is there."""
        self.first = self.first or time.perf_counter()

    @property
    def generated(self) -> int:
        """Tokens that the model told to have generated."""
        usage = self.response.usage if self.response is not None else None
        return usage.completion_tokens if usage is not None else 0

    @property
    def wasted(self) -> bool:
        """Whether this is a draft that nobody was shown."""
        return self.is_draft and (self.decision is None or self.decision.arm != "student")
