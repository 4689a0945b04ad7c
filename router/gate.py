"""A gate: a small logistic model that says how probable it is that a draft is no worse than the teacher's answer.

Owns its form and how it is applied. How it is trained is distill's; what follows from its score is policy's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from router.features.draft import NAMES as DRAFT_NAMES
from router.features.request import NAMES as REQUEST_NAMES
from router.features.request import Features

RECORDS = ("pattern", "question", "tools")  # of the keys that features have, in their order
PRE_NAMES = (*REQUEST_NAMES, *(f"record_{key}" for key in RECORDS))
POST_NAMES = (*PRE_NAMES, *DRAFT_NAMES)
_PRIOR = 4.0  # units of the mean record that a key's own record is weighed against


class Record(msgspec.Struct, frozen=True):
    """How often a draft was no worse where a key, such as a pattern of questions, was met."""

    units: float
    good: float


class Weights(msgspec.Struct, frozen=True):
    """A logistic model as it is kept: for each of `names` a mean, a scale and a weight, for hashed words a weight by
    their place. `records` are by key, `base` is the share of good ones over all. What it says is taken times `slope`
    plus `intercept`, which calibrates it (Platt 1999)."""

    names: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weight: tuple[float, ...]
    bias: float
    base: float = 0.5
    records: Mapping[str, Record] = {}
    words: Mapping[int, float] = {}
    slope: float = 1.0
    intercept: float = 0.0


class Gate:
    """A gate that is applied. The numbers of what is judged come in the order of `weights.names`, the records' behind
    them."""

    def __init__(self, weights: Weights) -> None:
        if not len(weights.names) == len(weights.mean) == len(weights.scale) == len(weights.weight):
            raise ValueError("a gate has a mean, a scale and a weight for each of its features")
        told = (*weights.mean, *weights.scale, *weights.weight, weights.bias, weights.slope, weights.intercept)
        if not all(map(math.isfinite, (*told, *weights.words.values()))) or min(weights.scale, default=1.0) <= 0:
            raise ValueError("a gate's numbers are finite, and its scales above 0")
        self.weights = weights
        scale = np.array(weights.scale)
        self._weight = np.array(weights.weight) / scale
        self._bias = weights.bias - float(np.dot(self._weight, np.array(weights.mean)))

    def log_odds(self, numbers: Sequence[float], words: Sequence[int] = ()) -> float:
        """The log-odds of a good draft; raises ValueError for another number of features."""
        told = float(np.dot(self._weight, np.array(numbers))) + self._bias
        if words:
            known = self.weights.words
            summed = sum(known.get(abs(place) - 1, 0.0) * (1 if place > 0 else -1) for place in words)
            told += summed / math.sqrt(len(words))
        return told * self.weights.slope + self.weights.intercept

    def parts(self, numbers: Sequence[float]) -> dict[str, float]:
        """What each feature adds to the log-odds, as against its mean: the reasons, for people."""
        away = (np.array(numbers) - np.array(self.weights.mean)) * self._weight * self.weights.slope
        return dict(zip(self.weights.names, map(float, away), strict=True))


def probability(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds)) if log_odds > -700 else 0.0


def recorded(weights: Weights, keys: Sequence[str]) -> list[float]:
    """The record of each key as log-odds; one that nobody met has the record of all."""
    found = []
    for key in keys:
        known = weights.records.get(key, Record(0.0, 0.0))
        share = (known.good + _PRIOR * weights.base) / (known.units + _PRIOR)
        found.append(math.log((share + 1e-3) / (1 - share + 1e-3)))
    return found


def before_draft(weights: Weights, found: Features) -> list[float]:
    """What a gate before the draft is given: the request's numbers, and the records of its keys."""
    return [*found.numbers, *recorded(weights, found.keys)]
