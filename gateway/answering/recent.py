"""Conversations of late: when each was answered last. Owns these times, of those that were answered last, in memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

_MOST = 10_000  # conversations


class Recent:
    """`clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answered: OrderedDict[str, float] = OrderedDict()

    def answered(self, conversation: str) -> None:
        """An answer is out."""
        self._answered[conversation] = self._clock()
        self._answered.move_to_end(conversation)
        if len(self._answered) > _MOST:
            self._answered.popitem(last=False)

    def idle(self, conversation: str) -> float:
        """Seconds since its last answer; 0 where none is known."""
        now = self._clock()
        return now - self._answered.get(conversation, now)
