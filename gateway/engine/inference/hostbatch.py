"""A batch whose attention is numpy's, on the CPU: the tokens of many conversations in one forward pass.

Pieces of prompts are computed in the same pass that gives the rows their next tokens (Orca, Yu et al. 2022), and
guessed tokens of the rows are checked along. Every conversation keeps its own caches throughout, so joining and leaving
cost nothing.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from distill.mlx import attend, head
from gateway.engine.inference.adapters import AdapterLayers
from gateway.engine.inference.batch import Batch, Piece, Read, Said
from gateway.engine.inference.generation import Generation
from gateway.engine.inference.host import Cores, HostCache, HostLayer
from gateway.engine.inference.sampling import choose
from gateway.engine.inference.speculation import Speculation

_ROOM = 256  # tokens of an answer that there is space for from the start


class HostBatch(Batch):
    """What is said does not hang on guesses: a guessed token counts if it is the one that is chosen in its place.

    `speculation` None: nothing is guessed.
    """

    share = 0.0

    def __init__(
        self,
        model: nn.Module,
        adapters: AdapterLayers,
        eos_ids: Collection[int],
        cores: Cores,
        speculation: Speculation | None = None,
    ) -> None:
        super().__init__(model, adapters, eos_ids)
        self._cores = cores
        self._speculation = speculation

    def start(self, generation: Generation, known: list[Any] | None) -> None:
        left = generation.job.max_tokens - generation.generated
        room = len(generation.tokens) + min(left, _ROOM)
        generation.caches = (
            [HostCache.of(cache) for cache in known] if known else [HostCache(room) for _ in self._model.layers]
        )

    def join(self, generation: Generation) -> None:
        self.rows.append(generation)

    def leave(self, generation: Generation) -> None:
        self.rows.remove(generation)

    def step(self, pieces: Sequence[Piece] = ()) -> Said:
        began = time.perf_counter()
        drafts = self._speculation.drafts(self.rows) if self._speculation and self.rows else []
        guesses = [draft.tokens for draft in drafts] or [[] for _ in self.rows]
        try:
            read = self._computed(guesses, pieces)
        except Exception:
            for generation in (*self.rows, *(piece.generation for piece in pieces)):
                _cut(generation)
            raise
        if read is None:
            return []
        said, right = self._accept(guesses, read)
        if self._speculation is not None:
            self._speculation.checked(drafts, right)
            if not pieces:
                self._speculation.took(drafts, time.perf_counter() - began)
        self._let_ended_go(said)
        return said

    def _computed(self, guesses: list[list[int]], pieces: Sequence[Piece]) -> Read | None:
        """One pass over the pieces, and over the rows' last tokens with what is guessed behind them: what is chosen
        behind each of these. None without rows."""
        asked = [[row.tokens[-1], *guess] for row, guess in zip(self.rows, guesses, strict=True)]
        tokens = [*asked, *(piece.tokens for piece in pieces)]
        if not tokens:
            return None
        logits = self._forward([*self.rows, *(piece.generation for piece in pieces)], tokens)
        if not self.rows:
            return None
        along = [row.row.along(guess) for row, guess in zip(self.rows, guesses, strict=True)]
        chosen = choose(logits, [row for rows in along for row in rows])
        mx.eval(chosen.tokens, chosen.logprobs, chosen.top or ())
        return Read(chosen)

    def _forward(self, generations: Sequence[Generation], tokens: Sequence[list[int]]) -> mx.array:
        """The keys and values of these tokens of each generation go into its caches. Logits (n, vocabulary) behind all
        tokens of the rows, which come first; they are not computed yet."""
        counts = [len(some) for some in tokens]
        caches = zip(*(generation.caches or () for generation in generations), strict=True)
        layers = [HostLayer(layer, counts, self._cores) for layer in caches]
        adapters = [g.job.adapter for g, count in zip(generations, counts, strict=True) for _ in range(count)]
        inputs = mx.array([token for some in tokens for token in some])[:, None]
        wanted = sum(counts[: len(self.rows)])
        with self._adapters.applied(adapters), attend.swiglu_by(self._cores.swiglu):
            hidden = head.hidden_states(self._model, inputs, layers)
        with self._adapters.applied(adapters[:wanted]):
            return head.logits(self._model, hidden[:wanted, -1])

    def _accept(self, guesses: list[list[int]], read: Read) -> tuple[Said, list[int]]:
        """The tokens of each row up to the first that was not guessed, or that ends it; how many were guessed."""
        said: Said = []
        right = [0] * len(guesses)
        place = 0
        for i, (generation, guess) in enumerate(zip(self.rows, guesses, strict=True)):
            for k in range(1 + len(guess)):
                token = read.token(place + k, generation, self._take(generation, read.ids[place + k]))
                said.append((generation, token))
                generation.done += 1
                right[i] += guess[k : k + 1] == [token.id]
                if token.finish is not None or right[i] <= k:
                    break
            _cut(generation)
            place += 1 + len(guess)
        return said, right


def _cut(generation: Generation) -> None:
    """Forget what the caches hold beyond what counts as computed."""
    for cache in generation.caches or ():
        cache.offset = min(cache.offset, generation.done)
