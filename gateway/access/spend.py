"""What the teacher costs: today's spending by its prices, and whether the day's limit is reached.

Owns data/spend.json. Knows nothing of who answers instead.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog

from distill.atomic import write_atomically
from gateway.answering.counting import tokens_in
from gateway.answering.turn import Turn
from gateway.errors import SpendLimit, StartError

_log = structlog.get_logger("spend")

_FLUSH = 0.1  # seconds until what was spent is on disk
_DAY = 86_400


class Prices(msgspec.Struct, frozen=True):
    """Per million tokens, in any currency; `limit` is in the same, for a day, 0: none."""

    input: float = 0.0
    output: float = 0.0
    limit: float = 0.0


class Day(msgspec.Struct, frozen=True):
    """A day in UTC, as 2026-11-23, and what it has cost so far."""

    day: str
    spent: float


class Spend:
    """Today's spending. It is written behind the answers, by one task. `prices` may change at any time; `clock` tells
    Unix seconds."""

    def __init__(self, path: Path, prices: Prices, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self.prices = prices
        self._clock = clock
        self._today = Day("", 0.0)
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Take up what was spent today already, at the first call. Raises StartError where the file is damaged."""
        if self._task is not None:
            return
        try:
            self._today = msgspec.json.decode(self._path.read_bytes(), type=Day)
        except FileNotFoundError:
            pass
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            message = f"{self._path} is damaged ({error}): remove it, and today's spending counts from 0"
            raise StartError(message) from error
        self._task = asyncio.create_task(self._write_forever(), name="spend")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._changed.is_set():
            self._write()

    @property
    def today(self) -> Day:
        day = datetime.fromtimestamp(self._clock(), UTC).date().isoformat()
        return self._today if self._today.day == day else Day(day, 0.0)

    @property
    def limit(self) -> float:
        """For a day; 0: none."""
        return self.prices.limit

    @property
    def reached(self) -> bool:
        """Whether the day's limit is."""
        return bool(self.prices.limit) and self.today.spent >= self.prices.limit

    @property
    def status(self) -> dict[str, str | float]:
        return {"day": self.today.day, "spent": round(self.today.spent, 6), "limit": self.prices.limit}

    def refusal(self) -> SpendLimit:
        """The error for a request that only the teacher could answer today."""
        message = f"The teacher's limit of {self.prices.limit:g} a day is reached; the day ends at midnight UTC."
        return SpendLimit(message, retry_after=_DAY - self._clock() % _DAY)

    def count(self, turn: Turn) -> None:
        """Add what a turn of the teacher cost. Where no usage was told, as when the client left, it is estimated."""
        self.add(*_tokens(turn))

    def add(self, prompt: float, completion: float) -> None:
        """Add what so many tokens cost."""
        cost = (prompt * self.prices.input + completion * self.prices.output) / 1_000_000
        if cost:
            today = self.today
            self._today = Day(today.day, today.spent + cost)
            self._changed.set()

    async def _write_forever(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(_FLUSH)
            self._changed.clear()
            await asyncio.to_thread(self._write)

    def _write(self) -> None:
        try:
            write_atomically(self._path, msgspec.json.encode(self._today))
        except OSError as error:
            _log.error("spending cannot be written", path=str(self._path), error=str(error))


def _tokens(turn: Turn) -> tuple[float, float]:
    """Prompt and completion tokens of a turn. A backend that failed before it said anything is taken for free."""
    if turn.usage is not None:
        return turn.usage.prompt_tokens, turn.usage.completion_tokens
    if turn.answer is None and turn.state == "failed":
        return 0, 0
    written = len(msgspec.json.encode(turn.answer)) if turn.answer is not None else 0
    return tokens_in(turn.ask.size), tokens_in(written)
