"""Labelling: the teacher says again what it said to natural conversations, so that the filters see if it stands by it.

Owns whom to ask again, in which order, and when to give up. What a run is and when samples agree is the filters'; how
the teacher is reached is the caller's.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from distill.collecting import Collector
from distill.errors import DistillError, Refused
from distill.filters import agreement, unconfirmed
from distill.outcome import Outcome
from distill.redact.redactor import Redactor
from distill.store.store import TraceStore
from distill.trace import Trace
from distill.trajectory import Run
from router.chat import AnswerMessage

# Asks the teacher for another answer to a trace's request; the number makes it another. Raises DistillError.
Again = Callable[[Trace, int], Awaitable[AnswerMessage]]


class Limits(msgspec.Struct, frozen=True):
    """`samples` of each answer, two at least, and so many `requests` in one night at most, those that were refused
    besides; 0 of either: the teacher is not asked. After so many `failures` in a row it is left alone for this night.
    `at_once` are runs under way. From `until` on, in Unix seconds, nobody is asked any more."""

    samples: int = 3
    requests: int = 2000
    at_once: int = 4
    failures: int = 5
    until: float = math.inf


class Labelled(msgspec.Struct):
    """What came of it: answers that were asked for and came, requests that failed with the last error, and runs that
    agree to their end, that do not, and that were left for another night for want of answers. `more`: there may be
    others, as nobody was asked any more and nobody looked for them."""

    answers: int = 0
    failed: int = 0
    error: str = ""
    agreed: int = 0
    disagreed: int = 0
    left: int = 0
    more: bool = False


async def label(
    store: TraceStore,
    collector: Collector,
    until: int,
    again: Again,
    limits: Limits,
    done: Callable[[], None] = lambda: None,
) -> Labelled:
    """Samples for what the filters would keep if it were confirmed, of traces up to the number `until`.

    They stay in the store, redacted, so no night asks twice; `done` is called after each run. Raises sqlite3.Error.
    """
    labeller = _Labeller(store, collector.redactor, collector.rules.agreement, again, limits)
    waiting: list[Run] = []
    if not (limits.samples and limits.requests and collector.rules.confirm):
        return labeller.labelled
    async for traces in store.conversations(until):
        waiting += unconfirmed(traces, await collector.told(traces))
        while len(waiting) >= limits.at_once:
            together, waiting = waiting[: limits.at_once], waiting[limits.at_once :]
            await labeller.confirm(together, done)
        if labeller.given_up:  # looking at the rest of a large store takes minutes
            labeller.labelled.more = True
            break
    await labeller.confirm(waiting, done)
    return labeller.labelled


@dataclass
class _Labeller:
    store: TraceStore
    redactor: Redactor
    agreement: float
    again: Again
    limits: Limits
    labelled: Labelled = field(default_factory=Labelled)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)  # the store has one connection
    _asked: int = 0
    _failures: int = 0  # in a row
    _known: set[str] = field(default_factory=set)  # traces that were asked about: trajectories share some

    async def confirm(self, runs: Sequence[Run], done: Callable[[], None]) -> None:
        async def one(run: Run) -> None:
            await self._confirm(run)
            done()

        await asyncio.gather(*(one(run) for run in runs))

    async def _confirm(self, run: Run) -> None:
        """The last answer first: where that is not agreed on, the calls before it need not be asked about. What an
        earlier night has samples of is not among the steps any more."""
        left = False
        for step in reversed(run.steps):
            if step.trace is None or step.trace.id in self._known:
                continue
            samples = [] if self.given_up else await self._samples(step.trace)
            share = agreement(step.message, samples, run.question, step.trace.request)
            left = left or share is None
            if step is run.final and share is not None and share < self.agreement:
                self.labelled.disagreed += 1
                return
            if share is None and (step is run.final or self.given_up):
                break
        self.labelled.left += left
        self.labelled.agreed += not left

    @property
    def given_up(self) -> bool:
        too_many = self._asked + self.limits.samples > self.limits.requests
        return too_many or self._failures >= self.limits.failures or time.time() >= self.limits.until

    async def _samples(self, trace: Trace) -> list[AnswerMessage]:
        """Those that there are already, and as many more as are wanted."""
        self._known.add(trace.id)
        async with self._writing:
            earlier = [one.sample for one in await self.store.outcomes([trace.id]) if one.sample is not None]
        first = len(earlier) * self.limits.samples  # above all numbers that any of those can have: another seed
        numbers = range(first, first + max(0, self.limits.samples - len(earlier)))
        self._asked += len(numbers)
        asked = await asyncio.gather(*(self._sample(trace, number) for number in numbers))
        samples = [sample for sample in asked if sample is not None]
        now = time.time()  # told apart by a microsecond: two that are told at the same time count as one
        told = [Outcome(trace.id, "sample", now + number / 1e6, sample=one) for number, one in enumerate(samples)]
        told = [self.redactor.outcome(outcome) for outcome in told]
        async with self._writing:
            await self.store.add_outcomes(told)
        return [*earlier, *(outcome.sample for outcome in told if outcome.sample is not None)]

    async def _sample(self, trace: Trace, number: int) -> AnswerMessage | None:
        try:
            answer = await self.again(trace, number)
        except DistillError as error:
            refused = isinstance(error, Refused)  # says nothing of the next request
            self._asked -= refused
            self._failures += not refused
            self.labelled.failed += 1
            self.labelled.error = str(error)
            return None
        self._failures = 0
        self.labelled.answers += 1
        return answer
