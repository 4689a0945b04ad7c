"""Replaying: when nobody waits, a student is asked what the teacher answered, and the teacher what the student did.

Owns which requests, and that nobody is asked twice. What the answers show is `comparing`'s; how anybody is reached
is the caller's. Drafts stay in the store as outcomes, redacted, so that every later gate can be judged by them.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from distill.errors import DistillError, Refused, Spent
from distill.outcome import Outcome
from distill.outcomes import implicit_outcomes
from distill.redact.redactor import Redactor
from distill.routing.comparing import beside_wrong, compared, split
from distill.routing.labels import Label, Set, set_of
from distill.store.store import TraceStore
from distill.trace import Draft, Trace, conversation_key
from router.chat import AnswerMessage, Choice, ChoiceLogprobs
from router.groups import Group, group_of
from router.lot import lot


class Asked(Protocol):
    """Who can be asked. Both answer with the request's own sampling, and raise DistillError."""

    async def draft(self, trace: Trace, student: str) -> Draft:
        """The draft of a student, by the name of its model."""

    async def instead(self, trace: Trace) -> AnswerMessage:
        """The teacher's answer."""


# Requests that say nothing of the student: only one arm could serve them, or somebody named it.
_NO_CHOICE = frozenset({"capability", "requested", "stays_here", "cached"})


class Limits(msgspec.Struct, frozen=True):
    """How many `requests` in all, how many are under way `at_once`, and after how many `failures` in a row the student
    is left alone. Of a conversation that teaches gates up to `taught` requests are asked, of one that calibrates
    them one of each group of answers, three at most: a certificate wants labels that have nothing to do with
    each other. Of those that teach there are `teaching` altogether, as gates learn little from more. From
    `until` on, in Unix seconds, nobody is asked any more."""

    requests: int = 1000
    at_once: int = 4
    failures: int = 5
    taught: int = 3
    teaching: int = 200
    until: float = math.inf


class Counting(msgspec.Struct, frozen=True):
    """What says something of a student: requests that came `since` (Unix seconds), in conversations without `doubted`
    traces. These are left out whatever the drafts in them are like: on such a day the teacher was another."""

    since: float = 0.0
    doubted: Collection[str] = frozenset()


class Replayed(msgspec.Struct):
    """Drafts and teacher's answers that came, requests that failed with the last error, and traces of which all was
    known already. `futile`: no more were asked, as all that there are cannot be enough for a certificate; `left_alone`:
    as one after the other failed."""

    drafts: int = 0
    answers: int = 0
    failed: int = 0
    error: str = ""
    known: int = 0
    futile: bool = False
    left_alone: bool = False

    @property
    def asked(self) -> int:
        return self.drafts + self.answers + self.failed

    def and_then(self, more: Replayed) -> Replayed:
        """Both together."""
        return Replayed(
            self.drafts + more.drafts,
            self.answers + more.answers,
            self.failed + more.failed,
            more.error or self.error,
            self.known + more.known,
            self.futile or more.futile,
            self.left_alone or more.left_alone,
        )


async def replay(
    store: TraceStore,
    redactor: Redactor,
    until: int,
    student: str,
    asked: Asked,
    part: Set,
    limits: Limits = Limits(),  # noqa: B008  # a frozen value
    done: Callable[[], None] = lambda: None,
    counting: Counting = Counting(),  # noqa: B008  # a frozen value
) -> Replayed:
    """Drafts of `student` for requests of traces up to the number `until`, and the teacher's answers to those that a
    student answered, in the conversations of one `part` that are `counting`. Raises sqlite3.Error."""
    taken = 0
    async with _Replaying(store, redactor, student, asked, limits, done) as replaying:
        async for trace, known in _all_drawn(store, until, limits.taught, counting):
            if set_of(conversation_of(trace)) != part:
                continue
            await replaying.take(trace, known)
            taken += 1
            if replaying.given_up or (part == "train" and taken >= limits.teaching):
                break
    return replaying.replayed


async def answer_served(
    store: TraceStore,
    redactor: Redactor,
    until: int,
    student: str,
    asked: Asked,
    certificate: str,
    limits: Limits,
    done: Callable[[], None] = lambda: None,
    counting: Counting = Counting(),  # noqa: B008  # a frozen value
) -> Replayed:
    """The teacher's answers to the drawn requests that a student answered under the certificate of this name: what
    speaks for it or against. Raises sqlite3.Error."""
    async with _Replaying(store, redactor, student, asked, limits, done) as replaying:
        async for trace, known in _all_drawn(store, until, limits.taught, counting):
            if trace.decision.certificate == certificate and trace.decision.arm == "student":
                await replaying.compare(trace, known)
            if replaying.given_up:
                break
    return replaying.replayed


async def calibrating(store: TraceStore, until: int, counting: Counting) -> Counter[Group]:
    """How many requests can calibrate, by the group of the answer that was given."""
    every = _all_drawn(store, until, 1, counting)
    return Counter([_group(trace) async for trace, _ in every if set_of(conversation_of(trace)) == "calibrate"])


async def _all_drawn(
    store: TraceStore, until: int, taught: int, counting: Counting
) -> AsyncIterator[tuple[Trace, list[Outcome]]]:
    """The requests that are drawn of all conversations, with what is known of each."""
    async for traces in _counting(store, until, counting):
        chosen = [trace for trace in drawn(traces, taught) if trace.created >= counting.since]
        known: dict[str, list[Outcome]] = {}
        for outcome in await store.outcomes([trace.id for trace in chosen]):
            known.setdefault(outcome.trace, []).append(outcome)
        for trace in chosen:
            yield trace, known.get(trace.id, [])


class _Replaying:
    """Requests under way, a few at a time; those that are under way in the end are waited for, or left alone where
    something went wrong."""

    def __init__(
        self,
        store: TraceStore,
        redactor: Redactor,
        student: str,
        asked: Asked,
        limits: Limits,
        done: Callable[[], None],
    ) -> None:
        self._store = store
        self._redactor = redactor
        self._student = student
        self._asked = asked
        self._limits = limits
        self._done = done
        self._under_way: set[asyncio.Task[Outcome | None]] = set()
        self.begun = 0
        self._failures = 0  # in a row
        self.replayed = Replayed()

    @property
    def fails(self) -> bool:
        return self._failures >= self._limits.failures

    @property
    def given_up(self) -> bool:
        return self.begun >= self._limits.requests or self.fails or time.time() >= self._limits.until

    async def take(self, trace: Trace, known: Sequence[Outcome]) -> None:
        """Ask whoever has not answered this yet."""
        drafted = any(_is_of(one, self._student) for one in known)
        await self._ask(trace, [*([] if drafted else [self._draft]), *self._unanswered(trace, known)])

    async def compare(self, trace: Trace, known: Sequence[Outcome]) -> None:
        """Ask the teacher, if it has not answered this yet."""
        await self._ask(trace, self._unanswered(trace, known))

    def _unanswered(self, trace: Trace, known: Sequence[Outcome]) -> list[Callable[[Trace], Awaitable[Outcome]]]:
        return [] if teachers_of(trace, known) else [self._answer]

    async def _ask(self, trace: Trace, missing: Sequence[Callable[[Trace], Awaitable[Outcome]]]) -> None:
        self.replayed.known += not missing
        for ask in missing:
            if self.given_up:
                return
            self.begun += 1
            self._under_way.add(asyncio.create_task(self._one(ask(trace))))
            if len(self._under_way) >= self._limits.at_once:
                await self._keep_some()

    async def __aenter__(self) -> _Replaying:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            while self._under_way and kind is None:
                await self._keep_some()
        finally:
            for task in self._under_way:
                task.cancel()
        self.replayed.left_alone = self.fails

    async def _keep_some(self) -> None:
        """Wait for one that is under way at least, and keep what was said."""
        over, self._under_way = await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
        told = [found for task in over if (found := task.result()) is not None]
        self.replayed.drafts += sum(one.kind == "draft" for one in told)
        self.replayed.answers += sum(one.kind == "sample" for one in told)
        await self._store.add_outcomes(told)

    async def _one(self, asking: Awaitable[Outcome]) -> Outcome | None:
        try:
            outcome = await asking
        except DistillError as error:
            self._failures += not isinstance(error, Refused)  # a refusal says nothing of the next request
            spent = isinstance(error, Spent)  # nobody was asked
            self.begun -= spent
            self.replayed.failed += not spent
            self.replayed.error = str(error)
            return None
        self._failures = 0
        self._done()
        return self._redactor.outcome(outcome)

    async def _draft(self, trace: Trace) -> Outcome:
        draft = await self._asked.draft(trace, self._student)
        return Outcome(trace.id, "draft", time.time(), client=self._student, draft=draft)

    async def _answer(self, trace: Trace) -> Outcome:
        return Outcome(trace.id, "sample", time.time(), sample=await self._asked.instead(trace))


def drawn(traces: Sequence[Trace], taught: int) -> list[Trace]:
    """The requests of a conversation that a student is asked again, by lot. Of one that teaches any: what the answers
    say has no part in it, but gates are not taught by traces that may teach nothing. Of one that calibrates the first
    of each group that its answers are of."""
    teaches = bool(traces) and set_of(conversation_of(traces[0])) == "train"
    possible = [trace for trace in traces if _is_eligible(trace) and (trace.teach or not teaches)]
    ordered = sorted(possible, key=lambda trace: lot("step", "router", trace.id))
    return ordered[:taught] if teaches else _first_of_each_group(ordered)


def _first_of_each_group(traces: Sequence[Trace]) -> list[Trace]:
    first: dict[Group, Trace] = {}
    for trace in traces:
        first.setdefault(_group(trace), trace)
    return list(first.values())


def _group(trace: Trace) -> Group:
    return group_of(trace.answer.tool_calls or ()) if trace.answer is not None else "text"


def conversation_of(trace: Trace) -> str:
    """A conversation's name among those of all clients."""
    return conversation_key(trace.client, trace.conversation)


async def labels(
    store: TraceStore,
    until: int,
    student: str,
    taught: int = 3,
    counting: Counting = Counting(),  # noqa: B008  # a frozen value
) -> AsyncIterator[Label]:
    """What is known of a student's drafts: those that were drawn and have an answer of the teacher's beside them, in
    conversations that are `counting`."""
    async for traces in _counting(store, until, counting):
        chosen = drawn(traces, taught)
        outcomes: dict[str, list[Outcome]] = {}
        for outcome in await store.outcomes([trace.id for trace in chosen]):
            outcomes.setdefault(outcome.trace, []).append(outcome)
        wrong = _wrong(traces, outcomes)
        for trace in chosen:
            known = outcomes.get(trace.id, [])
            draft = next((one.draft for one in known if _is_of(one, student)), None)
            teachers = teachers_of(trace, known)
            if draft is not None and teachers and trace.created >= counting.since:
                yield _label(trace, draft, teachers, trace.id in wrong)


async def _counting(store: TraceStore, until: int, counting: Counting) -> AsyncIterator[list[Trace]]:
    async for traces in store.conversations(until):
        if traces and not any(trace.id in counting.doubted for trace in traces):
            yield traces


def _wrong(traces: Sequence[Trace], known: Mapping[str, Sequence[Outcome]]) -> set[str]:
    """The traces of a conversation whose answer by the teacher turned out wrong: its call ended in an error or was
    repaired, or somebody said that it was bad."""
    shown = implicit_outcomes(traces, time.time())
    told = [outcome for outcomes in known.values() for outcome in outcomes]
    bad = {outcome.trace for outcome in [*shown, *told] if _is_bad(outcome)}
    return {trace.id for trace in traces if trace.id in bad and trace.decision.arm == "teacher"}


def _is_bad(outcome: Outcome) -> bool:
    if outcome.kind == "feedback":
        return outcome.score is not None and outcome.score < 0
    return outcome.kind in ("tool_error", "repaired")


def _label(trace: Trace, draft: Draft, teachers: Sequence[AnswerMessage], wrong: bool) -> Label:
    logprobs = ChoiceLogprobs(draft.logprobs) if draft.logprobs else None
    found = compared(trace.request, Choice(draft.message, draft.finish_reason, logprobs=logprobs), teachers)
    if wrong:
        found = beside_wrong(found)
    seconds = trace.seconds.get("teacher", 0.0)
    return Label(
        trace=trace.id,
        conversation=conversation_of(trace),
        request=trace.request,
        draft=draft,
        worse=found.worse,
        how=found.how,
        seconds=seconds,
        teacher=trace.model if trace.decision.arm == "teacher" else "",
        created=trace.created,
        teachers=len(teachers),
        split=split(trace.request, teachers),
    )


def teachers_of(trace: Trace, known: Sequence[Outcome]) -> list[AnswerMessage]:
    """What the teacher said to a request, by day or when it was asked later."""
    own = [trace.answer] if trace.decision.arm == "teacher" and trace.answer is not None else []
    return [*own, *(one.sample for one in known if one.sample is not None)]


def _is_of(outcome: Outcome, student: str) -> bool:
    return outcome.kind == "draft" and outcome.client == student and outcome.draft is not None


def _is_eligible(trace: Trace) -> bool:
    """Whether a request could have gone to either arm, and its answer is whole."""
    return trace.state == "completed" and trace.answer is not None and trace.decision.reason not in _NO_CHOICE
