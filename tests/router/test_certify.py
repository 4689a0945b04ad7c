"""Learn then test: its numbers, its guarantee by simulation, and MAPIE's answer to the same question."""

from __future__ import annotations

import numpy as np
import pytest
from mapie.risk_control import BinaryClassificationController

from router.certify import FIRST, Labelled, certify, conversation, needed, needed_for, spent, step, tail, thresholds

ALPHA = DELTA = 0.05


@pytest.mark.parametrize(
    ("alpha", "counts"),
    [
        (0.05, (59, 93, 124, 153, 208, 286, 336, 577)),
        (0.10, (29, 46, 61, 76, 103, 142, 167, 286)),
        (0.02, (149, 236, 313, 386, 523, 719, 845, 1449)),
    ],
)
def test_labels_that_a_number_of_errors_wants(alpha: float, counts: tuple[int, ...]) -> None:
    assert tuple(needed(alpha, DELTA, errors) for errors in (0, 1, 2, 3, 5, 8, 10, 20)) == counts


@pytest.mark.parametrize(("risk", "count"), [(0.01, 124), (0.02, 286), (0.03, 694), (0.04, 2869)])
def test_labels_that_a_true_risk_wants(risk: float, count: int) -> None:
    assert needed_for(ALPHA, DELTA, risk) == count
    for labels in range(count, count + 60):
        allowed = max(
            errors for errors in range(labels) if errors < 0.05 * labels and tail(errors, labels, ALPHA) <= DELTA
        )
        assert tail(allowed, labels, risk) >= 0.8


def test_a_risk_that_is_too_high_never_has_enough() -> None:
    assert needed_for(ALPHA, DELTA, 0.05) is None
    assert needed_for(ALPHA, DELTA, 0.0499) is None


def test_the_tail_of_nothing_is_one() -> None:
    assert tail(0, 0, ALPHA) == 1.0
    assert tail(0, 59, ALPHA) == pytest.approx(0.95**59)


def test_a_level_spent_in_parts_is_spent_once() -> None:
    assert sum(spent(DELTA, times) for times in range(1, 100_000)) == pytest.approx(DELTA, rel=1e-4)


def _world(chance: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores that tell how probable an error is, as a gate would that is good but not perfect: 11 % errors in all, and
    3 of 4 answers may be served before they are above 5 %."""
    score = chance.beta(3.0, 0.9, count)
    return score, chance.random(count) < _risk(score)


def _risk(score: np.ndarray) -> np.ndarray:
    return 0.008 + 0.95 * (1 - score) ** 1.8


def _units(chance: np.random.Generator, count: int) -> list[Labelled]:
    return [step(float(score), bool(worse)) for score, worse in zip(*_world(chance, count), strict=True)]


def test_the_promise_is_kept_in_nearly_all_worlds() -> None:
    """Over 400 samples, each with thresholds of its own, the risk that was certified is exceeded in δ of them at most,
    and two standard errors."""
    chance = np.random.default_rng(8)
    far = _world(chance, 200_000)
    exceeded = found_any = 0
    for _ in range(400):
        found = certify(_units(chance, 500), thresholds(_units(chance, 500), 500, ALPHA), ALPHA, DELTA)
        exceeded += bool(found) and far[1][far[0] >= found.threshold].mean() > ALPHA
        found_any += bool(found)
    assert exceeded / 400 <= DELTA + 2 * (DELTA * (1 - DELTA) / 400) ** 0.5
    assert found_any > 250


@pytest.mark.parametrize(("labels", "share"), [(200, 0.13), (500, 0.39), (1000, 0.54), (3000, 0.70)])
def test_the_student_serves_what_so_many_labels_allow(labels: int, share: float) -> None:
    """Where 77 % could be served by one who knew all labels, and 10.8 % are worse in all."""
    chance = np.random.default_rng(labels)
    far = _world(chance, 200_000)
    assert far[1].mean() == pytest.approx(0.108, abs=0.005)
    running = np.cumsum(far[1][np.argsort(-far[0])]) / np.arange(1, len(far[0]) + 1)
    assert np.nonzero(running <= ALPHA)[0][-1] / len(far[0]) == pytest.approx(0.77, abs=0.02)
    covered = []
    for _ in range(200):
        found = certify(_units(chance, labels), thresholds(_units(chance, labels), labels, ALPHA), ALPHA, DELTA)
        covered.append((far[0] >= found.threshold).mean() if found else 0.0)
    assert np.mean(covered) >= 0.85 * share


def test_a_student_that_is_worse_is_certified_no_oftener_than_promised() -> None:
    """Every score errs 5 % of the time: whatever is certified is not true."""
    chance = np.random.default_rng(9)
    wrong = 0
    for _ in range(1000):
        taught, units = (
            [step(score, worse < 0.0501) for score, worse in chance.random((count, 2)).tolist()] for count in (500, 400)
        )
        wrong += certify(units, thresholds(taught, 400, ALPHA), ALPHA, DELTA) is not None
    assert wrong / 1000 <= DELTA + 2 * (DELTA * (1 - DELTA) / 1000) ** 0.5


def test_a_conversation_is_worse_when_one_answer_that_is_served_is() -> None:
    unit = conversation([(0.9, False), (0.7, True), (0.8, False)])
    assert (unit.score, unit.worse) == (0.9, 0.7)
    units = [unit] * 100 + [conversation([(0.95, False)])] * 100
    found = certify(units, [0.9, 0.75, 0.65], ALPHA, DELTA)
    assert found is not None
    assert (found.threshold, found.accepted, found.errors) == (0.75, 200, 0)


def test_turns_that_err_together_count_once() -> None:
    """Ten answers of a conversation that are right or wrong together: by conversation the promise is kept."""
    chance = np.random.default_rng(10)
    wrong = 0
    for _ in range(500):
        bad = chance.random(150) < 0.06
        units = [conversation([(float(score), bool(one)) for score in chance.random(10)]) for one in bad]
        wrong += certify(units, [0.0], ALPHA, DELTA) is not None
    assert wrong / 500 <= DELTA + 2 * (DELTA * (1 - DELTA) / 500) ** 0.5


def test_thresholds_fall_and_begin_where_there_is_most_hope() -> None:
    taught = _units(np.random.default_rng(1), 3000)
    scores = np.array([unit.score for unit in taught])
    tested = thresholds(taught, 1000, ALPHA)
    assert tested == sorted(tested, reverse=True)
    assert FIRST / 1000 < (scores >= tested[0]).mean() < 0.6
    assert tested[-1] == scores.min()
    assert thresholds(taught, FIRST - 1, ALPHA) == []
    assert thresholds([], 1000, ALPHA) == []


def test_what_is_never_served_is_no_threshold() -> None:
    scores = np.random.default_rng(2).random(2000)
    tested = thresholds([*(step(score, False) for score in scores), *[step(-np.inf, True)] * 1000], 1000, ALPHA)
    assert np.isfinite(tested).all()
    assert tested[-1] < 0.05
    assert thresholds([step(-np.inf, True)] * 1000, 1000, ALPHA) == []


def test_thresholds_in_another_order_are_refused() -> None:
    with pytest.raises(ValueError, match="strictest"):
        certify([step(0.5, False)], [0.1, 0.2], ALPHA, DELTA)


@pytest.mark.filterwarnings("ignore:Fixed sequence testing requires a monotonic risk")  # the exact test does not
@pytest.mark.parametrize("seed", range(6))
def test_mapie_certifies_the_same_thresholds(seed: int) -> None:
    """MAPIE controls the precision of what is predicted positive, 95 % at least: the same hypothesis, the same order of
    tests. Its p-value is an upper bound of the exact one, so that it may stop earlier, never later."""
    chance = np.random.default_rng(seed)
    scores, worse = _world(chance, 2000)
    gate = thresholds(_units(chance, 5000), 2000, ALPHA)
    found = certify([step(*one) for one in zip(scores, worse, strict=True)], gate, ALPHA, DELTA)
    controller = BinaryClassificationController(
        lambda one: np.column_stack([1 - one[:, 0], one[:, 0]]),
        risk="precision",
        target_level=1 - ALPHA,
        confidence_level=1 - DELTA,
        list_predict_params=np.array(gate),
        fwer_method="fixed_sequence",
    )
    controller.calibrate(scores.reshape(-1, 1), (~worse).astype(int))
    theirs = np.asarray(controller.valid_predict_params)
    assert found is not None
    assert len(theirs)
    assert found.threshold <= theirs.min() + 1e-12
    assert {*theirs} <= {*gate}
