"""The generation thread: it alone touches MLX. It hears messages, keeps the schedule and has the work done.

Owns the order of things: between two pieces of work a job is admitted, cancelled, let go or sent back. Knows nothing
of text, HTTP or how anything is computed.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass

import structlog

from distill.mlx.load import ModelFacts
from gateway.engine.errors import EngineDown
from gateway.engine.inference import memory
from gateway.engine.inference.adapters import Adapter
from gateway.engine.inference.generation import Generation
from gateway.engine.inference.job import Event, Job, Started
from gateway.engine.inference.limits import Limits
from gateway.engine.inference.pace import Pace
from gateway.engine.inference.runner import Chunk, ModelRunner
from gateway.engine.inference.scheduler import Scheduler, Step
from gateway.engine.prefixes.tree import common

_log = structlog.get_logger()
_WORTH_WAITING = 32  # tokens: a shared prefix shorter than this is computed twice rather than waited for
_QUIET = 10.0  # seconds without work, after which memory that lies unused is given back
_ROOM = 256  # tokens that a request must have room for beyond its prompt before it is let in


@dataclass(frozen=True)
class Submit:
    job: Job


@dataclass(frozen=True)
class Cancel:
    job: Job


@dataclass(frozen=True)
class Admit:
    adapter: Adapter


@dataclass(frozen=True)
class Dismiss:
    adapter: Adapter


class Stop:
    pass


Message = Submit | Cancel | Admit | Dismiss | Stop


@dataclass
class Counters:
    """Totals since the start."""

    computed: int = 0  # prompt tokens
    cached: int = 0  # prompt tokens that did not need to be
    generated: int = 0
    steps: int = 0


class Coordinator:
    """Serves jobs until it hears Stop. `tell` carries events out; it is called on this thread."""

    def __init__(self, runner: ModelRunner, limits: Limits, tell: Callable[[list[tuple[Job, Event]]], None]) -> None:
        self._runner = runner
        self._limits = limits
        self._tell = tell
        self.messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.opened: Future[ModelFacts] = Future()  # done when the model is in memory for the first time
        self.generations: dict[Job, Generation] = {}
        self.counters = Counters()
        self.pace = Pace(limits.prefill_step)
        self.budget = 0
        self._outbox: list[tuple[Job, Event]] = []
        self.stopped = False
        self.schedule = Scheduler(limits.batch)

    def main(self) -> None:
        """The thread."""
        with self._runner.at_work():
            try:
                if self._load():
                    self.budget = self._limits.memory_bytes or memory.default_budget()
                    self.opened.set_result(self.facts)
                    self._serve()
            except Exception:  # noqa: BLE001 - the edge of the thread: its jobs must hear of it
                _log.exception("generation thread died")
            finally:
                self.stopped = True
                self._fail_all()

    def _load(self) -> bool:
        """Load the model. False: it could not be, and whoever opened has heard why."""
        try:
            self.facts: ModelFacts = self._runner.open()
        except Exception as error:
            if self.opened.done():
                raise
            self.opened.set_exception(error)
            return False
        self.schedule.share = self._runner.share
        self._remains = memory.Remains()
        return True

    def _serve(self) -> None:
        while self._hear():
            if not self.schedule.busy:
                continue
            if not self._runner.resident:
                self._load()
            self.schedule.admit(self._fits, self._prefix_is_coming)
            if (step := self.schedule.next()) is not None:
                self._compute(step)
            self._deliver()
            self._remains.give_back_sometimes()

    def _hear(self) -> bool:
        """Take the messages that have come; with nothing to compute, wait for one. False: stop."""
        if not self.schedule.busy:
            message = self._wait()
            self.pace.began()
            if message is None or not self._take(message):
                return message is None
        while not self.messages.empty():
            if not self._take(self.messages.get()):
                return False
        return True

    def _wait(self) -> Message | None:
        """The next message; None: there was none for so long that the model has left memory."""
        timeout = self._limits.idle_unload_seconds if self._runner.resident else 0
        quiet = min(timeout or _QUIET, _QUIET)
        with suppress(queue.Empty):
            return self.messages.get(timeout=quiet)
        self._remains.give_back()
        try:
            return self.messages.get(timeout=max(timeout - quiet, 0.001) if timeout else None)
        except queue.Empty:
            _log.info("model leaves memory", idle_seconds=timeout)
            self._runner.close()
            return None

    def _take(self, message: Message) -> bool:
        """Act on a message. False: stop."""
        match message:
            case Submit(job):
                self.generations[job] = Generation.of(job)
                self.schedule.add(self.generations[job])
            case Cancel(job):
                self._cancel(job)
            case Admit(adapter):
                self._runner.admit(adapter)
            case Dismiss(adapter):
                self._runner.dismiss(adapter)
            case Stop():
                return False
        return True

    def _cancel(self, job: Job) -> None:
        if (generation := self.generations.pop(job, None)) is not None:
            self.schedule.remove(generation)

    def _compute(self, step: Step) -> None:
        began = time.monotonic()
        chunks, said = self._runner.step(step, self.pace.chunk())
        seconds = time.monotonic() - began
        self.pace.stepped(sum(chunk.tokens for chunk in chunks), seconds)
        for chunk in chunks:
            self._tell_of_chunk(chunk)
        self.counters.steps += 1
        self.counters.generated += len(said)
        self.counters.computed += len(step.joining)  # each row's last prompt token
        ended = [generation for generation, token in said if token.finish is not None]
        self.schedule.computed(step, ended, seconds)
        self._outbox += [(generation.job, token) for generation, token in said]
        for generation in ended:
            self.pace.ended(time.monotonic() - generation.arrived)
            del self.generations[generation.job]
        self._keep_within_budget()

    def _tell_of_chunk(self, chunk: Chunk) -> None:
        generation = chunk.generation
        self.counters.computed += chunk.tokens
        if chunk.error is not None:
            _log.error("a prompt could not be computed", exc_info=chunk.error)
            self._outbox.append((generation.job, EngineDown()))
            self._cancel(generation.job)
        elif chunk.cached is not None and generation.generated == 0:
            self.counters.cached += chunk.cached
            self._outbox.append((generation.job, Started(chunk.cached)))

    def _fits(self, generation: Generation) -> bool:
        """Whether there is memory for it; kept prefixes make room."""
        tokens = len(generation.tokens) + min(generation.job.max_tokens - generation.generated, _ROOM)
        needed = self._runner.row_bytes + min(tokens, self._limits.max_kv_size or tokens) * self._runner.token_bytes
        return self._make_room(needed) or not (self.schedule.filling or self.schedule.decoding)

    def _make_room(self, needed: int) -> bool:
        over = memory.used() + needed - self.budget
        if over > 0 and self._runner.prefixes is not None:
            over -= self._runner.prefixes.trim_to(self._runner.prefixes.nbytes - over)
        return over <= 0

    def _keep_within_budget(self) -> None:
        """When running requests outgrow the memory, the youngest gives way and is continued later."""
        running = self.schedule.decoding
        if not self._make_room(0) and len(running) > 1:
            youngest = max(running, key=lambda generation: generation.arrived)
            _log.info("request waits for memory", generated=youngest.generated)
            self.schedule.again(youngest)

    def _prefix_is_coming(self, generation: Generation) -> bool:
        """Whether a prompt that is being computed begins like this one, further than what is kept already."""
        prefixes = self._runner.prefixes
        others = [other for other in self.schedule.filling if other.job.key == generation.job.key]
        if prefixes is None or not others:
            return False
        shared = max(common(other.tokens, generation.tokens) for other in others)
        return shared - prefixes.match(generation.job.key, generation.tokens) >= _WORTH_WAITING

    def _deliver(self) -> None:
        if self._outbox:
            events, self._outbox = self._outbox, []
            self._tell(events)

    def _fail_all(self) -> None:
        """Nothing runs any more: everyone who waits hears it."""
        lost = list(self.generations)
        self.generations.clear()
        while not self.messages.empty():
            if isinstance(message := self.messages.get(), Submit):
                lost.append(message.job)
        self._outbox.extend((job, EngineDown()) for job in lost)
        self._deliver()
