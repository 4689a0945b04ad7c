"""Learn then test: from which score on the student may serve, so that few of its answers are worse than the teacher's.

Owns the test and the arithmetic of sample sizes. Knows nothing of how scores or labels came about; what it is given has
to be drawn as requests are, and the thresholds must be fixed before any label is looked at.

The guarantee (Angelopoulos, Bates, Candès, Jordan and Lei, Learn then Test, arXiv 2110.01052): each threshold λ is the
null hypothesis "of what scores λ or more, a share above α is worse". Thresholds are tested from the strictest to the
loosest, each at level δ with the exact binomial tail, until one is not rejected. Then the probability that any rejected
one was true is δ at most. So it is where parts of δ begin at several of them, and what a rejected one was tested at
goes on to the next (the fallback procedure: Wiens and Dmitrienko, Journal of Biopharmaceutical Statistics 15, 2005).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, bdtrc, betainc  # the binomial distribution; scipy.stats would take a second to import

from router.certificate import Missing, Proven

FIRST = 120  # accepted answers at the strictest threshold: about 2 ln(1/δ) / -ln(1-α), so that it may have an error
_STEPS = 40  # thresholds that are tested
_POWER = 0.8
_STARTS = 2  # thresholds at which a part of δ begins
_ROOM = 1.25  # times as many as have to be accepted: a quantile of few taught units is a rough one
_MOST = 20_000  # labels beyond which nobody waits
_SHARES = np.linspace(0.1, 1.0, 10)  # of units that are looked at for what is missing

Scores = NDArray[np.float64]


class Labelled(msgspec.Struct, frozen=True):
    """What was found of one unit, a step or a conversation: its highest `score`, and the highest score among its
    answers that were `worse` than the teacher's, -inf where none was."""

    score: float
    worse: float = -math.inf


class Hypothesis(NamedTuple):
    """A threshold, and the `part` of the level that begins there."""

    threshold: float
    part: float


def step(score: float, worse: bool) -> Labelled:
    """One answer as a unit."""
    return Labelled(score, score if worse else -math.inf)


def conversation(steps: Sequence[tuple[float, bool]]) -> Labelled:
    """A conversation as a unit, out of the scores of its answers and whether each was worse: one that is served and
    worse makes the conversation worse."""
    return Labelled(
        max(score for score, _ in steps), max((score for score, worse in steps if worse), default=-math.inf)
    )


def thresholds(
    taught: Sequence[Labelled], labels: int, alpha: float, delta: float, first: int = FIRST
) -> list[Hypothesis]:
    """The thresholds to be tested at level `delta` where there are so many `labels`, strictest first; none where there
    are too few.

    They are quantiles of the scores of `taught` units, which are others than the labels. Half of the level begins where
    these promise the smallest p-value: a stricter threshold has fewer errors, but so few units that one error too many,
    by chance, would end the test. As few taught units may promise too much, the other half begins at the strictest: it
    accepts `first` labels, or as many as have to be without an error, and some.
    """
    if not taught or labels < first:
        return []
    scores, worse = _columns(taught)
    first = min(labels, max(first, math.ceil(_ROOM * needed(alpha, delta / _STARTS, 0))))
    shares = np.linspace(first / labels, 1.0, _STEPS)
    quantiles = np.quantile(scores, 1 - shares, method="inverted_cdf")
    found = sorted({float(value) for value in quantiles if math.isfinite(value)}, reverse=True)
    promised = []
    for threshold in found:
        accepted = float((scores >= threshold).mean()) * labels
        errors = float((worse >= threshold).mean()) * labels
        promised.append(betainc(accepted - errors, errors + 1, 1 - alpha))  # the tail, for counts that are not whole
    starts = [0, int(np.argmin(promised))] if promised else []
    return [Hypothesis(threshold, starts.count(at) / _STARTS) for at, threshold in enumerate(found)]


def _columns(units: Sequence[Labelled]) -> tuple[Scores, Scores]:
    return np.array([unit.score for unit in units]), np.array([unit.worse for unit in units])


def certify(units: Sequence[Labelled], tested: Sequence[Hypothesis], alpha: float, delta: float) -> Proven | None:
    """The loosest of the thresholds that can be certified; None: none of those at which a part of `delta` begins.

    Raises ValueError for thresholds that are not in falling order, since the order is part of the test, and for parts
    that are more than all.
    """
    if any(one.threshold <= other.threshold for one, other in pairwise(tested)):
        raise ValueError("thresholds are tested from the strictest to the loosest")
    if sum(one.part for one in tested) > 1:
        raise ValueError("the parts of the level are more than all of it")
    scores, worse = _columns(units)
    found, level = None, 0.0
    for threshold, part in tested:
        level += part * delta
        accepted, errors = int((scores >= threshold).sum()), int((worse >= threshold).sum())
        p_value = tail(errors, accepted, alpha)
        if p_value > level:
            level = 0.0
            continue
        found = Proven(threshold, accepted, errors, len(units), p_value)
    return found


def tail(errors: int, accepted: int, alpha: float) -> float:
    """How probable at most so many errors among so many are, where a share of `alpha` is wrong: the exact p-value of
    "more than α are"; 1 where nothing was accepted."""
    return float(bdtr(errors, accepted, alpha)) if accepted else 1.0


def spent(delta: float, times: int) -> float:
    """The level of the `times`-th test on the same labels, from 1 on: all of them together stay below δ, since the sum
    of 1/k² is π²/6."""
    return 6 * delta / (math.pi**2 * times**2)


def needed(alpha: float, delta: float, errors: int) -> int:
    """How many accepted labels certify α at level δ, where so many of them are errors."""
    counts = np.arange(errors + 1, _MOST)
    return int(counts[np.argmax(bdtr(errors, counts, alpha) <= delta)])


def needed_for(alpha: float, delta: float, risk: float, power: float = 0.8) -> int | None:
    """How many accepted labels, and any number above, certify α at level δ with this probability, where a share of
    `risk` is truly worse; None: more than anybody waits for."""
    if risk >= alpha:
        return None
    begun = 0  # the fewest labels that allow as many errors as `count` do: with more the power falls, up to the next
    allowed = -1
    for count in range(1, _MOST):
        if bdtr(allowed + 1, count, alpha) <= delta:
            if allowed >= 0 and bdtr(allowed, count - 1, risk) >= power:
                return begun
            begun, allowed = count, allowed + 1
    return None


def missing(
    labels: Sequence[Labelled], taught: Sequence[Labelled], alpha: float, delta: float, first: int = FIRST
) -> Missing:
    """What is missing where no threshold was certified: at the one where, by all that is known, it is there soonest.
    With fewer than `first` accepted labels none is tested."""
    scores, worse = _columns([*taught, *labels])
    soonest, chosen, likely = math.inf, float(scores.min(initial=math.inf, where=np.isfinite(scores))), None
    for share in _SHARES:
        threshold = float(np.quantile(scores, 1 - share, method="inverted_cdf"))
        if not math.isfinite(threshold):
            continue
        accepted, errors = int((scores >= threshold).sum()), int((worse >= threshold).sum())
        found = needed_for(alpha, delta / _STARTS, _likely_risk(errors, accepted, 0.4 * alpha), _POWER)
        if found is not None and max(found, first) * len(scores) / accepted < soonest:
            likely, chosen = max(found, first), threshold
            soonest = likely * len(scores) / accepted
    own, bad = _columns([unit for unit in labels if unit.score > -math.inf])
    return Missing(len(labels), int((own >= chosen).sum()), int((bad >= chosen).sum()), likely)


def _likely_risk(errors: int, accepted: int, hoped: float) -> float:
    """The risk that was seen, with half an error more among one more; what is hoped for, where there are few and they
    do not speak against it."""
    seen = (errors + 0.5) / (accepted + 1)
    few = accepted < FIRST and bdtrc(errors - 1, accepted, hoped) > 0.05
    return min(seen, hoped) if few or not errors else seen


def holds(tested: Proven, alpha: float, delta: float) -> bool:
    """Whether the numbers of a certified threshold bear it out."""
    return tail(tested.errors, tested.accepted, alpha) <= delta
