"""The layers below the first adapted one: they never change, so what leaves them is computed once and kept.

Owns which examples are computed together, how long the result is kept, and its limit in bytes. Examples are computed
in fixed groups, whatever batch asks first: floating-point sums depend on the shapes they are made in, and a run that
was killed and goes on must see the very same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import mlx.core as mx
import mlx.nn as nn

from distill.mlx import head
from distill.train.forward import run
from distill.train.passes import Pass, passes_of
from distill.train.tokens import Tokens, alphabetical
from distill.train.tree import grow

_GROUP = 64  # examples that are computed together

Piece = tuple[int, mx.array]  # where in its example it begins, (n, width)


class Frozen:
    """The lowest `layers` of a model over `examples`; results are kept up to `budget` bytes, in the end `bytes`."""

    def __init__(
        self,
        model: nn.Module,
        layers: int,
        examples: Sequence[Tokens],
        streams: Sequence[mx.Stream],
        *,
        budget: int,
    ) -> None:
        self.layers = layers
        self._model, self._examples, self._streams = model, examples, streams
        self._groups, self.bytes = _groups(examples, budget, _bytes_a_token(model)) if layers else ({}, 0)
        self._kept: dict[int, list[Piece]] = {}

    @property
    def keeps(self) -> list[int]:
        """The examples whose results are kept, once they were asked for."""
        return list(self._groups)

    def held(self) -> int:
        """Bytes that are kept now."""
        return sum({id(piece): piece.nbytes for pieces in self._kept.values() for _, piece in pieces}.values())

    def entering(self, batch: Sequence[int], passes: Sequence[Pass]) -> list[mx.array]:
        """What enters the first adapted layer, (b, s, width) for each pass over the examples of `batch`."""
        if not self.layers:
            return [self._embedded(step) for step in passes]
        known: dict[int, list[Piece]] = {}
        for index in batch:
            if index not in self._kept and index in self._groups:
                self._kept |= self._computed(self._groups[index])
            if index in self._kept:
                known[index] = self._kept[index]
        known |= self._computed([index for index in batch if index not in known])
        return [_gathered([known[batch[node.examples[0]]] for node in step.nodes], step) for step in passes]

    def _embedded(self, step: Pass) -> mx.array:
        return head.embedded(self._model, mx.array(step.tokens))

    def _computed(self, indices: Sequence[int]) -> dict[int, list[Piece]]:
        """What leaves the frozen layers for these examples, as pieces along each one's path in their tree."""
        if not indices:
            return {}
        examples = [self._examples[index] for index in indices]
        passes = passes_of(examples, grow(examples, least=_GROUP), len(self._streams))
        leaving = run(
            self._model.layers[: self.layers], passes, [self._embedded(step) for step in passes], self._streams
        )
        pieces: dict[int, list[Piece]] = {index: [] for index in indices}
        for step, hidden in zip(passes, leaving, strict=True):
            for row, node in enumerate(step.nodes):
                piece = hidden[row, : len(node)]
                for example in node.examples:
                    pieces[indices[example]].append((node.start, piece))
        mx.eval(
            [piece for mine in pieces.values() for _, piece in mine]
        )  # at once, so that the streams run side by side
        return pieces


def _groups(examples: Sequence[Tokens], budget: int, bytes_a_token: int) -> tuple[dict[int, list[int]], int]:
    """Examples that begin alike in groups, by each of their members, until what they leave would fill the budget; and
    the bytes of that."""
    order = alphabetical(examples)
    groups: dict[int, list[int]] = {}
    filled = 0
    for start in range(0, len(order), _GROUP):
        members = order[start : start + _GROUP]
        chosen = [examples[index] for index in members]
        more = bytes_a_token * sum(len(node) for root in grow(chosen, least=_GROUP) for node in root.all())
        if filled + more > budget:
            break
        filled += more
        groups |= dict.fromkeys(members, members)
    return groups, filled


def _gathered(known: Sequence[list[Piece]], step: Pass) -> mx.array:
    """The rows of a pass, cut out of the pieces of their examples and padded with zeros."""
    longest = step.tokens.shape[1]
    rows = []
    for pieces, node in zip(known, step.nodes, strict=True):
        parts = [
            piece[max(node.start - start, 0) : node.end - start]
            for start, piece in pieces
            if start < node.end and start + len(piece) > node.start
        ]
        row = parts[0] if len(parts) == 1 else mx.concatenate(parts)
        rows.append(mx.pad(row, [(0, longest - len(node)), (0, 0)]))
    return mx.stack(rows)


def _bytes_a_token(model: nn.Module) -> int:
    """Of what leaves a layer."""
    return int(head.embedded(model, mx.array([[0]])).nbytes)
