"""The generation thread: it alone touches MLX. Owns the model, the batch, the prefix tree and the adapters' weights.

The asyncio side puts commands into a thread-safe queue and gets events back; the thread looks at the queue between two
steps, so a job is cancelled, and an adapter put in place, while no computation is under way. Requests of different
adapters do not share a batch: the queue is served in order, and the weights change when the batch has run empty.
Knows nothing of text, HTTP or settings.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import mlx.core as mx
import numpy as np
import structlog
from mlx_lm.generate import BatchGenerator
from mlx_lm.models.cache import KVCache, make_prompt_cache

from distill.mlx.load import LoadedModel, on_cpu
from gateway.engine.adapters import Adapter, Switch
from gateway.engine.errors import EngineDown
from gateway.engine.prefix import PrefixTree, common
from gateway.engine.sampling import Sampler

_log = structlog.get_logger()
_WORTH_WAITING = 32  # tokens: a shared prefix shorter than this is computed twice rather than waited for

T = TypeVar("T")


@dataclass(frozen=True)
class Started:
    """The prompt is being computed; `cached` of its tokens did not need to be."""

    cached: int


@dataclass(frozen=True)
class Token:
    """One generated token with its log-probability. `finish` is "stop" or "length" on the last one."""

    id: int
    logprob: float
    finish: str | None


Event = Started | Token | Exception


@dataclass(eq=False)
class Job:
    """What to generate. `max_tokens` ≥ 1; `prompt` is not empty and fits the model's context."""

    prompt: list[int]
    max_tokens: int
    sampler: Sampler
    adapter: Adapter | None = None
    events: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)

    @property
    def key(self) -> str | None:
        return self.adapter.digest if self.adapter else None


@dataclass(frozen=True)
class _Submit:
    job: Job


@dataclass(frozen=True)
class _Cancel:
    job: Job


@dataclass(frozen=True)
class _Call:
    function: Callable[[], Any]
    future: Future[Any]


class _Stop:
    pass


_Command = _Submit | _Cancel | _Call | _Stop


@dataclass(frozen=True)
class Limits:
    """What the thread may use: jobs in one batch, prompt tokens of each per step, bytes of kept prefixes.

    `prefill_batch` prompts are computed together; None: one on the CPU, whose caches a batch of prompts overruns
    (measured: 8 prompts together took 1.4 times as long as one after the other), and 8 elsewhere.
    """

    batch: int = 16
    prefill_step: int = 256
    cache_bytes: int = 1 << 30
    prefill_batch: int | None = None


class Generator:
    """Runs jobs on a thread of its own. `open` and everything asynchronous belong to one event loop."""

    def __init__(self, load: Callable[[], LoadedModel], eos_ids: set[int], limits: Limits | None = None) -> None:
        self._load = load
        self._eos_ids = eos_ids
        self._limits = limits or Limits()
        self._commands: queue.SimpleQueue[_Command] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._main, name="generation", daemon=True)
        self._pending: deque[Job] = deque()
        self._running: dict[int, Job] = {}
        self._filling: set[int] = set()  # running, but the prompt is not computed yet
        self._outbox: list[tuple[Job, Event]] = []
        self._stopped = False
        self.failure: BaseException | None = None
        self.prompt_tokens_computed = 0

    async def open(self) -> LoadedModel:
        """Start the thread and load the model. Raises what loading raises."""
        self._loop = asyncio.get_running_loop()
        self._opened: Future[LoadedModel] = Future()
        self._thread.start()
        return await asyncio.wrap_future(self._opened)

    async def close(self) -> None:
        """Fail what is running and end the thread after the step it is in."""
        self._commands.put(_Stop())
        await asyncio.to_thread(self._thread.join, 10.0)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive() and not self._stopped

    @property
    def running(self) -> int:
        """Jobs in the batch or waiting for it."""
        return len(self._running) + len(self._pending)

    async def run(self, job: Job) -> AsyncGenerator[Started | Token]:
        """The events of a job. Closing the generator early cancels the job before the next step."""
        self._commands.put(_Submit(job))
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
                self._commands.put(_Cancel(job))

    async def load_adapter(self, name: str, folder: Path) -> Adapter:
        """Read an adapter and make it ready. Raises AdapterError with the reason when it does not fit."""
        return await self._call(lambda: self._switch.load(name, folder))

    async def forget(self, digest: str) -> None:
        """Drop the prefixes kept for an adapter that is not needed any more."""
        await self._call(lambda: self._tree.forget(digest))

    async def _call(self, function: Callable[[], T]) -> T:
        """Run `function` on the generation thread between two steps; its result, or what it raises."""
        future: Future[T] = Future()
        self._commands.put(_Call(function, future))
        if not self.alive:
            raise EngineDown
        return await asyncio.wrap_future(future)

    # From here on: the generation thread.

    def _main(self) -> None:
        try:
            with mx.stream(mx.new_thread_local_stream(mx.default_device())) as stream:
                if self._setup(stream):
                    self._serve()
        except Exception as error:  # noqa: BLE001 - the edge of the thread: its jobs must hear of it
            self.failure = error
            _log.exception("generation thread died")
            if not self._opened.done():
                self._opened.set_exception(error)
        finally:
            self._stopped = True
            self._fail_all()
            for name in ("_batch", "_tree", "_switch"):
                vars(self).pop(name, None)  # MLX objects end on the thread that made them
            mx.clear_streams()  # a thread that leaves streams behind takes the process down at its exit

    def _setup(self, stream: Any) -> bool:
        try:
            model = self._load()
        except Exception as error:  # noqa: BLE001 - handed on to whoever waits in open()
            self._opened.set_exception(error)
            return False
        self._switch = Switch(model.model)
        self._shareable = all(type(cache) is KVCache for cache in make_prompt_cache(model.model))
        self._tree = PrefixTree(self._limits.cache_bytes if self._shareable else 0)
        self._batch = BatchGenerator(
            model.model,
            stop_tokens=[[token] for token in self._eos_ids],
            completion_batch_size=self._limits.batch,
            prefill_batch_size=min(self._limits.prefill_batch or (1 if on_cpu() else 8), self._limits.batch),
            prefill_step_size=self._limits.prefill_step,
            stream=stream,
        )
        self._opened.set_result(model)
        return True

    def _serve(self) -> None:
        while self._obey():
            self._admit()
            if self._running:
                self._step()
            self._deliver()

    def _obey(self) -> bool:
        """Carry out the commands that have come in; with nothing to compute, wait for one. False: stop."""
        wait = not self._running and not self._pending
        while wait or not self._commands.empty():
            wait = False
            match self._commands.get():
                case _Submit(job):
                    self._pending.append(job)
                case _Cancel(job):
                    self._cancel(job)
                case _Call(function, future):
                    _settle(future, function)
                case _Stop():
                    return False
        return True

    def _cancel(self, job: Job) -> None:
        if job in self._pending:
            self._pending.remove(job)
        for uid in [uid for uid, running in self._running.items() if running is job]:
            kept = self._batch.remove([uid], return_prompt_caches=self._shareable and uid not in self._filling)
            for cache, tokens in kept.values():
                self._tree.keep(job.key, tokens, cache)
            self._drop(uid)

    def _drop(self, uid: int) -> None:
        del self._running[uid]
        self._filling.discard(uid)

    def _admit(self) -> None:
        """Move jobs into the batch, in order, as long as they suit the weights in place and there is room."""
        waiting: deque[Job] = deque()
        while self._pending and len(self._running) < self._limits.batch:
            job = self._pending[0]
            if job.adapter is not self._switch.active:
                if self._running or waiting:
                    break
                self._switch.activate(job.adapter)
            self._pending.popleft()
            if self._prefix_is_coming(job):
                waiting.append(job)
            else:
                self._insert(job)
        self._pending.extendleft(reversed(waiting))

    def _prefix_is_coming(self, job: Job) -> bool:
        """Whether a prompt that is being computed begins like this one, further than what is kept already."""
        if not self._shareable or not self._filling:
            return False
        kept = self._tree.match(job.key, job.prompt)
        shared = max(common(self._running[uid].prompt, job.prompt) for uid in self._filling)
        return bool(shared - kept >= _WORTH_WAITING)

    def _insert(self, job: Job) -> None:
        cache, cached = self._tree.fetch(job.key, job.prompt[:-1])  # one token must be left to compute
        [uid] = self._batch.insert(
            [job.prompt[cached:]],
            max_tokens=[job.max_tokens],
            caches=[cache] if cache else None,
            all_tokens=[job.prompt[:cached]],
            samplers=[job.sampler],
        )
        self._running[uid] = job
        if len(job.prompt) - cached > 1:
            self._filling.add(uid)
        self.prompt_tokens_computed += len(job.prompt) - cached
        self._outbox.append((job, Started(cached)))

    def _step(self) -> None:
        prompts, generated = self._batch.next()
        for progress in prompts:
            if progress.end_of_segment and progress.uid in self._filling:
                self._filling.discard(progress.uid)
                if self._shareable:
                    [(cache, tokens)] = self._batch.extract_cache([progress.uid]).values()
                    self._tree.keep(self._running[progress.uid].key, list(tokens), cache)
        for response in generated:
            job = self._running[response.uid]
            token = Token(response.token, _chosen(response.logprobs, response.token), response.finish_reason)
            self._outbox.append((job, token))
            if response.finish_reason is not None:
                if self._shareable:
                    self._tree.keep(job.key, response.all_tokens, response.prompt_cache)
                self._drop(response.uid)

    def _deliver(self) -> None:
        if self._outbox:
            events, self._outbox = self._outbox, []
            self._tell(_hand_out, events)

    def _fail_all(self) -> None:
        """Nothing runs any more: everyone who waits hears it."""
        lost = [*self._running.values(), *self._pending]
        self._running.clear()
        self._pending.clear()
        while not self._commands.empty():
            match self._commands.get():
                case _Submit(job):
                    lost.append(job)
                case _Call(_, future):
                    future.set_exception(EngineDown())
                case _:
                    pass
        self._outbox.extend((job, EngineDown()) for job in lost)
        self._deliver()

    def _tell(self, function: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the event loop is closed: nobody is left to hear it
            _log.info("events without a listener")


def _hand_out(events: list[tuple[Job, Event]]) -> None:
    for job, event in events:
        job.events.put_nowait(event)


def _settle(future: Future[Any], function: Callable[[], Any]) -> None:
    try:
        future.set_result(function())
    except Exception as error:  # noqa: BLE001 - belongs to the caller, on the other side of the queue
        future.set_exception(error)


def _chosen(logprobs: mx.array, token: int) -> float:
    """One number out of a row that is computed already.

    Any operation of MLX's would queue behind the step that runs ahead; float32 can be read where it lies.
    """
    if logprobs.dtype == mx.float32:
        return float(np.asarray(logprobs)[token])
    return float(logprobs[token])
