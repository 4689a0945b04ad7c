"""The one thread that decides what is computed when: it hears messages, keeps the schedule and hands work to the lanes.

Owns the order of things: between two pieces of work a job is admitted, cancelled, let go or sent back. The lanes alone
compute; this thread never waits for a computation, only for messages. Knows nothing of text, HTTP or how anything is
computed.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import structlog

from distill.mlx.cpu import on_cpu
from distill.mlx.load import ModelFacts
from gateway.engine import memory
from gateway.engine.errors import EngineDown
from gateway.engine.generation import Generation
from gateway.engine.job import Event, Job, Started
from gateway.engine.lanes import Done, Lanes
from gateway.engine.pace import Pace
from gateway.engine.runner import Chunk, ModelRunner, Step
from gateway.engine.scheduler import Decode, Fill, Scheduler
from gateway.engine.tree import common

_log = structlog.get_logger()
_WORTH_WAITING = 32  # tokens: a shared prefix shorter than this is computed twice rather than waited for
_ROOM = 256  # tokens that a request must have room for beyond its prompt before it is let in
_LANES_ON_CPU = 2  # one more than decoding needs: prompts are computed beside it


@dataclass(frozen=True)
class Limits:
    """What the engine may use.

    `batch` requests are under way and `queue` wait, further ones are refused; `prefill_step` prompt tokens at most are
    computed in one piece; `cache_bytes` of prefixes are kept; `memory_bytes` in all (None: what the machine allows);
    a model idle for `idle_unload_seconds` leaves memory (0: never). `lanes` None: two on a CPU, one elsewhere.
    """

    batch: int = 16
    queue: int = 64
    prefill_step: int = 512
    cache_bytes: int = 1 << 30
    memory_bytes: int | None = None
    max_kv_size: int | None = None
    idle_unload_seconds: float = 0.0
    lanes: int | None = None


@dataclass(frozen=True)
class Submit:
    job: Job


@dataclass(frozen=True)
class Cancel:
    job: Job


class Stop:
    pass


Message = Submit | Cancel | Done | Stop


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
        self._resident = False  # whether the model is in memory
        self.stopped = False
        count = limits.lanes or (_LANES_ON_CPU if on_cpu() else 1)
        self.schedule = Scheduler(limits.batch, count)
        self._lane_count = count

    def main(self) -> None:
        """The thread."""
        self._lanes = Lanes(self._lane_count, self.messages.put)
        try:
            if self._load():
                self.budget = self._limits.memory_bytes or memory.default_budget()
                self.opened.set_result(self.facts)
                self._serve()
        except Exception as error:  # noqa: BLE001 - the edge of the thread: its jobs must hear of it
            _log.exception("generation thread died")
            if not self.opened.done():
                self.opened.set_exception(error)
        finally:
            self.stopped = True
            self._fail_all()
            self._drain()
            self._lanes.close()

    def _load(self) -> bool:
        """Load the model in a lane. False: it could not be, and whoever opened has heard why."""
        done = self._wait_for(self._runner.open)
        if done.error is not None:
            if self.opened.done():
                raise done.error
            self.opened.set_exception(done.error)
            return False
        self.facts: ModelFacts = done.result
        self._resident = True
        return True

    def _wait_for(self, work: Callable[[], Any]) -> Done:
        """Do something while nothing else is computed; messages that come meanwhile keep their place in the queue."""
        self._lanes.start(0, work)
        others: list[Message] = []
        while not (isinstance(message := self.messages.get(), Done) and message.work is work):
            others.append(message)
        self._lanes.free.add(message.lane)
        for other in others:
            self.messages.put(other)
        return message

    def _serve(self) -> None:
        while self._hear():
            if self.schedule.busy and not self._resident:
                self._load()
            self._dispatch()
            self._deliver()

    def _hear(self) -> bool:
        """Take the messages that have come, or wait for one. False: stop."""
        idle = self._resident and not self.schedule.busy and len(self._lanes.free) == self._lane_count
        timeout = self._limits.idle_unload_seconds if idle else 0
        try:
            message = self.messages.get(timeout=timeout or None)
        except queue.Empty:
            self._unload()
            return True
        while True:
            match message:
                case Submit(job):
                    self.generations[job] = Generation.of(job)
                    self.schedule.add(self.generations[job])
                case Cancel(job):
                    self._cancel(job)
                case Done():
                    self._done(message)
                case Stop():
                    return False
            if self.messages.empty():
                return True
            message = self.messages.get()

    def _unload(self) -> None:
        _log.info("model leaves memory", idle_seconds=self._limits.idle_unload_seconds)
        self._wait_for(self._runner.close)
        self._resident = False

    def _cancel(self, job: Job) -> None:
        if (generation := self.generations.pop(job, None)) is not None:
            generation.cancelled = True
            self.schedule.remove(generation)

    def _dispatch(self) -> None:
        self.schedule.admit(self._fits, self._prefix_is_coming)
        for lane in sorted(self._lanes.free):
            work = self.schedule.next()
            if work is None:
                return
            self.pace.began()
            self._lanes.start(lane, _Piece(work, self._compute))

    def _compute(self, work: Fill | Decode) -> Any:
        """In a lane."""
        if isinstance(work, Fill):
            return self._runner.fill(work.generation, self.pace.chunk())
        return self._runner.decode(work.joining, work.leaving)

    def _done(self, done: Done) -> None:
        self._lanes.free.add(done.lane)
        assert isinstance(done.work, _Piece)
        match done.work.work:
            case Fill(generation) if done.error is not None:
                _log.error("a prompt could not be computed", exc_info=done.error)
                self._outbox.append((generation.job, EngineDown()))
                self._cancel(generation.job)
            case Fill(generation):
                self._filled(generation, done.result)
            case Decode() if done.error is not None:
                raise done.error  # the batch is in pieces
            case Decode() as step:
                self._decoded(step, done.result)

    def _filled(self, generation: Generation, chunk: Chunk) -> None:
        self.pace.filled(chunk.tokens, chunk.seconds)
        self.counters.computed += chunk.tokens
        if chunk.cached is not None:
            self.counters.cached += chunk.cached
            if generation.generated == 0:
                self._outbox.append((generation.job, Started(chunk.cached)))
        self.schedule.filled(generation, chunk.seconds)

    def _decoded(self, step: Decode, result: Step) -> None:
        self.pace.decoded()
        self.counters.steps += 1
        self.counters.generated += len(result.said)
        self.counters.computed += len(step.joining)
        ended = [generation for generation, token in result.said if token.finish is not None]
        self.schedule.decoded(step, ended, result.seconds)
        for generation, token in result.said:
            if not generation.cancelled:
                self._outbox.append((generation.job, token))
        for generation in ended:
            self.pace.ended(time.monotonic() - generation.arrived)
            self.generations.pop(generation.job, None)
        self._keep_within_budget()

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

    def _drain(self) -> None:
        """Let the model go, on a thread that computes."""
        if self._resident and 0 in self._lanes.free:
            self._lanes.start(0, self._runner.close)


@dataclass(frozen=True, eq=False)
class _Piece:
    """A piece of scheduled work as something a lane can call."""

    work: Fill | Decode
    compute: Callable[[Fill | Decode], Any]

    def __call__(self) -> Any:
        return self.compute(self.work)
