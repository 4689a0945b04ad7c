"""What a gate is held against: simple rules that order drafts, each as a score.

Owns the rules. Those that look at the draft say -inf of one that is not well-formed where they check that. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from distill.routing.labels import Label
from distill.routing.training import word_table
from router.certificate import RULE
from router.features.memory import Memory
from router.features.request import features, texts_of
from router.score import scores
from router.verify import fault

Numbers = NDArray[np.float64]
_NEIGHBOURS = 10


def baselines(labels: Sequence[Label], seed: int = 0) -> Mapping[str, Numbers]:
    """The scores of every rule, by name. The nearest neighbours are those of other conversations."""
    chance = np.random.default_rng(seed)
    worse = np.array([label.worse for label in labels], float)
    valid = np.array([not fault(label.request, label.choice) for label in labels])
    sure = np.array([scores(label.choice).get("confidence", 0.0) for label in labels])
    least = np.array([scores(label.choice).get("min", 0.0) for label in labels])
    length = np.array([-float(sum(len(message.text) for message in label.request.messages)) for label in labels])
    return {
        "random": chance.random(len(labels)),
        "length rule": length,
        "valid only": np.where(valid, 0.0, -np.inf),
        "min-logprob only": least,
        "valid and min-logprob": np.where(valid, least, -np.inf),
        RULE: np.where(valid, sure, -np.inf),
        "kNN": np.where(valid, _neighbours(labels, worse), -np.inf),
        "oracle": -worse,
    }


def _neighbours(labels: Sequence[Label], worse: Numbers) -> Numbers:
    """The share of good drafts among the ten most alike requests, by the cosine of their hashed words."""
    memory = Memory()
    table = word_table([features(label.request, texts_of(label.request), memory) for label in labels])
    near = (table @ table.T).toarray()
    groups = np.array([label.conversation for label in labels])
    near[groups[:, None] == groups[None, :]] = -np.inf
    nearest = np.argsort(-near, axis=1)[:, :_NEIGHBOURS]
    near_worse: Numbers = worse[nearest]
    return np.asarray(1 - near_worse.mean(axis=1))
