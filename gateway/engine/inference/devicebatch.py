"""A batch for a device beside the host, and for models whose attention numpy does not know.

Prompts are computed one after the other. The device computes the next step while the host still looks at the last one's
tokens, at the price of a step too many at each row's end. Owns the joined caches of its rows.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx_lm.models.cache import KVCache, make_prompt_cache

from gateway.engine.inference import rows
from gateway.engine.inference.adapters import AdapterLayers
from gateway.engine.inference.batch import Batch, Piece, Read, Said
from gateway.engine.inference.generation import Generation
from gateway.engine.inference.sampling import Chosen, choose
from gateway.engine.inference.window import WindowCache


class DeviceBatch(Batch):
    """`merged`: join the rows' caches as mlx-lm does, for a model whose attention cannot be done row by row;
    `max_kv_size`: tokens that a row's attention keeps (None: all)."""

    share = 0.25

    def __init__(
        self,
        model: nn.Module,
        adapters: AdapterLayers,
        eos_ids: Collection[int],
        *,
        merged: bool = False,
        max_kv_size: int | None = None,
    ) -> None:
        super().__init__(model, adapters, eos_ids)
        self._merged = merged
        self._max_kv_size = max_kv_size
        self._layers: list[Any] = []
        self._unread: tuple[list[Generation], Chosen] | None = None

    def start(self, generation: Generation, known: list[Any] | None) -> None:
        caches = known or make_prompt_cache(self._model)
        size = self._max_kv_size
        generation.caches = [
            WindowCache(size, generation.job.shared) if size is not None and type(cache) is KVCache else cache
            for cache in caches
        ]

    def join(self, generation: Generation) -> None:
        assert generation.caches is not None
        self._layers = rows.join(self._layers, generation.caches, merged=self._merged)
        generation.caches = None
        self.rows.append(generation)

    def leave(self, generation: Generation) -> None:
        index = self.rows.index(generation)
        generation.caches = [layer.extract(index) for layer in self._layers]
        self.rows.remove(generation)
        keep = [row for row in range(len(self.rows) + 1) if row != index]
        if not keep:
            self._layers = []
        for layer in self._layers:
            layer.filter(keep)

    def step(self, pieces: Sequence[Piece] = ()) -> Said:
        for piece in pieces:
            with self._adapters.applied([piece.generation.job.adapter]):
                self._model(mx.array([piece.tokens]), cache=piece.generation.caches)
            mx.eval([cache.state for cache in piece.generation.caches or ()])
        return self._decode() if self.rows else []

    def _decode(self) -> Said:
        with self._adapters.applied([generation.job.adapter for generation in self.rows]):
            logits = self._model(self._inputs()[:, None], cache=self._layers)[:, -1]
        for generation in self.rows:
            generation.done += 1
        mx.async_eval(logits)  # type: ignore[no-untyped-call]
        before = list(self.rows)
        said = self._read()
        if len(self.rows) < len(before):
            logits = logits[mx.array([before.index(row) for row in self.rows], mx.int32)]
        if self.rows:
            chosen = choose(logits, [generation.row for generation in self.rows])
            self._unread = (list(self.rows), chosen)
            states = [layer.state for layer in self._layers]
            mx.async_eval(chosen.tokens, chosen.logprobs, chosen.top, states)  # type: ignore[no-untyped-call]
        return said

    def _inputs(self) -> mx.array:
        """Each row's last token; those that the host has not read yet as the device has them."""
        if self._unread is None:
            return mx.array([generation.tokens[-1] for generation in self.rows])
        asked, chosen = self._unread
        known = [generation.tokens[-1] for generation in self.rows if generation not in asked]
        tokens = mx.concatenate([chosen.tokens.astype(mx.int32), mx.array(known, mx.int32)])
        places = iter(range(len(asked), len(asked) + len(known)))
        return tokens[mx.array([asked.index(g) if g in asked else next(places) for g in self.rows])]

    def _read(self) -> Said:
        """The tokens chosen last, once they are computed. Rows that left in between are passed over."""
        if self._unread is None:
            return []
        (asked, chosen), self._unread = self._unread, None
        read = Read(chosen)
        said = [
            (generation, read.token(i, generation, self._take(generation, read.ids[i])))
            for i, generation in enumerate(asked)
            if generation in self.rows
        ]
        self._let_ended_go(said)
        return said
