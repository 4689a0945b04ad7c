"""The generation side's front: jobs in, events out.

Owns the way from the event loop to the generation thread and back. Knows nothing of text, HTTP, or how anything is
computed or ordered.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

import structlog

from distill.mlx.load import LoadedModel, ModelFacts
from gateway.engine.errors import EngineBusy, EngineDown
from gateway.engine.inference import memory
from gateway.engine.inference.adapters import Adapter
from gateway.engine.inference.coordinator import Admit, Cancel, Coordinator, Dismiss, Stop, Submit
from gateway.engine.inference.job import Event, Job, Started, Token
from gateway.engine.inference.limits import Limits
from gateway.engine.inference.runner import ModelRunner
from gateway.engine.prefixes.shelf import Shelf

_log = structlog.get_logger()


@dataclass(frozen=True)
class Stats:
    """The generation side in figures; all but the first three and the ages and bytes are totals since the start."""

    running: int
    queued: int
    filling: int
    prompt_tokens_computed: int
    prompt_tokens_cached: int
    generated: int
    steps: int
    guessed: int
    guessed_right: int
    last_step_age: float  # seconds since anything was computed while there is something to compute; else 0
    cache_bytes: int
    cache_hits: int
    cache_evictions: int
    budget_bytes: int
    used_bytes: int


class Generator:
    """Runs jobs. `open` and everything asynchronous belong to one event loop."""

    def __init__(
        self,
        load: Callable[[], LoadedModel],
        eos_ids: set[int],
        limits: Limits | None = None,
        shelf: Callable[[ModelFacts], Shelf] | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._runner = ModelRunner(load, eos_ids, self._limits, shelf)
        self._coordinator = Coordinator(self._runner, self._limits, self._tell)
        self.on_event: Callable[[Job, Event], None] = lambda job, event: None  # hears every event, on the event loop
        self._thread = threading.Thread(target=self._coordinator.main, name="generation", daemon=True)

    async def open(self) -> ModelFacts:
        """Start the thread and load the model. Raises what loading raises."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        return await asyncio.wrap_future(self._coordinator.opened)

    async def close(self) -> None:
        """Fail what is running and end the thread after the step it is in."""
        self._coordinator.messages.put(Stop())
        await asyncio.to_thread(self._thread.join, 10.0)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive() and not self._coordinator.stopped

    @property
    def running(self) -> int:
        """Jobs under way or waiting."""
        return len(self._coordinator.generations)

    @property
    def longest(self) -> int:
        """Tokens, prompt and answer together, that one request may have without exceeding the memory budget."""
        if self._limits.max_kv_size is not None or not self._runner.token_bytes:
            return 1 << 40
        free = self._coordinator.budget - self._runner.model_bytes - self._runner.row_bytes
        return max(0, free) // self._runner.token_bytes

    def check_room(self, jobs: int = 1) -> None:
        """Raises EngineBusy when so many more jobs would have to wait in a queue that is full."""
        if len(self._coordinator.generations) + jobs > self._limits.batch + self._limits.queue:
            waiting = len(self._coordinator.generations) - self._limits.batch
            raise EngineBusy(retry_after=self._coordinator.pace.wait(waiting / self._limits.batch))

    async def run(self, job: Job) -> AsyncGenerator[Started | Token]:
        """The events of a job. Closing the generator early cancels the job before the next step."""
        self._coordinator.messages.put(Submit(job))
        finished = False
        try:
            if not self.alive:
                raise EngineDown
            while not finished:
                event = await job.events.get()
                finished = not isinstance(event, Started) and (isinstance(event, Exception) or event.finish is not None)
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            if not finished:
                self._coordinator.messages.put(Cancel(job))

    def admit(self, adapter: Adapter) -> None:
        """Let jobs use this adapter from now on."""
        self._coordinator.messages.put(Admit(adapter))

    def dismiss(self, adapter: Adapter) -> None:
        """Forget an adapter; jobs that were given it before go on with it."""
        self._coordinator.messages.put(Dismiss(adapter))

    def stats(self) -> Stats:
        schedule, counters, prefixes = self._coordinator.schedule, self._coordinator.counters, self._runner.prefixes
        kept = prefixes.stats().kept if prefixes is not None else None
        guesses = self._runner.speculation
        waiting = len(schedule.waiting)
        return Stats(
            running=len(self._coordinator.generations) - waiting,
            queued=waiting,
            filling=len(schedule.filling),
            prompt_tokens_computed=counters.computed,
            prompt_tokens_cached=counters.cached,
            generated=counters.generated,
            steps=counters.steps,
            guessed=guesses.guessed if guesses else 0,
            guessed_right=guesses.right if guesses else 0,
            last_step_age=self._coordinator.pace.silence() if self._coordinator.generations else 0.0,
            cache_bytes=kept.nbytes if kept else 0,
            cache_hits=kept.hits if kept else 0,
            cache_evictions=kept.evictions if kept else 0,
            budget_bytes=self._coordinator.budget,
            used_bytes=memory.used(),
        )

    def _tell(self, events: list[tuple[Job, Event]]) -> None:
        """Called on the generation thread."""
        try:
            self._loop.call_soon_threadsafe(self._hand_out, events)
        except RuntimeError:  # the event loop is closed: nobody is left to hear it
            _log.info("events without a listener")

    def _hand_out(self, events: list[tuple[Job, Event]]) -> None:
        for job, event in events:
            self.on_event(job, event)
            job.events.put_nowait(event)
