"""A conversation as tokens, with what is learnt of it. Knows nothing of models or batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from distill.render import Segment


@dataclass(frozen=True)
class Tokens:
    """One conversation: ids, and for each whether it is learnt (predicted with loss)."""

    ids: np.ndarray  # (length,) int32
    learnt: np.ndarray  # (length,) bool; never the first, as nothing comes before it that could predict it


def tokens_of(segments: Iterable[Segment]) -> Tokens:
    """A rendered conversation as one sequence."""
    marked = [(token, segment.learnt) for segment in segments for token in segment.ids]
    learnt = np.array([learnt for _, learnt in marked], dtype=bool)
    learnt[:1] = False
    return Tokens(np.array([token for token, _ in marked], dtype=np.int32), learnt)


def alphabetical(examples: Sequence[Tokens]) -> list[int]:
    """The examples by number, in the order of their tokens: those that begin alike are neighbours."""
    keys = [example.ids.astype(">u4").tobytes() for example in examples]  # bytes in the order of their numbers
    return sorted(range(len(examples)), key=keys.__getitem__)


def common(one: np.ndarray, other: np.ndarray) -> int:
    """How many tokens two sequences begin with in common."""
    shorter = min(len(one), len(other))
    differs = one[:shorter] != other[:shorter]
    return int(np.argmax(differs)) if differs.any() else shorter
