"""Training of gates: two small logistic models out of labelled drafts.

Owns the recipe: features, folds by conversation, calibration. What a gate is and how it is applied is the router's.
scikit-learn does the fitting, by night alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler

from distill.errors import DistillError
from distill.routing.labels import Label
from router.features.draft import draft_features
from router.features.memory import Memory
from router.features.request import WORDS, Features, features, texts_of
from router.gate import POST_NAMES, PRE_NAMES, Gate, Record, Weights, before_draft
from router.scorer import Gates
from router.verify import fault

FEWEST = 60  # labels, and of either kind _FEWEST_KIND, below which nothing is learnt
_FEWEST_KIND = 8
_WORDS_FROM = 1000  # labels from which words are looked at
_FOLDS = 5
Numbers = NDArray[np.float64]


class TooFewLabels(DistillError):
    """There is too little to learn a gate from; the rule goes on."""


class Trained(msgspec.Struct, frozen=True):
    """`gates`, and for each label that they were trained on, in order, what gates that had not seen its conversation
    said: log-odds before and after the draft; of a draft that is not well-formed the latter is -inf."""

    gates: Gates
    pre: Sequence[float]
    post: Sequence[float]


def train(labels: Sequence[Label]) -> Trained:
    """Both gates. Raises TooFewLabels, also where all drafts are good, or none is."""
    good = np.array([not label.worse for label in labels], bool)
    groups = np.array([label.conversation for label in labels])
    conversations = len({*groups.tolist()})
    if len(labels) < FEWEST or conversations < _FOLDS or min(good.sum(), (~good).sum()) < _FEWEST_KIND:
        raise TooFewLabels(
            f"a gate is learnt from {FEWEST} labels of {_FOLDS} conversations, {_FEWEST_KIND} of either kind; "
            f"there are {int(good.sum())} good and {int((~good).sum())} worse drafts of {conversations}"
        )
    memory = Memory()
    texts = [texts_of(label.request) for label in labels]
    seen = [features(label.request, said, memory) for label, said in zip(labels, texts, strict=True)]
    formed = np.array([not fault(label.request, label.choice) for label in labels])
    pre, before = _fitted(seen, None, good, np.ones(len(labels), bool), groups)
    drafts = [
        draft_features(label.request, said, label.choice, told)
        for label, said, told in zip(labels, texts, before, strict=True)
    ]
    post, after = _fitted(seen, drafts, good, formed, groups)
    return Trained(Gates(pre, post), before.tolist(), np.where(formed, after, -np.inf).tolist())


def _fitted(
    seen: Sequence[Features],
    drafts: Sequence[Sequence[float]] | None,
    good: NDArray[np.bool_],
    used: NDArray[np.bool_],
    groups: NDArray[Any],
) -> tuple[Weights, Numbers]:
    """A gate on the `used` labels, and what gates that were fitted without their folds say of all.

    Records of keys are told to each label by the labels of the other folds: by itself it would learn itself.
    """
    said = np.zeros(len(seen))
    for learnt, left in GroupKFold(n_splits=_FOLDS, shuffle=True, random_state=0).split(groups, groups=groups):
        fold = _fit(seen, drafts, good, learnt[used[learnt]], groups)
        said[left] = [_apply(fold, seen[at], drafts[at] if drafts else None) for at in left]
    slope, intercept = _platt(said[used], good[used])
    whole = _fit(seen, drafts, good, np.flatnonzero(used), groups)
    return msgspec.structs.replace(whole, slope=slope, intercept=intercept), said * slope + intercept


def _fit(
    seen: Sequence[Features],
    drafts: Sequence[Sequence[float]] | None,
    good: NDArray[np.bool_],
    chosen: NDArray[np.int64],
    groups: NDArray[Any],
) -> Weights:
    records, base = _records(seen, good, chosen), float((good[chosen].sum() + 1) / (len(chosen) + 2))
    shell = Weights((), (), (), (), 0.0, base=base)
    numbers = np.array(_told_by_others(seen, drafts, good, chosen, groups, shell))
    scaler = StandardScaler().fit(numbers)
    inputs: Any = scaler.transform(numbers)
    with_words = len(chosen) >= _WORDS_FROM and drafts is None
    if with_words:
        inputs = hstack([csr_matrix(inputs), word_table([seen[at] for at in chosen])]).tocsr()
    own = numbers.shape[1]
    if len({*good[chosen].tolist()}) < 2:  # a fold without a worse draft, or without a good one
        weight, bias = np.zeros(own), float(np.log(base / (1 - base)))
    else:
        model = LogisticRegression(C=0.1 if len(chosen) < 300 else 0.3, max_iter=2000).fit(inputs, good[chosen])
        weight, bias = model.coef_[0], float(model.intercept_[0])
    words = {int(at): float(weight[own + at]) for at in np.flatnonzero(weight[own:])} if with_words else {}
    return Weights(
        names=POST_NAMES if drafts is not None else PRE_NAMES,
        mean=tuple(map(float, scaler.mean_)),
        scale=tuple(map(float, scaler.scale_)),
        weight=tuple(map(float, weight[:own])),
        bias=bias,
        base=base,
        records=records,
        words=words,
    )


def _told_by_others(
    seen: Sequence[Features],
    drafts: Sequence[Sequence[float]] | None,
    good: NDArray[np.bool_],
    chosen: NDArray[np.int64],
    groups: NDArray[Any],
    shell: Weights,
) -> list[list[float]]:
    """The inputs of the chosen labels, their records by the labels of other fifths of the conversations."""
    fifth = np.unique(groups[chosen], return_inverse=True)[1] % _FOLDS
    told: dict[int, list[float]] = {}
    for number in range(_FOLDS):
        mine, others = chosen[fifth == number], chosen[fifth != number]
        known = msgspec.structs.replace(shell, records=_records(seen, good, others))
        told |= {int(at): _inputs(known, seen[at], drafts[at] if drafts else None) for at in mine}
    return [told[int(at)] for at in chosen]


def _inputs(weights: Weights, found: Features, draft: Sequence[float] | None) -> list[float]:
    return [*before_draft(weights, found), *(draft or ())]


def _apply(weights: Weights, found: Features, draft: Sequence[float] | None) -> float:
    return Gate(weights).log_odds(_inputs(weights, found, draft), found.words)


def _records(seen: Sequence[Features], good: NDArray[np.bool_], chosen: NDArray[np.int64]) -> Mapping[str, Record]:
    """How often each key was met, and how often the draft was good then."""
    counts: dict[str, list[float]] = {}
    for at in chosen:
        for key in seen[at].keys:
            count = counts.setdefault(key, [0.0, 0.0])
            count[0] += 1
            count[1] += bool(good[at])
    return {key: Record(met, hits) for key, (met, hits) in counts.items() if met > 1}


def word_table(seen: Sequence[Features]) -> csr_matrix:
    """The hashed words of each request, (requests, WORDS), each row of length 1."""
    rows = [row for row, found in enumerate(seen) for _ in found.words]
    places = [abs(place) - 1 for found in seen for place in found.words]
    values = [(1.0 if place > 0 else -1.0) / len(found.words) ** 0.5 for found in seen for place in found.words]
    return csr_matrix((values, (rows, places)), shape=(len(seen), WORDS))


def _platt(said: Numbers, good: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and intercept that make probabilities of log-odds (Platt 1999); a slope that is not positive would turn the
    order round, so then only the intercept is right."""
    model = LogisticRegression(C=1e6, max_iter=2000).fit(said.reshape(-1, 1), good)
    slope = float(model.coef_[0][0])
    return (slope, float(model.intercept_[0])) if slope > 0 else (1.0, 0.0)
