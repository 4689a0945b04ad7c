"""A canary's way: up in steps, back at once when a guard speaks, and never both."""

from __future__ import annotations

import random

import msgspec
import pytest

from router.canary import (
    CANDIDATE,
    INCUMBENT,
    STEPS,
    Canary,
    Pace,
    advanced,
    assigned,
    begin,
    drafted,
    formed,
    heard,
    labelled,
    move,
    rewound,
)

HOUR = 3600.0


def _conversations(canary: Canary, count: int, chance: random.Random) -> Canary:
    for _ in range(count):
        canary = assigned(canary, CANDIDATE if chance.random() < canary.share else INCUMBENT)
    return canary


def _shown(labels: int) -> Canary:
    """One whose labels are all well."""
    canary = begin(0.0)
    for _ in range(labels):
        canary = labelled(canary, False)
    return canary


def _run(bad: float, before: float, worse: float, seed: int) -> tuple[str, int, Canary]:
    """Conversations, ten an hour, until the canary ends: how, after how many, what it was then. Each has an outcome,
    and of the candidate's one answer each is compared with the teacher's."""
    chance = random.Random(seed)
    canary, now = begin(0.0), 0.0
    for number in range(20_000):
        now += HOUR / 10
        arm = CANDIDATE if chance.random() < canary.share else INCUMBENT
        canary = heard(
            assigned(canary, arm), "tool_error", arm, chance.random() < (bad if arm == CANDIDATE else before)
        )
        if arm == CANDIDATE:
            canary = labelled(canary, chance.random() < worse)
        what, _ = move(canary, now)
        if what == "advance":
            canary = advanced(canary, now)
        elif what != "stay":
            return what, number, canary
    return "stay", 20_000, canary


def test_a_good_candidate_goes_all_the_way() -> None:
    ends = [_run(0.05, 0.05, 0.02, seed) for seed in range(40)]
    assert sum(end == "promote" for end, _, _ in ends) >= 38
    assert all(canary.own >= canary.pace.enough for end, _, canary in ends if end == "promote")


def test_a_candidate_with_wrong_calls_is_rolled_back() -> None:
    """15 points more of its answers are worse than the teacher's; tools do not notice half of them."""
    ends = [_run(0.12, 0.05, 0.17, seed) for seed in range(40)]
    assert sum(end == "roll_back" for end, _, _ in ends) >= 36


def test_a_step_lasts_its_conversations_and_its_hour() -> None:
    chance = random.Random(1)
    canary = _conversations(begin(0.0), 30, chance)
    assert move(canary, 0.9 * HOUR)[0] == "stay"
    assert move(canary, HOUR)[0] == "advance"
    assert move(_conversations(begin(0.0), 29, chance), 10 * HOUR)[0] == "stay"


def test_shares_grow_step_by_step() -> None:
    canary, shares = begin(0.0), []
    for _ in STEPS:
        shares.append(canary.share)
        canary = advanced(canary, 1.0) if canary.at + 1 < len(STEPS) else canary
    assert shares == [*STEPS]


def test_worse_answers_roll_back_whatever_else_is_well() -> None:
    canary = begin(0.0)
    for _ in range(12):
        canary = labelled(canary, True)
    what, why = move(canary, 0.0)
    assert what == "roll_back"
    assert "12 of 12" in why


def test_conversations_that_go_elsewhere_pause_it() -> None:
    canary = begin(0.0)
    for _ in range(200):
        canary = assigned(canary, CANDIDATE)
    assert move(canary, HOUR)[0] == "pause"
    paused = msgspec.structs.replace(canary, paused="for a reason")
    assert paused.share == 0.0
    assert move(paused, HOUR) == ("stay", "for a reason")


def test_without_labels_that_show_it_nobody_is_promoted() -> None:
    """44 good labels in a row say that fewer than 10 % are worse (0.9 ** 44 < 0.01), and 17 more what was not known of
    them beforehand."""
    ready = {"at": len(STEPS) - 1, "own": 300}
    assert move(msgspec.structs.replace(begin(0.0), **ready), HOUR)[0] == "stay"
    assert move(msgspec.structs.replace(_shown(55), **ready), HOUR)[0] == "stay"
    assert move(msgspec.structs.replace(_shown(70), **ready), HOUR)[0] == "promote"


def test_a_candidate_with_15_percent_wrong_is_hardly_ever_promoted() -> None:
    """Whether guards reject it in time or not: the proof fails it."""
    ends = [_run(0.05, 0.05, 0.15, seed)[0] for seed in range(100)]
    assert ends.count("promote") <= 4
    assert ends.count("roll_back") >= 90


def test_what_is_paused_is_given_up_in_the_end() -> None:
    paused = msgspec.structs.replace(begin(0.0), paused="for a reason")
    assert move(paused, 13 * 24 * HOUR) == ("stay", "for a reason")
    assert move(paused, 14 * 24 * HOUR) == ("give_up", "for a reason")


def test_drafts_that_are_mostly_malformed_end_it_without_any_to_compare_with() -> None:
    canary = begin(0.0)
    for _ in range(30):
        canary = formed(canary, True)
    assert move(canary, 0.0) == ("roll_back", "30 of 30 drafts were malformed")
    sound = begin(0.0)
    for number in range(300):
        sound = formed(sound, number % 3 == 0)
    assert move(sound, 0.0)[0] == "stay"


def test_where_the_clock_went_back_times_begin_anew() -> None:
    canary = rewound(_conversations(begin(1e6), 40, random.Random(2)), 1e5)
    assert (canary.since, canary.started, canary.own) == (1e5, 1e5, canary.own)
    assert move(canary, 1e5 + HOUR)[0] == "advance"
    assert rewound(canary, 2e5) == canary


def test_an_engine_that_fails_five_times_in_a_row_ends_it() -> None:
    canary = begin(0.0)
    for failed in (True, True, True, True, False, True, True, True, True):
        canary = drafted(canary, failed)
        assert move(canary, 0.0)[0] == "stay"
    assert move(drafted(canary, True), 0.0) == ("roll_back", "5 drafts in a row failed")


def test_nobody_comes_and_it_is_given_up() -> None:
    assert move(begin(0.0), 14 * 24 * HOUR)[0] == "give_up"


def test_after_a_week_fewer_conversations_are_enough() -> None:
    canary = msgspec.structs.replace(_shown(100), at=len(STEPS) - 1, own=60)
    assert move(canary, 6 * 24 * HOUR)[0] == "stay"
    assert move(canary, 7 * 24 * HOUR)[0] == "promote"
    assert move(msgspec.structs.replace(canary, own=40), 7 * 24 * HOUR)[0] == "stay"


@pytest.mark.parametrize("now", [-1e9, 0.0])
def test_a_clock_that_went_back_moves_nothing(now: float) -> None:
    canary = _conversations(begin(1e6), 40, random.Random(2))
    assert move(canary, now)[0] == "stay"


def test_a_canary_survives_being_written_down() -> None:
    canary = heard(_conversations(begin(5.0, Pace(conversations=3)), 10, random.Random(3)), "repaired", CANDIDATE, True)
    assert msgspec.json.decode(msgspec.json.encode(canary), type=Canary) == canary
