"""Tokenised examples and the batches made of them. Owns grouping, bucketing and padding; knows nothing of models.

A batch's examples begin with the same tokens, the shared prefix (system prompt and tools), which is kept once; what
differs follows as suffixes, padded on the right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from distill.render import Segment

_GROUP_BY = 32  # examples are batched together when their first tokens are the same
_WINDOW = 4  # batches' worth of examples among which like lengths are sought


@dataclass(frozen=True)
class Tokens:
    """One conversation: ids, and for each whether it is learnt (predicted with loss)."""

    ids: np.ndarray  # (length,) int32
    learnt: np.ndarray  # (length,) bool


@dataclass(frozen=True)
class Batch:
    """`prefix` (p,) is shared; `suffixes` (b, s) are padded with 0. Position `rows[i], columns[i]` of the suffixes
    predicts `targets[i]`; there is one such triple for every learnt token."""

    prefix: np.ndarray
    suffixes: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    targets: np.ndarray

    def halves(self, parts: int) -> list[Batch]:
        """The batch as up to `parts` batches of neighbouring rows with the same prefix."""
        return [
            Batch(
                self.prefix,
                self.suffixes[chosen],
                self.rows[mine] - chosen[0],
                self.columns[mine],
                self.targets[mine],
            )
            for chosen in np.array_split(np.arange(len(self.suffixes)), parts)
            if len(chosen)
            for mine in [np.isin(self.rows, chosen)]
        ]


def tokens_of(segments: Iterable[Segment]) -> Tokens:
    """A rendered conversation as one sequence."""
    marked = [(token, segment.learnt) for segment in segments for token in segment.ids]
    learnt = np.array([learnt for _, learnt in marked], dtype=bool)
    learnt[:1] = False  # nothing comes before it that could predict it
    return Tokens(np.array([token for token, _ in marked], dtype=np.int32), learnt)


def epoch(examples: Sequence[Tokens], size: int, seed: int) -> Iterator[Batch]:
    """All examples once, in batches of up to `size`; the same for the same seed.

    Batches hold examples of like length among neighbours in the shuffled order: little is padded, and yet no batch
    is all of one kind, which a sort over everything would make of short and long answers.
    """
    rng = np.random.default_rng(seed)
    groups: dict[bytes, list[Tokens]] = {}
    for index in rng.permutation(len(examples)):
        groups.setdefault(examples[index].ids[:_GROUP_BY].tobytes(), []).append(examples[index])
    batches = []
    for key in sorted(groups):
        for window in _chunks(groups[key], size * _WINDOW):
            batches += _chunks(sorted(window, key=lambda example: len(example.ids)), size)
    for index in rng.permutation(len(batches)):
        yield collate(batches[index])


def collate(examples: Sequence[Tokens]) -> Batch:
    """Examples as one batch. The shared prefix ends before the first learnt token and leaves each suffix a token."""
    limit = min(min(int(np.argmax(e.learnt)), len(e.ids)) - 1 if e.learnt.any() else len(e.ids) - 1 for e in examples)
    cut = _common_prefix([example.ids[: max(limit, 0)] for example in examples])
    suffixes = [example.ids[cut:] for example in examples]
    padded = np.zeros((len(examples), max(map(len, suffixes))), dtype=np.int32)
    for row, suffix in zip(padded, suffixes, strict=True):
        row[: len(suffix)] = suffix
    rows, columns = np.nonzero(np.stack([_padded(e.learnt[cut:], padded.shape[1]) for e in examples]))
    return Batch(examples[0].ids[:cut], padded, rows, columns - 1, padded[rows, columns])


def _chunks(items: list[Tokens], size: int) -> list[list[Tokens]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _padded(mask: np.ndarray, length: int) -> np.ndarray:
    return np.pad(mask, (0, length - len(mask)))


def _common_prefix(sequences: Sequence[np.ndarray]) -> int:
    shortest = min(map(len, sequences))
    stacked = np.stack([sequence[:shortest] for sequence in sequences])
    differs = (stacked != stacked[0]).any(axis=0)
    return int(np.argmax(differs)) if differs.any() else shortest
