"""The conversations that get their next token together.

Owns the rows, their caches while they are in, and the step: one forward pass, one token for each row. Knows nothing of
who may join, of text or of time.
"""

from __future__ import annotations

from collections.abc import Collection

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from gateway.engine import rows
from gateway.engine.adapters import AdapterLayers
from gateway.engine.generation import Generation
from gateway.engine.job import Token
from gateway.engine.sampling import Chosen, choose
from gateway.engine.slots import SlotCaches


class Batch:
    """Rows of one model. `ahead`: let the device compute the next step while the host still looks at the last one's
    tokens; worth it where they are two machines, at the price of a step too many at each row's end. `merged`: join the
    rows' caches as mlx-lm does, for a model whose attention cannot be done row by row."""

    def __init__(
        self, model: nn.Module, adapters: AdapterLayers, eos_ids: Collection[int], *, ahead: bool, merged: bool = False
    ) -> None:
        self._model = model
        self._adapters = adapters
        self._eos_ids = eos_ids
        self._ahead = ahead
        self._merged = merged
        self.rows: list[Generation] = []
        self._layers: list[object] = []
        self._unread: tuple[list[Generation], Chosen] | None = None

    def join(self, generation: Generation) -> None:
        """Take in a row whose tokens are computed up to the last one."""
        assert generation.caches is not None
        self._layers = rows.join(self._layers, generation.caches, merged=self._merged)
        generation.caches = None
        self.rows.append(generation)

    def leave(self, generation: Generation) -> None:
        """Let a row go, with its caches."""
        index = self.rows.index(generation)
        generation.caches = [layer.extract(index) for layer in self._layers]  # type: ignore[attr-defined]
        self._drop(index)

    def clear(self) -> None:
        """Give back the memory that an empty batch holds."""
        if not self.rows:
            self._layers = []

    def step(self) -> list[tuple[Generation, Token]]:
        """One forward pass; the tokens that are now known, the rows that ended with one of them being out already."""
        if not self.rows:
            return []
        logits = self._forward()
        said: list[tuple[Generation, Token]] = []
        if self._ahead:
            mx.async_eval(logits)  # type: ignore[no-untyped-call]
            before = list(self.rows)
            said = self._read()
            if len(self.rows) < len(before):
                logits = logits[mx.array([before.index(row) for row in self.rows], mx.int32)]
        if self.rows:
            chosen = choose(logits, [generation.row for generation in self.rows])
            self._unread = (list(self.rows), chosen)
            mx.async_eval(chosen.tokens, chosen.logprobs, chosen.top, self._states())  # type: ignore[no-untyped-call]
            if not self._ahead:
                said = self._read()
        return said

    def _forward(self) -> mx.array:
        with self._adapters.applied([generation.job.adapter for generation in self.rows]):
            logits: mx.array = self._model(self._inputs()[:, None], cache=self._layers)[:, -1]
        for generation in self.rows:
            generation.done += 1
        return logits

    def _inputs(self) -> mx.array:
        """Each row's last token; those that the host has not read yet as the device has them."""
        if self._unread is None:
            return mx.array([generation.tokens[-1] for generation in self.rows])
        asked, chosen = self._unread
        known = [generation.tokens[-1] for generation in self.rows if generation not in asked]
        tokens = mx.concatenate([chosen.tokens.astype(mx.int32), mx.array(known, mx.int32)])
        places = iter(range(len(asked), len(asked) + len(known)))
        return tokens[mx.array([asked.index(g) if g in asked else next(places) for g in self.rows])]

    def _states(self) -> list[object]:
        return [layer.state for layer in self._layers]  # type: ignore[attr-defined]

    def _read(self) -> list[tuple[Generation, Token]]:
        """The tokens chosen last, once they are computed. Rows that left in between are passed over."""
        if self._unread is None:
            return []
        (asked, chosen), self._unread = self._unread, None
        ids, logprobs = np.asarray(chosen.tokens).tolist(), np.asarray(chosen.logprobs).tolist()
        tops = [np.asarray(array).tolist() for array in chosen.top] if chosen.top else None
        said = []
        for i, generation in enumerate(asked):
            if generation in self.rows:
                wanted = generation.row.top
                top = tuple(zip(tops[0][i][:wanted], tops[1][i][:wanted], strict=True)) if tops and wanted else ()
                said.append((generation, Token(ids[i], logprobs[i], self._take(generation, ids[i]), top)))
        for generation, token in reversed(said):  # from the end, so that no row has to move up for one that leaves too
            if token.finish is not None:
                self.leave(generation)
        return said

    def _take(self, generation: Generation, token: int) -> str | None:
        """Add a token to its row; why the row ends with it, if it does."""
        generation.row.accept(token)
        generation.tokens.append(token)
        if token in self._eos_ids:
            return "stop"
        return "length" if generation.generated >= generation.job.max_tokens else None

    def _drop(self, index: int) -> None:
        """Take a row out; the last one takes its place, so that one row at most is moved."""
        order = list(range(len(self.rows) - 1))
        if index < len(order):
            order[index] = len(order)
        self.rows = [self.rows[i] for i in order]
        if not order and not all(isinstance(layer, SlotCaches) for layer in self._layers):
            self._layers = []
        for layer in self._layers:
            layer.filter(order)  # type: ignore[attr-defined]
