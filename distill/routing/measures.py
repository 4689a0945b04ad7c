"""What a router is worth: curves over the share of answers that the student serves, and what they come to.

Owns the measures. Pure: a score for each label, and whether it is worse. Higher scores are served first; -inf is never
served.

PGR is the part of the distance between student and teacher that is made up for; APGR is its mean over the share of
answers that the teacher gives (Ong et al., RouteLLM, arXiv 2406.18665). AURC is the mean risk of what is served over
all shares (Geifman, Uziel and El-Yaniv, arXiv 1805.08206).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from router.certify import certify, step, thresholds

Numbers = NDArray[np.float64]
_SPLITS = 40


def served_first(scores: Numbers, worse: Numbers, chance: np.random.Generator) -> Numbers:
    """Whether each is worse, the highest scores first; those that are alike in an order by lot."""
    order = np.lexsort((chance.random(len(scores)), -scores))
    return worse[order]


def apgr(scores: Numbers, worse: Numbers, chance: np.random.Generator) -> float:
    """1: as good as the teacher at any share; ½: as an order by lot. nan where the student is never worse."""
    errors = float(worse.sum())
    if not errors:
        return float("nan")
    left = np.concatenate([[0.0], np.cumsum(served_first(scores, worse, chance))])  # errors that are served
    return float(np.trapezoid(1 - left / errors, dx=1 / len(scores)))


def aurc(scores: Numbers, worse: Numbers, chance: np.random.Generator) -> float:
    """The mean, over all shares that may be served, of the share of these that is worse."""
    ordered = served_first(scores, worse, chance)
    return float((np.cumsum(ordered) / np.arange(1, len(ordered) + 1)).mean())


def coverage_at(scores: Numbers, worse: Numbers, risk: float) -> float:
    """The largest share at or above one score of which no more than `risk` is worse: what one could serve who knew all
    labels."""
    best = 0
    for value in np.unique(scores[np.isfinite(scores)]):
        served = scores >= value
        if worse[served].mean() <= risk:
            best = max(best, int(served.sum()))
    return best / len(scores) if len(scores) else 0.0


def certified(
    scores: Numbers, worse: Numbers, seed: int, alpha: float = 0.05, delta: float = 0.05
) -> tuple[float, float]:
    """The share that a certificate allows to serve and the share of that which is worse, as means over splits: one
    third gives thresholds, one third labels, one third is served. (0, 0) where nothing is certified."""
    chance = np.random.default_rng(seed)
    covered, errors = [], []
    for _ in range(_SPLITS):
        one, two, three = np.array_split(chance.permutation(len(scores)), 3)
        first = min(120, len(two) // 2)
        tested = thresholds([step(scores[at], bool(worse[at])) for at in one], len(two), alpha, delta, first)
        found = certify([step(scores[at], bool(worse[at])) for at in two], tested, alpha, delta)
        served = three[scores[three] >= found.threshold] if found else three[:0]
        covered.append(len(served) / len(three))
        errors.append(float(worse[served].sum()))
    total = sum(covered) * len(scores) / 3
    return float(np.mean(covered)), float(sum(errors) / total) if total else 0.0


def standard_error(
    measure: Callable[[NDArray[np.int64]], float], groups: Sequence[str], seed: int, draws: int = 300
) -> float:
    """Of a measure of some of the labels, over draws of whole conversations."""
    chance = np.random.default_rng(seed)
    places: dict[str, list[int]] = {}
    for at, group in enumerate(groups):
        places.setdefault(group, []).append(at)
    names = list(places)
    values = []
    for _ in range(draws):
        drawn = chance.integers(len(names), size=len(names))
        values.append(measure(np.array([at for number in drawn for at in places[names[number]]])))
    return float(np.nanstd(values))
