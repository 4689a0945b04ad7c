"""Choosing the next token for every row of a batch at once.

Owns what a request's Sampling means, in vLLM's order: logit bias, penalties, grammar, temperature, min_p, top_k, top_p,
draw. Each row has random numbers of its own, so a seed gives the same choices whatever else is in the batch. Nothing
is evaluated here: a choice can be queued behind the step that computes its logits. Knows nothing of models or text.
"""

from __future__ import annotations

import copy
import math
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import mlx.core as mx
import numpy as np

from distill.mlx import cpu
from gateway.engine.inference.job import Constraint, Sampling

_BLOCK = 256  # tokens: a draw falls on a block first and then on a token in it
_NO_VOCABULARY = 1 << 31  # is as large as this
_DRAW_BITS = 23  # a float32 holds (k + 1/2) / 2^23 exactly, and never 0 or 1
_HALVINGS = 18  # of the range in which top_p's cut lies, some 20 nepers: found to about one in 10 000
_TOGETHER = 200_000  # logits: on the CPU larger arrays come from fresh pages each time, which takes twice as long
_IMPOSSIBLE = -9999.0  # the log-probability of what cannot be: JSON has no infinity (the number is vLLM's)
_FORBIDDEN = np.where(  # byte → what is added to the logits of its eight tokens, lowest bit first
    np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little") > 0, 0, -np.inf
).astype(np.float32)


@dataclass(frozen=True)
class Chosen:
    """One token a row; nothing of it is computed yet.

    `logprobs` (rows,) are the tokens' under the model itself; `top` (ids, log-probabilities), each (rows, k) and
    likeliest first, where k is the most that any row asked for; rows that asked for none hold zeros.
    """

    tokens: mx.array
    logprobs: mx.array
    top: tuple[mx.array, mx.array] | None


class Row:
    """One request's side of the choice: what it asked for and what it has said so far. No array belongs to it.

    Its random numbers go on with `accept`: a choice that nobody took can be made again, and comes out the same. They
    hang on seed and place alone (as in Salmon et al. 2011), so that choices can be made ahead.
    """

    def __init__(
        self, sampling: Sampling, prompt: list[int], constraint: Constraint | None = None, top: int = 0
    ) -> None:
        self.sampling = sampling
        self.constraint = constraint
        self.top = top
        self._said = 0
        # what changes logits, as columns: token, bias, repetition penalty, times generated
        self._place: dict[int, int] = {}
        self._tokens, self._bias, self._factor, self._count = array("q"), array("f"), array("f"), array("f")
        for token, bias in sampling.logit_bias.items():
            if 0 <= token < _NO_VOCABULARY:
                self._bias[self._at(token)] = bias
        if sampling.repetition_penalty != 1:
            for token in prompt:
                self._factor[self._at(token)] = sampling.repetition_penalty

    def accept(self, token: int) -> None:
        """Take the token that was chosen."""
        self._said += 1
        if self._penalises:
            place = self._at(token)
            self._factor[place] = self.sampling.repetition_penalty
            self._count[place] += 1
        if self.constraint is not None:
            self.constraint.accept(token)

    def along(self, guessed: Sequence[int]) -> list[Row]:
        """The row as it is now, and as it will be after each of these tokens, should they be chosen."""
        rows = [self]
        for token in guessed:
            later = rows[-1]._copy()
            later.accept(token)
            rows.append(later)
        return rows

    def _copy(self) -> Row:
        row = copy.copy(self)
        row._place = dict(self._place)
        row._tokens, row._bias, row._factor, row._count = (
            self._tokens[:],
            self._bias[:],
            self._factor[:],
            self._count[:],
        )
        row.constraint = self.constraint.copy() if self.constraint is not None else None
        return row

    def edits(self, vocabulary: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
        """(tokens, added, divided by, subtracted): what bias and penalties do to logits; None: nothing.

        Tokens that the vocabulary does not have are left out.
        """
        if not self._tokens:
            return None
        tokens, bias, factor, count = (
            np.array(column) for column in (self._tokens, self._bias, self._factor, self._count)
        )
        less = self.sampling.frequency_penalty * count + self.sampling.presence_penalty * (count > 0)
        known = tokens < vocabulary
        return tokens[known], bias[known], factor[known], less[known].astype(np.float32)

    @property
    def draw(self) -> tuple[float, float]:
        """Two numbers between 0 and 1, neither included, for the next choice."""
        digest = blake2b(f"{self.sampling.seed} {self._said}".encode(), digest_size=8).digest()
        high, low = (int.from_bytes(half, "little") % (1 << _DRAW_BITS) for half in (digest[:4], digest[4:]))
        return (high + 0.5) / (1 << _DRAW_BITS), (low + 0.5) / (1 << _DRAW_BITS)

    @property
    def _penalises(self) -> bool:
        asked = self.sampling
        return bool(asked.presence_penalty or asked.frequency_penalty) or asked.repetition_penalty != 1

    def _at(self, token: int) -> int:
        """The place of a token in the columns, made at its first mention."""
        place = self._place.setdefault(token, len(self._tokens))
        if place == len(self._tokens):
            self._tokens.append(token)
            self._bias.append(0.0)
            self._factor.append(1.0)
            self._count.append(0.0)
        return place


def choose(logits: mx.array, rows: Sequence[Row]) -> Chosen:
    """The next token of every row from logits (rows, vocabulary) of any float type.

    A row whose logits are no numbers gets some token of the vocabulary and disturbs nobody.
    """
    raw = logits.astype(mx.float32)
    most = min(max(row.top for row in rows), raw.shape[-1])
    size = max(_TOGETHER // raw.shape[-1], 1) if cpu.on_cpu() else len(rows)
    parts = [_chosen(raw[i : i + size], rows[i : i + size], most) for i in range(0, len(rows), size)]
    return parts[0] if len(parts) == 1 else _joined(parts)


def _joined(parts: list[Chosen]) -> Chosen:
    tops = [part.top for part in parts if part.top is not None]
    return Chosen(
        mx.concatenate([part.tokens for part in parts]),
        mx.concatenate([part.logprobs for part in parts]),
        (mx.concatenate([ids for ids, _ in tops]), mx.concatenate([values for _, values in tops])) if tops else None,
    )


def _chosen(raw: mx.array, rows: Sequence[Row], most: int) -> Chosen:
    tokens = _picked(_masked(_biased(raw, rows), rows), rows)
    total = _logsumexp(raw)
    found = mx.take_along_axis(raw, tokens[:, None], axis=-1).squeeze(-1)
    return Chosen(tokens, _finite(found - total), _top(raw, total, rows, most) if most else None)


def _biased(logits: mx.array, rows: Sequence[Row]) -> mx.array:
    """Bias and penalties, of all rows in one gather and one scatter.

    The repetition penalty divides what is positive and multiplies what is negative (Keskar et al. 2019, CTRL).
    """
    vocabulary = logits.shape[-1]
    columns = [(i * vocabulary, edits) for i, row in enumerate(rows) if (edits := row.edits(vocabulary)) is not None]
    if not columns:
        return logits
    places = mx.array(np.concatenate([start + edits[0] for start, edits in columns]))
    added, factor, less = (mx.array(np.concatenate([edits[i] for _, edits in columns])) for i in (1, 2, 3))
    flat = logits.flatten()
    values = flat[places] + added
    values = mx.where(values > 0, values / factor, values * factor) - less
    return mx.put_along_axis(flat, places, values, axis=0).reshape(logits.shape)


def _masked(logits: mx.array, rows: Sequence[Row]) -> mx.array:
    """What a grammar forbids at -inf."""
    count, vocabulary = logits.shape
    masks = {i: mask for i, row in enumerate(rows) if row.constraint and (mask := row.constraint.mask()) is not None}
    if not masks:
        return logits
    added = np.zeros((count, vocabulary), np.float32)
    for i, mask in masks.items():
        allowed = _FORBIDDEN[mask.view(np.uint8)].reshape(-1)[:vocabulary]
        added[i, : len(allowed)] = allowed
        added[i, len(allowed) :] = -np.inf  # what the tokenizer does not know
    return logits + mx.array(added)


def _picked(logits: mx.array, rows: Sequence[Row]) -> mx.array:
    """Tokens (rows,): the likeliest for greedy rows, drawn for the others."""
    drawing = [i for i, row in enumerate(rows) if row.sampling.temperature > 0]
    if not drawing:
        return mx.argmax(logits, axis=-1)
    if len(drawing) == len(rows):
        return _drawn(logits, rows)
    drawn = _drawn(logits[mx.array(drawing)], [rows[i] for i in drawing])
    return mx.put_along_axis(mx.argmax(logits, axis=-1), mx.array(drawing), drawn, axis=0)


def _drawn(logits: mx.array, rows: Sequence[Row]) -> mx.array:
    """Draw a token for each row by inverting its distribution function, block by block.

    Sums over blocks lose no small probability to rounding, as one sum over a whole vocabulary in float32 would. What
    has been ruled out weighs at most 1e-38 against a total of at least 1, less than the smallest draw tells apart.
    """
    warmth = mx.array([[1 / row.sampling.temperature] for row in rows], mx.float32)
    weights = _exp((logits - logits.max(axis=-1, keepdims=True)) * warmth)
    weights = _cut(weights, rows)
    blocks = mx.pad(weights, [(0, 0), (0, -weights.shape[-1] % _BLOCK)]).reshape(len(rows), -1, _BLOCK)
    draws = mx.array([row.draw for row in rows], mx.float32)
    block = _inverted(blocks.sum(axis=-1), draws[:, :1])
    inside = mx.take_along_axis(blocks, block[:, None, None], axis=1).squeeze(1)
    token = block * _BLOCK + _inverted(inside, draws[:, 1:])
    return mx.minimum(token, logits.shape[-1] - 1).astype(mx.uint32)


def _inverted(weights: mx.array, draw: mx.array) -> mx.array:
    """For each row of (rows, n) the first place where the running sum exceeds the draw's share of the whole."""
    running = mx.cumsum(weights, axis=-1)
    return (running <= draw * running[:, -1:]).sum(axis=-1)


def _cut(weights: mx.array, rows: Sequence[Row]) -> mx.array:
    """Weights (rows, vocabulary), the largest of each row 1, with what min_p, top_k and top_p rule out at 0."""
    if any(row.sampling.min_p > 0 for row in rows):
        weights = weights * (weights >= mx.array([[row.sampling.min_p] for row in rows], mx.float32))
    narrow = [i for i, row in enumerate(rows) if 0 < row.sampling.top_k < weights.shape[-1]]
    weights = _for_those(narrow, weights, rows, _likeliest)
    return _for_those([i for i, row in enumerate(rows) if row.sampling.top_p < 1], weights, rows, _nucleus)


def _for_those(
    asking: list[int], values: mx.array, rows: Sequence[Row], change: Callable[[mx.array, Sequence[Row]], mx.array]
) -> mx.array:
    """`values` (rows, …) with the rows at the indices `asking` changed."""
    if len(asking) in (0, len(rows)):
        return change(values, rows) if asking else values
    index = mx.array(asking)
    changed = mx.array(values)
    changed[index] = change(values[index], [rows[i] for i in asking])
    return changed


def _likeliest(weights: mx.array, rows: Sequence[Row]) -> mx.array:
    """The `top_k` largest weights of each row; several that equal the last of them all stay."""
    counts = [row.sampling.top_k for row in rows]
    largest = mx.sort(mx.topk(weights, max(counts), axis=-1), axis=-1)  # smallest first
    last = mx.array([[max(counts) - count] for count in counts])
    return weights * (weights >= mx.take_along_axis(largest, last, axis=-1))


def _nucleus(weights: mx.array, rows: Sequence[Row]) -> mx.array:
    """The fewest of the largest weights that together make `top_p` of each row's sum (Holtzman et al. 2020).

    Without sorting: the cut's logarithm is found by halving. All that weighs less than (1 - top_p) / vocabulary of the
    whole can go, so the cut is not below that, nor above the largest weight, which is 1.
    """
    vocabulary = weights.shape[-1]
    total = weights.sum(axis=-1, keepdims=True)
    wanted = total * mx.array([[row.sampling.top_p] for row in rows], mx.float32)
    spare = mx.array([[math.log((1 - row.sampling.top_p) / vocabulary)] for row in rows], mx.float32)
    low, high = mx.log(total) + spare, mx.zeros_like(total)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        enough = (weights * (weights >= mx.exp(middle))).sum(axis=-1, keepdims=True) >= wanted
        low, high = mx.where(enough, middle, low), mx.where(enough, high, middle)
    return weights * (weights >= mx.exp(low))


def _top(raw: mx.array, total: mx.array, rows: Sequence[Row], most: int) -> tuple[mx.array, mx.array]:
    """The `most` likeliest tokens (rows, most) with their log-probabilities, for the rows that want some."""
    ids, values = mx.zeros((len(rows), most), mx.uint32), mx.zeros((len(rows), most))
    asking = mx.array([i for i, row in enumerate(rows) if row.top], mx.uint32)
    if asking.size:
        logits = raw[asking]
        best = mx.argpartition(logits, -most, axis=-1)[:, -most:]
        found = mx.take_along_axis(logits, best, axis=-1)
        order = mx.argsort(-found, axis=-1)
        ids[asking] = mx.take_along_axis(best, order, axis=-1)
        values[asking] = _finite(mx.take_along_axis(found, order, axis=-1) - total[asking, None])
    return ids, values


def _finite(logprobs: mx.array) -> mx.array:
    return mx.where(mx.isfinite(logprobs), logprobs, _IMPOSSIBLE)


def _exp(x: mx.array) -> mx.array:
    return cpu.exp(x) if cpu.on_cpu() else mx.exp(x)


def _logsumexp(x: mx.array) -> mx.array:
    return cpu.logsumexp(x) if cpu.on_cpu() else mx.logsumexp(x, axis=-1)
