"""Gates learn what there is to learn, claim no more than they know, and are refused where there is nothing."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from distill.routing.labels import set_of
from distill.routing.measures import aurc
from distill.routing.table import OURS, RULES, better, rows, scored
from distill.routing.training import FEWEST, TooFewLabels, train
from router.gate import Gate, Weights, probability
from router.scorer import Gates, Learnt
from tests.distill.routing.school import drafts


def test_gates_learn_kinds_of_questions_and_what_doubt_means() -> None:
    labels = drafts(1200, seed=1, telling=0.6)
    trained = train(labels)
    worse = np.array([label.worse for label in labels], float)
    for said in (trained.pre, trained.post):
        assert aurc(np.array(said), worse, np.random.default_rng(1)) < 0.6 * worse.mean()
    scores = scored(labels, trained, 0.1)
    beaten = better(labels, scores)
    assert beaten.ships
    assert beaten.difference > 2 * beaten.error


def test_what_gates_say_are_probabilities() -> None:
    labels = drafts(2000, seed=2)
    said = np.array([probability(one) for one in train(labels).post])
    good = np.array([not label.worse for label in labels])
    for low, high in ((0.0, 0.6), (0.6, 0.9), (0.9, 1.0)):
        chosen = (said >= low) & (said < high)
        if chosen.sum() > 50:
            assert good[chosen].mean() == pytest.approx(said[chosen].mean(), abs=0.07)


def test_a_gate_says_by_day_what_it_said_by_night() -> None:
    """The weights go through JSON, and a request is judged by numpy alone."""
    labels = drafts(400, seed=3)
    gates = train(labels).gates
    read = msgspec.json.decode(msgspec.json.encode(gates), type=Gates)
    assert read.name == gates.name
    by_night, by_day = Learnt(gates), Learnt(read)
    for label in labels[:20]:
        said = by_night.look(label.request).score(label.choice)
        look = by_day.look(label.request)
        assert look.score(label.choice) == said
        assert look.chance() == said["chance"]
        assert 0 <= said["confidence"] <= 1
        log_odds = math.log(said["confidence"] / (1 - said["confidence"]))
        mean = Gate(read.post).log_odds(read.post.mean)
        assert sum(look.reasons(label.choice).values()) == pytest.approx(log_odds - mean, abs=1e-6)


def test_labels_that_mean_nothing_make_no_gate_that_ships() -> None:
    labels = [msgspec.structs.replace(label, worse=number % 7 == 0) for number, label in enumerate(drafts(600, seed=4))]
    trained = train(labels)
    assert (
        not better(labels, scored(labels, trained, 0.0)).difference
        > 3 * better(labels, scored(labels, trained, 0.0)).error
    )


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_drafts_of_one_kind_teach_nothing(share: float) -> None:
    labels = [msgspec.structs.replace(label, worse=bool(share)) for label in drafts(300, seed=5)]
    with pytest.raises(TooFewLabels, match="of either kind"):
        train(labels)


def test_a_handful_teaches_nothing() -> None:
    with pytest.raises(TooFewLabels, match="0 good and 0 worse drafts of 0"):
        train([])
    with pytest.raises(TooFewLabels):
        train(drafts(FEWEST - 1, seed=6))
    with pytest.raises(TooFewLabels, match="of 4"):
        train(drafts(400, seed=6, each=100))


def test_the_table_tells_what_each_rule_comes_to() -> None:
    labels = drafts(900, seed=7)
    trained = train(labels)
    found = {row.name: row for row in rows(labels, scored(labels, trained, 0.1), 0.1, trained)}
    assert found["all student"].quality == pytest.approx(1 - np.mean([label.worse for label in labels]))
    assert found["oracle"].apgr > found[OURS].apgr > max(found[rule].apgr for rule in RULES) > found["random"].apgr
    assert found["random"].apgr == pytest.approx(0.5, abs=0.05)
    assert found["oracle"].possible >= found[OURS].possible
    assert found[OURS].risk <= 0.08
    assert found["length rule"].wasted == 0.0


def test_half_of_the_conversations_teach() -> None:
    sets = [set_of(f"{number}") for number in range(2000)]
    assert sets.count("train") == pytest.approx(1000, abs=100)


def test_a_gate_with_a_hole_is_refused() -> None:
    with pytest.raises(ValueError, match="each of its features"):
        Gate(Weights(("a", "b"), (0.0,), (1.0,), (1.0,), 0.0))
