"""What a gate is held against: simple rules that order drafts, each as a score.

Owns the rules. Those that look at the draft say -inf of one that is not well-formed where they check that. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from distill.routing.units import Unit
from router.certificate import RULE
from router.features.memory import Memory
from router.features.request import WORDS, features, texts_of
from router.score import scores
from router.verify import fault

Numbers = NDArray[np.float64]
_NEIGHBOURS = 10


def baselines(units: Sequence[Unit], seed: int = 0) -> Mapping[str, Numbers]:
    """The scores of every rule, by name. The nearest neighbours are those of other conversations."""
    chance = np.random.default_rng(seed)
    worse = np.array([unit.worse for unit in units], float)
    valid = np.array([not fault(unit.request, unit.choice) for unit in units])
    sure = np.array([scores(unit.choice).get("confidence", 0.0) for unit in units])
    least = np.array([scores(unit.choice).get("min", 0.0) for unit in units])
    length = np.array([-float(sum(len(message.text) for message in unit.request.messages)) for unit in units])
    return {
        "random": chance.random(len(units)),
        "length rule": length,
        "valid only": np.where(valid, 0.0, -np.inf),
        "min-logprob only": least,
        "valid and min-logprob": np.where(valid, least, -np.inf),
        RULE: np.where(valid, sure, -np.inf),
        "kNN": np.where(valid, _neighbours(units, worse), -np.inf),
        "oracle": -worse,
    }


def _neighbours(units: Sequence[Unit], worse: Numbers) -> Numbers:
    """The share of good drafts among the ten most alike requests, by the cosine of their hashed words."""
    memory = Memory()
    rows, columns, values = [], [], []
    for row, unit in enumerate(units):
        words = features(unit.request, texts_of(unit.request), memory).words
        for place in words:
            rows.append(row)
            columns.append(abs(place) - 1)
            values.append((1.0 if place > 0 else -1.0) / len(words) ** 0.5)
    table = csr_matrix((values, (rows, columns)), shape=(len(units), WORDS))
    near = (table @ table.T).toarray()
    groups = np.array([unit.conversation for unit in units])
    near[groups[:, None] == groups[None, :]] = -np.inf
    nearest = np.argsort(-near, axis=1)[:, :_NEIGHBOURS]
    near_worse: Numbers = worse[nearest]
    return np.asarray(1 - near_worse.mean(axis=1))
