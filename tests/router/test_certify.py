"""Learn then test: its numbers, its guarantee by simulation, and MAPIE's answer to the same question."""

from __future__ import annotations

import numpy as np
import pytest
from mapie.risk_control import BinaryClassificationController

from router.certify import (
    FIRST,
    Hypothesis,
    Labelled,
    certify,
    conversation,
    needed,
    needed_for,
    spent,
    step,
    tail,
    thresholds,
)

ALPHA = DELTA = 0.05


def whole(*thresholds: float) -> list[Hypothesis]:
    """All of the level begins at the strictest."""
    return [Hypothesis(one, float(at == 0)) for at, one in enumerate(thresholds)]


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
        found = certify(_units(chance, 500), thresholds(_units(chance, 500), 500, ALPHA, DELTA), ALPHA, DELTA)
        exceeded += bool(found) and far[1][far[0] >= found.threshold].mean() > ALPHA
        found_any += bool(found)
    assert exceeded / 400 <= DELTA + 2 * (DELTA * (1 - DELTA) / 400) ** 0.5
    assert found_any > 250


@pytest.mark.parametrize(("labels", "share"), [(200, 0.12), (500, 0.39), (1000, 0.54), (3000, 0.70)])
def test_the_student_serves_what_so_many_labels_allow(labels: int, share: float) -> None:
    """Where 77 % could be served by one who knew all labels, and 10.8 % are worse in all."""
    chance = np.random.default_rng(labels)
    far = _world(chance, 200_000)
    assert far[1].mean() == pytest.approx(0.108, abs=0.005)
    running = np.cumsum(far[1][np.argsort(-far[0])]) / np.arange(1, len(far[0]) + 1)
    assert np.nonzero(running <= ALPHA)[0][-1] / len(far[0]) == pytest.approx(0.77, abs=0.02)
    covered = []
    for _ in range(200):
        found = certify(_units(chance, labels), thresholds(_units(chance, labels), labels, ALPHA, DELTA), ALPHA, DELTA)
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
        wrong += certify(units, thresholds(taught, 400, ALPHA, DELTA), ALPHA, DELTA) is not None
    assert wrong / 1000 <= DELTA + 2 * (DELTA * (1 - DELTA) / 1000) ** 0.5


def test_a_conversation_is_worse_when_one_answer_that_is_served_is() -> None:
    unit = conversation([(0.9, False), (0.7, True), (0.8, False)])
    assert (unit.score, unit.worse) == (0.9, 0.7)
    units = [unit] * 100 + [conversation([(0.95, False)])] * 100
    found = certify(units, whole(0.9, 0.75, 0.65), ALPHA, DELTA)
    assert found is not None
    assert (found.threshold, found.accepted, found.errors) == (0.75, 200, 0)


def test_turns_that_err_together_count_once() -> None:
    """Ten answers of a conversation that are right or wrong together: by conversation the promise is kept."""
    chance = np.random.default_rng(10)
    wrong = 0
    for _ in range(500):
        bad = chance.random(150) < 0.06
        units = [conversation([(float(score), bool(one)) for score in chance.random(10)]) for one in bad]
        wrong += certify(units, whole(0.0), ALPHA, DELTA) is not None
    assert wrong / 500 <= DELTA + 2 * (DELTA * (1 - DELTA) / 500) ** 0.5


def test_thresholds_fall_and_begin_where_there_is_most_hope() -> None:
    taught = _units(np.random.default_rng(1), 3000)
    scores = np.array([unit.score for unit in taught])
    tested = [one.threshold for one in thresholds(taught, 1000, ALPHA, DELTA)]
    strict, hopeful = (one.threshold for one in thresholds(taught, 1000, ALPHA, DELTA) if one.part)
    assert tested == sorted(tested, reverse=True)
    assert tested[0] == strict
    assert (scores >= strict).mean() == pytest.approx(FIRST / 1000, abs=0.001)
    assert FIRST / 1000 < (scores >= hopeful).mean() < 0.6
    assert tested[-1] == scores.min()
    assert thresholds(taught, FIRST - 1, ALPHA, DELTA) == []
    assert thresholds([], 1000, ALPHA, DELTA) == []


def test_where_confidence_is_short_the_strictest_threshold_has_room() -> None:
    taught = _units(np.random.default_rng(1), 3000)
    strict = thresholds(taught, 1000, ALPHA, DELTA / 50)[0].threshold
    accepted = (np.array([unit.score for unit in taught]) >= strict).mean() * 1000
    assert 1.2 * needed(ALPHA, DELTA / 100, 0) < accepted < 1.3 * needed(ALPHA, DELTA / 100, 0)


def test_taught_units_that_promise_too_much_do_not_spoil_the_test() -> None:
    """None of ninety taught units was worse, by luck, so that they promise most for all; of the labels the surest 170
    are right, of the others one in ten is worse."""
    taught = [step(1 - number / 90, False) for number in range(90)]
    labels = [step(1 - number / 250, number > 170 and number % 10 == 0) for number in range(250)]
    tested = thresholds(taught, len(labels), ALPHA, 0.01)
    assert [one.part for one in tested if one.part] == [0.5, 0.5]
    assert certify(labels, [Hypothesis(tested[-1].threshold, 1.0)], ALPHA, 0.01) is None
    found = certify(labels, tested, ALPHA, 0.01)
    assert found is not None
    assert found.accepted >= 160


def test_what_was_proven_hands_its_part_of_the_level_on() -> None:
    """Of the surest 100 none is worse, of the next 100 four: p-values of 0.006 and 0.026."""
    labels = [step(1 - number / 200, number > 100 and number % 25 == 0) for number in range(1, 201)]
    loose = tail(4, 200, ALPHA)
    found = certify(labels, [Hypothesis(0.5, 0.5), Hypothesis(0.0, 0.5)], ALPHA, 1.5 * loose)
    assert found is not None
    assert found.accepted == 200
    assert certify(labels, [Hypothesis(0.0, 0.5)], ALPHA, 1.5 * loose) is None
    late = certify(labels, [Hypothesis(0.99, 0.5), Hypothesis(0.0, 0.5)], ALPHA, 2 * loose)
    assert late is not None
    assert late.accepted == 200


def test_what_is_never_served_is_no_threshold() -> None:
    scores = np.random.default_rng(2).random(2000)
    tested = thresholds([*(step(score, False) for score in scores), *[step(-np.inf, True)] * 1000], 1000, ALPHA, DELTA)
    assert np.isfinite([one.threshold for one in tested]).all()
    assert tested[-1].threshold < 0.05
    assert thresholds([step(-np.inf, True)] * 1000, 1000, ALPHA, DELTA) == []


def test_thresholds_in_another_order_are_refused() -> None:
    with pytest.raises(ValueError, match="strictest"):
        certify([step(0.5, False)], whole(0.1, 0.2), ALPHA, DELTA)
    with pytest.raises(ValueError, match="more than all"):
        certify([step(0.5, False)], [Hypothesis(0.2, 1.0), Hypothesis(0.1, 0.5)], ALPHA, DELTA)


@pytest.mark.filterwarnings("ignore:Fixed sequence testing requires a monotonic risk")  # the exact test does not
@pytest.mark.parametrize("seed", range(6))
def test_mapie_certifies_the_same_thresholds(seed: int) -> None:
    """MAPIE controls the precision of what is predicted positive, 95 % at least: the same hypothesis, the same order of
    tests. Its p-value is an upper bound of the exact one, so that it may stop earlier, never later."""
    chance = np.random.default_rng(seed)
    scores, worse = _world(chance, 2000)
    tested = thresholds(_units(chance, 5000), 2000, ALPHA, DELTA)
    gate = [one.threshold for one in tested][next(at for at, one in enumerate(tested) if one.part and at) :]
    found = certify([step(*one) for one in zip(scores, worse, strict=True)], whole(*gate), ALPHA, DELTA)
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
