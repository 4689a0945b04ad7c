"""The model at work: loading it, computing prompts, decoding, keeping prefixes.

Owns the model, the batch and what is kept of prompts. Everything belongs to one thread, inside `at_work`. Knows nothing
of order, fairness or the asyncio side.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import structlog
from mlx_lm.models.cache import KVCache, make_prompt_cache

from distill.errors import ModelError
from distill.mlx import allocator
from distill.mlx.cpu import on_cpu
from distill.mlx.load import LoadedModel, ModelFacts
from gateway.engine import rows
from gateway.engine.adapters import Adapter, AdapterLayers
from gateway.engine.batch import Batch
from gateway.engine.generation import Generation
from gateway.engine.job import Job, Token
from gateway.engine.prefix import PrefixCache, prefix_cache
from gateway.engine.shelf import Shelf
from gateway.engine.window import WindowCache

_log = structlog.get_logger()
_TRIED = 16  # tokens of the trial prompt


@dataclass(frozen=True)
class Chunk:
    """What was computed of a prompt; `cached` with the first chunk: tokens that did not need to be.

    `error`: why this prompt cannot be computed.
    """

    tokens: int
    cached: int | None
    error: Exception | None = None


@dataclass(frozen=True)
class Step:
    """What a decoding step brought: the tokens, and how long it took in seconds."""

    said: list[tuple[Generation, Token]]
    seconds: float


class ModelRunner:
    """One model, from `open` to `close`."""

    def __init__(
        self,
        load: Callable[[], LoadedModel],
        eos_ids: Collection[int],
        cache_bytes: int,
        max_kv_size: int | None,
        shelf: Callable[[ModelFacts], Shelf] | None,
        abreast: int = 1,
    ) -> None:
        """`abreast`: prompts computed side by side, more than one on a CPU only."""
        self._abreast = abreast
        self._load = load
        self._eos_ids = eos_ids
        self._cache_bytes = cache_bytes
        self._max_kv_size = max_kv_size
        self._shelf = shelf
        self._admitted: list[Adapter] = []
        self.prefixes: PrefixCache | None = None  # None: not loaded, or a window's caches, which are never shared
        self.token_bytes = 0  # of keys and values, for each token of a request
        self.row_bytes = 0  # of states that do not grow, for each request
        self.model_bytes = 0

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """The thread's streams, one for each prompt of those abreast; all else uses the first."""
        own = mx.new_thread_local_stream(mx.default_device())
        with mx.stream(own):
            self._streams: list[Any] = [own, *(mx.new_stream(mx.cpu) for _ in range(self._abreast - 1))]
            try:
                yield
            finally:
                self.close()
                mx.clear_streams()  # a thread that leaves streams behind takes the process down at its exit

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
        caches, merged = self._try_out()
        self._batch = Batch(loaded.model, self._adapters, self._eos_ids, ahead=not on_cpu(), merged=merged)
        if self._max_kv_size is None:
            self.prefixes = prefix_cache(caches, self._cache_bytes, self._shelf(loaded) if self._shelf else None)
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

    def _start(self, generation: Generation) -> None:
        """Give a generation its caches, with what is kept of its prompt."""
        before = generation.tokens[:-1]  # the last one is computed in the batch
        caches, known = self.prefixes.fetch(generation.job.key, before) if self.prefixes else (None, 0)
        generation.caches = caches or self._fresh(generation.job.shared)
        generation.done = generation.cached = known

    def fill(self, generations: Sequence[Generation], most: int) -> list[Chunk]:
        """Compute the next chunk of each prompt, at most so many tokens, side by side on streams of their own."""
        chunks = []
        for generation, stream in zip(generations, self._streams, strict=False):
            with mx.stream(stream):
                chunks.append(self._begin_chunk(generation, most))
        mx.eval([cache.state for generation in generations for cache in generation.caches or ()])
        for generation in generations:
            self._end_chunk(generation)
        return chunks

    def decode(self, joining: Sequence[Generation], leaving: Sequence[Generation]) -> Step:
        """Change the batch's rows, and give every row its next token."""
        began = time.perf_counter()
        for generation in leaving:
            self._batch.leave(generation)
            self._keep(generation)
        for generation in joining:
            self._batch.join(generation)
        said = self._batch.step()
        for generation, token in said:
            if token.finish is not None:
                self._keep(generation)
        return Step(said, time.perf_counter() - began)

    def rest(self) -> None:
        """Give back what only the next batch would need."""
        self._batch.clear()

    def _begin_chunk(self, generation: Generation, most: int) -> Chunk:
        """Queue the computation of a chunk; an error is this prompt's alone."""
        first = generation.caches is None
        try:
            if first:
                self._start(generation)
            end, done = self._end_of_chunk(generation, most), generation.done
            if end > done:
                with self._adapters.applied([generation.job.adapter]):
                    self._model(mx.array([generation.tokens[done:end]]), cache=generation.caches)
            generation.done = end
            return Chunk(end - done, generation.cached if first else None)
        except (RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
            generation.caches = None
            return Chunk(0, None, error)

    def _end_chunk(self, generation: Generation) -> None:
        """Keep what will be asked for again: the shared beginning, and the whole prompt."""
        if self.prefixes is None or generation.caches is None:
            return
        job, done = generation.job, generation.done
        if done == job.shared or generation.to_compute == 0:
            self.prefixes.keep(job.key, generation.tokens[:done], generation.caches)
        if generation.to_compute == 0:
            self._tell_of_use(job)

    def _tell_of_use(self, job: Job) -> None:
        """A prefix that several conversations use is worth more than others."""
        if self.prefixes is not None and 0 < job.shared < len(job.prompt):
            self.prefixes.used(job.key, job.prompt[: job.shared], job.conversation, job.private)

    def _end_of_chunk(self, generation: Generation, most: int) -> int:
        """Chunks of equal length, none longer than `most`, and one of them ends with the shared beginning."""
        shared = generation.job.shared
        end = shared if generation.done < shared < len(generation.tokens) else len(generation.tokens) - 1
        left = end - generation.done
        return generation.done + (-(-left // -(-left // most)) if left else 0)

    def _keep(self, generation: Generation) -> None:
        """Keep what a row that is out of the batch has computed: its conversation may go on."""
        if self.prefixes is not None and generation.caches is not None:
            self.prefixes.keep(generation.job.key, generation.tokens[: generation.done], generation.caches)
        generation.caches = None

    def _fresh(self, keep: int) -> list[Any]:
        caches = make_prompt_cache(self._model)
        if self._max_kv_size is None:
            return list(caches)
        return [WindowCache(self._max_kv_size, keep) if type(cache) is KVCache else cache for cache in caches]

    def _try_out(self) -> tuple[list[Any], bool]:
        """A short prompt through the model, then two rows of different lengths: compiles what there is to compile and
        shows what a request costs in memory. Caches that have run, and whether rows have to be merged for decoding.
        """
        prompts = [list(range(1, _TRIED)), list(range(2, _TRIED // 2))]
        caches = [self._prefilled(prompt) for prompt in prompts]
        self.token_bytes = sum(_token_bytes(cache) for cache in caches[0])
        self.row_bytes = sum(cache.nbytes for cache in caches[0] if not _token_bytes(cache))
        alone = mx.concatenate([self._model(mx.array([[*prompt, 1]]))[:, -1] for prompt in prompts])
        try:
            together = self._side_by_side(caches)
            agree = bool(mx.allclose(alone.astype(mx.float32), together.astype(mx.float32), rtol=0.05, atol=0.05))
        except (TypeError, ValueError, AttributeError, IndexError):
            agree = False
        if not agree:
            if self._max_kv_size is not None:
                raise ModelError("this model's attention does not allow max_kv_size; start it without")
            _log.info("rows are merged", reason="this model does attention in a way of its own")
        return self._prefilled(prompts[0]), not agree

    def _prefilled(self, prompt: list[int]) -> list[Any]:
        caches = make_prompt_cache(self._model)
        self._model(mx.array([prompt]), cache=caches)
        mx.eval([cache.state for cache in caches])
        return list(caches)

    def _side_by_side(self, caches: list[list[Any]]) -> mx.array:
        layers: list[Any] = []
        for row in caches:
            layers = rows.join(layers, row, merged=False)
        logits: mx.array = self._model(mx.array([[1], [1]]), cache=layers)[:, -1]
        mx.eval(logits)
        return logits


def _token_bytes(cache: Any) -> int:
    """Bytes that one more token takes in a cache of keys and values; 0 in one of another kind."""
    keys = getattr(cache, "keys", None)
    return (keys.nbytes + cache.values.nbytes) // keys.shape[2] if isinstance(keys, mx.array) else 0
