"""The model at work: loading it, having steps computed, keeping prefixes.

Owns the model, the batch and what is kept of prompts. Everything belongs to one thread, inside `at_work`. Knows nothing
of order, fairness or the asyncio side.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import structlog
from mlx_lm.models.cache import KVCache, make_prompt_cache

from distill.errors import ModelError
from distill.mlx import allocator, blas, head
from distill.mlx.cpu import on_cpu
from distill.mlx.load import LoadedModel, ModelFacts
from gateway.engine.inference.adapters import Adapter, AdapterLayers
from gateway.engine.inference.batch import Batch, Piece, Said
from gateway.engine.inference.devicebatch import DeviceBatch
from gateway.engine.inference.generation import Generation
from gateway.engine.inference.host import Cores
from gateway.engine.inference.hostbatch import HostBatch
from gateway.engine.inference.job import Job, Sampling
from gateway.engine.inference.limits import Limits
from gateway.engine.inference.scheduler import Step
from gateway.engine.inference.speculation import Speculation
from gateway.engine.prefixes.prefix import PrefixCache, prefix_cache
from gateway.engine.prefixes.shelf import Shelf

_log = structlog.get_logger()
_TRIED = [list(range(1, 16)), list(range(2, 8))]  # the prompts that a model is tried with
_NEAR = 0.05  # what log-probabilities may differ by when a batch computes what the model computes alone
_WRONG = (
    RuntimeError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
)  # what a prompt, or a model, may not be up to


@dataclass(frozen=True)
class Chunk:
    """What was computed of a prompt; `cached` with the first chunk: tokens that did not need to be.

    `error`: why this prompt cannot be computed.
    """

    generation: Generation
    tokens: int
    cached: int | None
    error: Exception | None = None


class ModelRunner:
    """One model, from `open` to `close`."""

    def __init__(
        self,
        load: Callable[[], LoadedModel],
        eos_ids: Collection[int],
        limits: Limits,
        shelf: Callable[[ModelFacts], Shelf] | None,
    ) -> None:
        self._load = load
        self._eos_ids = eos_ids
        self._limits = limits
        self._shelf = shelf
        self._cores = Cores(limits.cores)
        self._admitted: list[Adapter] = []
        self.speculation = Speculation() if limits.speculate else None
        self.prefixes: PrefixCache | None = None  # None: not loaded, or a window's caches, which are never shared
        self.token_bytes = 0  # of keys and values, for each token of a request
        self.row_bytes = 0  # of states that do not grow, for each request
        self.model_bytes = 0

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """A stream of the thread's own, and the cores that it may use."""
        with blas.threads(self._limits.cores), mx.stream(mx.new_thread_local_stream(mx.default_device())):
            try:
                yield
            finally:
                self.close()
                self._cores.close()
                mx.clear_streams()  # a thread that leaves streams behind takes the process down at its exit

    @property
    def share(self) -> float:
        """Of the time of steps with prompts in them, what running streams should get in steps of their own."""
        return self._batch.share

    @property
    def resident(self) -> bool:
        """Whether the model is in memory."""
        return hasattr(self, "_model")

    def open(self) -> ModelFacts:
        """Load the model and try it. Raises ModelError."""
        loaded = self._load()
        self._model = loaded.model
        self._adapters = AdapterLayers(loaded.model)
        for adapter in self._admitted:
            self._adapters.wrap(adapter)
        self.model_bytes = mx.get_active_memory()
        caches = _tried(self._model)
        self.token_bytes = sum(_token_bytes(cache) for cache in caches)
        self.row_bytes = sum(cache.nbytes for cache in caches if not _token_bytes(cache))
        self._batch = self._suitable_batch(caches)
        if self._limits.max_kv_size is None:
            shelf = self._shelf(loaded) if self._shelf else None
            self.prefixes = prefix_cache(caches, self._limits.cache_bytes, shelf)
        return loaded.facts

    def close(self) -> None:
        """Give the memory back. What was kept on disk stays there."""
        if self.prefixes is not None:
            self.prefixes.close()
        for name in ("_model", "_adapters", "_batch"):
            vars(self).pop(name, None)  # MLX objects end on the thread that is told to
        self.prefixes = None
        mx.clear_cache()
        allocator.give_back()

    def admit(self, adapter: Adapter) -> None:
        """Let jobs use this adapter from now on; if the model is not in memory, once it is."""
        self._admitted.append(adapter)
        if self.resident:
            self._adapters.wrap(adapter)

    def dismiss(self, adapter: Adapter) -> None:
        """No further job will use it, unless it is admitted again."""
        self._admitted.remove(adapter)
        if self.prefixes is not None and all(other.digest != adapter.digest for other in self._admitted):
            self.prefixes.forget(adapter.digest)

    def step(self, step: Step, most: int) -> tuple[list[Chunk], Said]:
        """Change the batch's rows, compute at most so many tokens of prompts, and give every row its next tokens."""
        for generation in step.leaving:
            self._batch.leave(generation)
            self._keep(generation)
        for generation in step.joining:
            self._batch.join(generation)
        pieces = self._pieces(step.filling, most)
        failed, said = self._compute(pieces)
        for generation, token in said:
            if token.finish is not None:
                self._keep(generation)
        return [self._computed(piece, failed.get(piece.generation)) for piece in pieces], said

    def _pieces(self, generations: Sequence[Generation], most: int) -> list[Piece]:
        """What of each prompt is computed in a step of so many tokens: of the first one in any case something."""
        pieces: list[Piece] = []
        for generation in generations:
            if most <= 0:
                break
            if generation.caches is None:
                self._start(generation)
            pieces.append(Piece(generation, self._end_of_chunk(generation, most)))
            most -= len(pieces[-1].tokens)
        return pieces

    def _start(self, generation: Generation) -> None:
        """Give a generation its caches, with what is kept of its prompt."""
        before = generation.tokens[:-1]  # the last one is computed as a row's
        caches, known = self.prefixes.fetch(generation.job.key, before) if self.prefixes else (None, 0)
        self._batch.start(generation, caches)
        generation.done = generation.cached = known

    def _end_of_chunk(self, generation: Generation, most: int) -> int:
        """Chunks of equal length, none longer than `most`, and one of them ends with the shared beginning."""
        shared = generation.job.shared
        end = shared if generation.done < shared < len(generation.tokens) else len(generation.tokens) - 1
        left = end - generation.done
        return generation.done + (-(-left // -(-left // most)) if left else 0)

    def _compute(self, pieces: Sequence[Piece]) -> tuple[dict[Generation, Exception], Said]:
        """A forward pass over pieces and rows. If it fails, each piece is tried apart: an error is one prompt's."""
        work = [piece for piece in pieces if piece.tokens]
        try:
            return {}, self._batch.step(work)
        except _WRONG as error:
            if not work:
                raise
            if len(work) == 1:
                return {work[0].generation: error}, []
        failed: dict[Generation, Exception] = {}
        said: Said = []
        for piece in work:
            wrong, more = self._compute([piece])
            failed |= wrong
            said += more
        return failed, said

    def _computed(self, piece: Piece, error: Exception | None) -> Chunk:
        generation, before = piece.generation, piece.generation.done
        if error is not None:
            generation.caches = None
            return Chunk(generation, 0, None, error)
        generation.done = piece.end
        self._keep_prompt(generation)
        return Chunk(generation, piece.end - before, generation.cached if before == generation.cached else None)

    def _keep_prompt(self, generation: Generation) -> None:
        """Keep what will be asked for again: the shared beginning, and the whole prompt."""
        if self.prefixes is None or generation.caches is None:
            return
        job, done = generation.job, generation.done
        if done == job.shared or generation.to_compute == 0:
            self.prefixes.keep(job.key, generation.tokens[:done], generation.caches)
        if generation.to_compute == 0 and 0 < job.shared < len(job.prompt):
            # a prefix that several conversations use is worth more than others
            self.prefixes.used(job.key, job.prompt[: job.shared], job.conversation, job.private)

    def _keep(self, generation: Generation) -> None:
        """Keep what a row that is out of the batch has computed: its conversation may go on."""
        if self.prefixes is not None and generation.caches is not None:
            self.prefixes.keep(generation.job.key, generation.tokens[: generation.done], generation.caches)
        generation.caches = None

    def _suitable_batch(self, caches: list[Any]) -> Batch:
        """The first kind of batch that computes what the model computes alone. Raises ModelError: there is none."""
        model, adapters, size = self._model, self._adapters, self._limits.max_kv_size
        if on_cpu() and size is None and all(type(cache) is KVCache for cache in caches) and head.is_known(model):
            host = HostBatch(model, adapters, self._eos_ids, self._cores, self.speculation)
            if _agrees(host, model):
                return host
        apart = DeviceBatch(model, adapters, self._eos_ids, max_kv_size=size)
        if _agrees(apart, model):
            return apart
        if size is not None:
            raise ModelError("this model's attention does not allow max_kv_size; start it without")
        _log.info("rows are merged", reason="this model does attention in a way of its own")
        return DeviceBatch(model, adapters, self._eos_ids, merged=True)


def _tried(model: nn.Module) -> list[Any]:
    """Caches that have run."""
    caches = make_prompt_cache(model)
    model(mx.array([_TRIED[0]]), cache=caches)
    mx.eval([cache.state for cache in caches])
    return list(caches)


def _agrees(batch: Batch, model: nn.Module) -> bool:
    """Whether two prompts of different lengths go on in the batch as they do alone: models may attend in ways of their
    own. The batch is empty afterwards."""
    trials = [Generation.of(Job([*prompt, 1], 4, Sampling(temperature=0.0))) for prompt in _TRIED]
    try:
        for trial in trials:
            batch.start(trial, None)
        batch.step([Piece(trial, len(trial.tokens) - 1) for trial in trials])
        for trial in trials:
            trial.done = len(trial.tokens) - 1
            batch.join(trial)
        said = batch.step() + batch.step()  # a device's tokens are known a step later
    except _WRONG:
        return False
    finally:
        for row in list(batch.rows):
            batch.leave(row)
    firsts = dict(reversed(said))
    logits = [model(mx.array([trial.job.prompt]))[0, -1].astype(mx.float32) for trial in trials]
    alone = [logits[i][firsts[trial].id] - mx.logsumexp(logits[i]) for i, trial in enumerate(trials)]
    return all(abs(one.item() - firsts[trial].logprob) < _NEAR for one, trial in zip(alone, trials, strict=True))


def _token_bytes(cache: Any) -> int:
    """Bytes that one more token takes in a cache of keys and values; 0 in one of another kind."""
    keys = getattr(cache, "keys", None)
    return (keys.nbytes + cache.values.nbytes) // keys.shape[2] if isinstance(keys, mx.array) else 0
