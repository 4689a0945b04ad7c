"""A run: the questions of a set put to the teacher, so many at once, until all are settled or it is time to stop.

Owns the order of things: ask, write down, choose, have the rest set aside, write down that it is done. So whatever dies
in between, nothing that was done is done again. Knows nothing of HTTP, of reports or of terminals.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec

from distill.agent import Conversation
from distill.generate.question import Question
from distill.school.checks import KEPT, KNOWN, LONGER, cannot_be_shorter, shortest, verdict
from distill.school.endurance import Endurance, Spent
from distill.school.ledger import Ledger, Settled, Taken
from distill.school.recall import from_turns
from distill.school.sets import QuestionSet
from distill.school.student import Student
from distill.school.teacher import NotTold, Teacher, conversation_of
from distill.school.toolboxes import Toolboxes
from distill.tools import Toolbox

_PAUSES = (1.0, 2.0, 4.0, 8.0, 0.0)  # seconds after which the gateway is told once more what is not to be learnt
_LAST_SECONDS = 120.0  # for answers under way once it is time to stop


class Terms(msgspec.Struct, frozen=True):
    """`at_once` questions under way, up to `samples` answers of each. None is begun after `stop_at`, on the run's
    clock, or once all answers of the set together cost `max_cost` by `prices`, per million tokens in and out."""

    at_once: int = 16
    samples: int = 1
    stop_at: float | None = None
    max_cost: float | None = None
    prices: tuple[float, float] = (0.0, 0.0)


class Progress(Protocol):
    """Where a run tells that a question is settled, and what it waits for."""

    def step(self, done: int | None = None, note: str = "") -> None: ...


class Ran(msgspec.Struct):
    """What a run came to: questions `settled`, those left for another run by reason, and why it stopped before all were
    asked ('': it did not)."""

    settled: int = 0
    left: Counter[str] = msgspec.field(default_factory=Counter)
    stopped: str = ""


class Asking:
    """Of one set. `clock` is monotonic, in seconds. With a `student` only what it fails at is asked of the teacher,
    which goes on from there."""

    def __init__(
        self,
        chosen: QuestionSet,
        toolboxes: Toolboxes,
        ledger: Ledger,
        teacher: Teacher,
        terms: Terms,
        endurance: Endurance | None = None,
        clock: Callable[[], float] = time.monotonic,
        student: Student | None = None,
    ) -> None:
        self._chosen = chosen
        self._toolboxes = toolboxes
        self._ledger = ledger
        self._teacher = teacher
        self._terms = terms
        self._endurance = endurance or Endurance(clock)
        self._clock = clock
        self._student = student
        self.ran = Ran()

    async def go(self, progress: Progress) -> None:
        """Ask what is not settled yet; what came of it is in `ran`. Raises EndpointDown, OSError where the ledger
        cannot be written, and asyncio.CancelledError; what was settled until then stays so."""
        waiting = iter([one for one in self._chosen.questions if one.id not in self._ledger.settled])
        workers = [asyncio.create_task(self._work(waiting, progress)) for _ in range(self._terms.at_once)]
        try:
            await asyncio.gather(*workers)
        except Spent as error:
            self.ran.stopped = str(error)
        else:
            self._endurance.end()
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, waiting: Iterator[Question], progress: Progress) -> None:
        for question in waiting:
            if reason := self._enough():
                self.ran.stopped = reason
                return
            try:
                async with asyncio.timeout(self._remaining()):
                    left = await self._settle(question, progress)
            except TimeoutError:
                left = "out_of_time"
            if left:
                self.ran.left[left] += 1
            else:
                self.ran.settled += 1
                progress.step(len(self._ledger.settled), " ")

    def _enough(self) -> str:
        """Why no further question is begun; '' where one may be."""
        if self._terms.stop_at is not None and self._clock() >= self._terms.stop_at:
            return "the time is over"
        if self._terms.max_cost is not None and cost(self._ledger, self._terms.prices) >= self._terms.max_cost:
            return f"the set has cost {self._terms.max_cost:g}"
        return ""

    def _remaining(self) -> float | None:
        if self._terms.stop_at is None:
            return None
        return self._terms.stop_at + _LAST_SECONDS - self._clock()

    async def _settle(self, question: Question, progress: Progress) -> str:
        """Why a question is left for another run; '' once it is settled."""
        toolbox = self._toolboxes.of(question)
        offered = {spec.function.name for spec in toolbox.specs}
        taken = dict(self._ledger.taken.get(question.id, {}))
        for sample in range(self._terms.samples):
            if sample not in taken:
                found = await self._take(question, sample, toolbox, progress)
                if isinstance(found, str):
                    return found
                self._ledger.add(found)
                taken[sample] = found
            if cannot_be_shorter(question, taken[sample], offered):
                break
        kept, reason = shortest(question, taken, offered)
        for sample, one in taken.items():
            if sample != kept and one.traces:
                told = await self._set_aside(one.traces[-1], verdict(question, one, offered) or LONGER)
                if not told:
                    return "not_told"
        self._ledger.add(Settled(question.id, kept, reason))
        return ""

    async def _set_aside(self, trace: str, reason: str) -> bool:
        """Whether the gateway could be told, at once or a little later."""
        for pause in _PAUSES:
            try:
                await self._teacher.set_aside(trace, reason)
            except NotTold:
                await asyncio.sleep(pause)
            else:
                return True
        return False

    async def _take(self, question: Question, sample: int, toolbox: Toolbox, progress: Progress) -> Taken | str:
        """One answer, however long a busy endpoint is waited for; or why there is none."""
        name = conversation_of(self._chosen.name, question, sample)
        recall = await self._teacher.known(name)
        if self._student is not None:
            tried = await self._student.attempt(question, toolbox, name)
            if tried.fault is not None:
                return "student_failed"
            if _is_known(question, _taken(question, sample, name, tried), toolbox):
                return msgspec.structs.replace(_taken(question, sample, name, tried, KNOWN), traces=[])
            recall = self._student.state(question, tried, recall)
        answers, attempt = self._endurance.answers, 1
        while True:
            found = await self._teacher.ask(question, toolbox, name, sample, recall)
            if found.fault is None:
                self._endurance.answered()
                return _taken(question, sample, name, found)
            step, pause, reason = self._endurance.step(found.fault, found.error, attempt, answers)
            if step == "leave":
                return reason
            if step == "drop":
                return _taken(question, sample, name, found, reason)
            progress.step(len(self._ledger.settled), f"waiting: {reason}")
            await asyncio.sleep(pause)
            recall, attempt = from_turns(found.messages, found.said, recall), attempt + (step == "wait")


def _is_known(question: Question, tried: Taken, toolbox: Toolbox) -> bool:
    return verdict(question, tried, {spec.function.name for spec in toolbox.specs}) == KEPT


def cost(ledger: Ledger, prices: tuple[float, float]) -> float:
    """What all answers cost, by prices per million tokens in and out, in their currency."""
    return (ledger.prompt_tokens * prices[0] + ledger.completion_tokens * prices[1]) / 1_000_000


def _taken(question: Question, sample: int, name: str, found: Conversation, code: str = "") -> Taken:
    asked = next(at for at, message in enumerate(found.messages) if message.role == "user")
    said = [one.message for one in found.said]
    thoughts = [one.reasoning_content or one.reasoning or "" for one in said]
    thoughts += [one.content or "" for one in said if one.tool_calls]
    return Taken(
        question=question.id,
        sample=sample,
        conversation=name,
        end=found.end,
        answer=found.answer,
        calls=found.calls,
        messages=found.messages[asked:],
        traces=[turn.trace for turn in found.turns if turn.trace],
        seconds=found.seconds,
        prompt_tokens=sum(turn.prompt_tokens for turn in found.turns),
        completion_tokens=sum(turn.completion_tokens for turn in found.turns),
        at=time.time(),
        thoughts="\n\n".join(thought for thought in thoughts if thought),
        code=code,
        error=found.error[:1000],
    )
