"""What routers come to on the same drafts: one row for each rule, and one for the gates.

Owns the rows. Pure; knows nothing of how drafts were come by or how the table is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from distill.routing.baselines import baselines
from distill.routing.labels import Label
from distill.routing.measures import apgr, aurc, certified, coverage_at, standard_error
from distill.routing.training import Trained
from router.certificate import RULE
from router.gate import probability

Numbers = NDArray[np.float64]
Measure = Callable[[Numbers, Numbers, np.random.Generator], float]
BEFORE_DRAFT = frozenset({"random", "length rule"})  # rules that need no draft: none is wasted
RULES = ("valid and min-logprob", RULE)  # what gates have to beat: the better of both
OURS = "gates"
_DRAWS = 20  # orders by lot of labels with the same score


class Row(msgspec.Struct, frozen=True):
    """A rule at the share that can be certified at 5 %: `coverage` is that share, `risk` how much of it is worse,
    `quality` the share of all answers that are no worse than the teacher's, `wasted` the share of drafted tokens that
    nobody sees, `added` the seconds that rejected drafts cost a request. `apgr`, `aurc` and `possible`, the coverage of
    one who knows all labels, are over all shares."""

    name: str
    coverage: float
    risk: float
    quality: float
    apgr: float
    aurc: float
    possible: float
    wasted: float
    added: float


class Better(msgspec.Struct, frozen=True):
    """By how much the gates' AURC is below that of the better rule, and its standard error over conversations."""

    difference: float
    error: float

    @property
    def ships(self) -> bool:
        """Whether gates go to work: where they beat both rules by more than one standard error."""
        return self.difference > self.error


def scored(labels: Sequence[Label], trained: Trained, ratio: float) -> Mapping[str, Numbers]:
    """The scores of every rule, and of the gates: no draft where the chance that it is good does not pay for it.
    `ratio` is what a draft takes, as a share of what the teacher takes."""
    drafted = _drafted(trained, ratio)
    return {**baselines(labels), OURS: np.where(drafted, np.array(trained.post), -np.inf)}


def rows(labels: Sequence[Label], scores: Mapping[str, Numbers], ratio: float, trained: Trained) -> list[Row]:
    """A row for each rule, after one for the student and one for the teacher alone."""
    worse = np.array([label.worse for label in labels], float)
    tokens = np.array([label.tokens for label in labels], float)
    seconds = np.array([label.draft.seconds for label in labels])
    drafted = _drafted(trained, ratio)
    quality = float(1 - worse.mean())
    found = [
        Row("all student", 1.0, 1 - quality, quality, 0.5, 1 - quality, 0.0, 0.0, 0.0),
        Row("all teacher", 0.0, 0.0, 1.0, 0.5, 0.0, 0.0, 0.0, 0.0),
    ]
    for name, score in scores.items():
        coverage, risk = certified(score, worse, seed=1)
        drafts = np.zeros(len(labels), bool) if name in BEFORE_DRAFT else drafted if name == OURS else ~np.isnan(score)
        served = _at_share(score, coverage)
        lost = drafts & ~served
        found.append(
            Row(
                name,
                coverage,
                risk,
                1 - coverage * risk,
                _mean(apgr, score, worse),
                _mean(aurc, score, worse),
                coverage_at(score, worse, 0.05),
                float(tokens[lost].sum() / tokens[drafts].sum()) if tokens[drafts].sum() else 0.0,
                float(seconds[lost].sum() / len(labels)),
            )
        )
    return found


def better(labels: Sequence[Label], scores: Mapping[str, Numbers]) -> Better:
    """The gates beside the rules, over draws of whole conversations."""
    worse = np.array([label.worse for label in labels], float)

    def difference(chosen: NDArray[np.int64]) -> float:
        chance = np.random.default_rng(0)
        *rules, ours = (aurc(scores[name][chosen], worse[chosen], chance) for name in (*RULES, OURS))
        return min(rules) - ours

    groups = [label.conversation for label in labels]
    return Better(difference(np.arange(len(labels))), standard_error(difference, groups, seed=2))


def _drafted(trained: Trained, ratio: float) -> NDArray[np.bool_]:
    """Where the gates have a draft made."""
    return np.array([probability(told) > ratio for told in trained.pre])


def _at_share(score: Numbers, share: float) -> NDArray[np.bool_]:
    served = np.zeros(len(score), bool)
    served[np.argsort(-score, kind="stable")[: round(share * len(score))]] = True
    return served & np.isfinite(score)


def _mean(measure: Measure, score: Numbers, worse: Numbers) -> float:
    return float(np.mean([measure(score, worse, np.random.default_rng(seed)) for seed in range(_DRAWS)]))
