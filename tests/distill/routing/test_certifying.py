"""Certificates out of labelled drafts: earned where there are enough good ones, and what is missing elsewhere."""

from __future__ import annotations

import random

import msgspec
import pytest

from distill.routing.certifying import Earned, Score, certified, within_reach
from distill.routing.labels import Label, set_of
from router.certificate import RULE, Certificate, Scope
from router.certify import holds, missing, needed_for, step
from router.chat import AnswerMessage, FunctionCall, ToolCall
from router.score import scores
from tests.distill.routing.school import drafts

SCOPE = Scope("base", "adapter", "template", "expert", RULE)


def rule(label: Label) -> float:
    return scores(label.choice)["confidence"]


def earned(labels: list[Label], scorer: Score = rule, times: int = 1) -> Earned:
    """What drafts earn where half of the conversations teach."""
    taught = [(label, scorer(label)) for label in labels if set_of(label.conversation) == "train"]
    rest = [label for label in labels if set_of(label.conversation) == "calibrate"]
    return certified(taught, rest, scorer, SCOPE, times=times)


def test_a_student_that_knows_what_it_knows_earns_a_certificate() -> None:
    labels = drafts(4000, seed=1)
    found = earned(labels)
    assert found.certificate is not None
    assert found.missing == {}
    tested = found.certificate.groups["call"]
    assert holds(tested, 0.05, 0.05)
    assert tested.coverage > 0.3
    served = [label for label in drafts(4000, seed=2) if rule(label) >= tested.threshold]
    assert sum(label.worse for label in served) / len(served) < 0.06


def test_labels_come_from_other_conversations_than_thresholds() -> None:
    labels = drafts(1500, seed=3)
    bad = [msgspec.structs.replace(label, worse=set_of(label.conversation) == "train") for label in labels]
    found = earned(bad)
    assert found.certificate is not None
    assert found.certificate.groups["call"].errors == 0


def test_a_student_that_is_worse_earns_none_and_is_told_that_labels_will_not_help() -> None:
    labels = [
        msgspec.structs.replace(label, worse=number % 5 == 0) for number, label in enumerate(drafts(2000, seed=4))
    ]
    found = earned(labels)
    assert found.certificate is None
    assert found.missing["call"].more is None
    assert found.missing["call"].days(10) is None


def test_too_few_labels_are_counted() -> None:
    labels = [msgspec.structs.replace(label, worse=False) for label in drafts(100, seed=5)]
    found = earned(labels)
    lacking = found.missing["call"]
    assert found.certificate is None
    assert lacking.labels == lacking.accepted == sum(set_of(label.conversation) == "calibrate" for label in labels)
    assert lacking.more is not None
    assert 60 < lacking.more + lacking.accepted < 350
    assert lacking.days(10.0) == pytest.approx(10 * lacking.more / lacking.accepted)


def test_how_many_labels_two_percent_want() -> None:
    """Where the true risk is 2 %, 338 will do four times in five; what is assumed is a little more than was seen."""
    labels = [step(0.5, number == 7) for number in range(100)]
    found = missing(labels, [], 0.05, 0.05)
    assert (found.labels, found.accepted, found.errors) == (100, 100, 1)
    assert found.likely == needed_for(0.05, 0.025, 1.5 / 101)
    assert found.more == found.likely - 100
    assert found.days(5.0) == pytest.approx(found.more / 20)
    four = missing([step(0.5, number < 4) for number in range(200)], [], 0.05, 0.05)
    assert four.likely == needed_for(0.05, 0.025, 4.5 / 201)
    assert 338 <= four.likely <= 500


def test_what_is_missing_is_told_where_it_comes_first() -> None:
    """Half of the answers are right, the other half wrong: those that are sure want no more than if all were right."""
    labels = [step(0.9 if number % 2 else 0.2, number % 2 == 0) for number in range(150)]
    found = missing(labels, [], 0.05, 0.05)
    assert (found.accepted, found.errors) == (75, 0)
    assert found.more is not None


def test_few_labels_do_not_condemn_a_student() -> None:
    found = missing([step(0.5 + number / 100, number == 3) for number in range(19)], [], 0.05, 0.05)
    assert found.more is not None
    assert missing([step(0.5, number % 3 == 0) for number in range(60)], [], 0.05, 0.05).more is None


def test_what_changes_something_wants_more() -> None:
    write = AnswerMessage(tool_calls=[ToolCall("1", FunctionCall("write_file", '{"path": "a"}'))])
    labels = [
        msgspec.structs.replace(label, worse=False, draft=msgspec.structs.replace(label.draft, message=write))
        for label in drafts(900, seed=6)
    ]
    found = earned(labels, lambda label: 0.9)
    assert found.certificate is None
    more = found.missing["destructive"].more
    assert more is not None
    assert 600 <= more + found.missing["destructive"].accepted < 640


def test_labels_that_are_used_again_count_for_less() -> None:
    labels = [msgspec.structs.replace(label, worse=False) for label in drafts(300, seed=7)]
    assert earned(labels).certificate is not None
    assert earned(labels, times=50).certificate is None


def test_a_conversation_counts_once_in_each_group() -> None:
    """Of each there is a call, and another draft that is one of words here and a call there."""
    calls = [msgspec.structs.replace(label, worse=False) for label in drafts(600, seed=9)]
    texts = [
        msgspec.structs.replace(label, draft=msgspec.structs.replace(label.draft, message=AnswerMessage("words")))
        for label in calls
    ]
    found = earned([*calls, *texts], lambda label: 0.9).certificate
    assert found is not None
    conversations = sum(set_of(label.conversation) == "calibrate" for label in calls)
    assert {group: proven.accepted for group, proven in found.groups.items()} == {
        "call": conversations,
        "text": conversations,
    }
    together = earned([*calls, *calls], lambda label: 0.9).certificate
    assert together is not None
    assert together.groups["call"].accepted == conversations


def test_one_that_is_worse_makes_its_conversation_worse() -> None:
    calls = [msgspec.structs.replace(label, worse=False) for label in drafts(1200, seed=10)]
    worse = [msgspec.structs.replace(label, worse=True) for label in calls[::40]]
    for labels in ([*worse, *calls], [*calls, *worse]):
        found = earned(labels, lambda label: 0.9).certificate
        assert found is not None
        assert found.groups["call"].errors == sum(set_of(label.conversation) == "calibrate" for label in worse)


def test_drafts_that_fall_together_are_not_thought_better_than_they_are() -> None:
    """Conversations of five answers by calls and five by words, one drawn of each. Some drafts of those by words are
    calls, all worse; where these are many, those by calls are worse, too. What is promised counts a conversation as
    often as a draft of a call is drawn from it, and in it each such draft by its chance to be drawn."""
    chance = random.Random(12)
    (pattern,) = drafts(1, seed=12)
    labels: list[Label] = []
    promised = 0.0
    for number in range(4000):
        cross = chance.choice([0, 0, 0, 1, 2, 5])  # of five
        own_worse = {0: 0, 1: 0, 2: 1, 5: 5}[cross]
        promised += (own_worse + cross) / (5 + cross)
        mine = msgspec.structs.replace(pattern, conversation=str(number), worse=chance.random() < own_worse / 5)
        labels.append(mine)
        if chance.random() < cross / 5:
            labels.append(msgspec.structs.replace(mine, worse=True))
    lacking = earned(labels, lambda label: 0.9).missing["call"]
    assert lacking.errors / lacking.accepted >= promised / 4000


def test_a_certificate_has_a_name_and_survives_being_written_down() -> None:
    found = earned(drafts(3000, seed=8)).certificate
    assert found is not None
    read = msgspec.json.decode(msgspec.json.encode(found), type=Certificate)
    assert read == found
    assert read.name == found.name
    assert msgspec.structs.replace(found, delta=0.1).name != found.name
    assert found.threshold("text") is None


def reach(labels: list[Label], possible: int) -> bool:
    taught = [label for label in labels if set_of(label.conversation) == "train"]
    return within_reach(taught, rule, {"call": possible})


def test_a_hundred_labels_tell_whether_all_conversations_can_be_enough() -> None:
    some = drafts(240, seed=11)
    assert reach(some, 2000)
    assert not reach(some, 120)
    bad = [msgspec.structs.replace(label, worse=number % 2 == 0) for number, label in enumerate(some)]
    assert not reach(bad, 20_000)


def test_what_can_be_had_is_told_by_group() -> None:
    """Of a hundred drafts two are words, which are good; calls are bad. Enough words may come all the same."""
    calls = [msgspec.structs.replace(label, worse=number % 2 == 0) for number, label in enumerate(drafts(196, seed=13))]
    words = msgspec.structs.replace(calls[0].draft, message=AnswerMessage("words"))
    texts = [msgspec.structs.replace(label, worse=False, draft=words) for label in drafts(4, seed=14)]
    assert within_reach([*calls, *texts], rule, {"call": 5000, "text": 400})
    assert not within_reach([*calls, *texts], rule, {"call": 5000, "text": 40})
    assert not within_reach([*calls, *texts], rule, {"call": 5000})


def test_a_certificate_that_can_be_had_is_hardly_ever_given_up() -> None:
    seeds = [seed for seed in range(12) if earned(drafts(3000, seed=100 + seed)).certificate is not None]
    assert len(seeds) >= 10
    assert sum(not reach(drafts(3000, seed=100 + seed)[:240], 1500) for seed in seeds) <= 1


def test_only_a_test_uses_labels_up() -> None:
    assert earned(drafts(2000, seed=1)).tested
    assert not earned(drafts(100, seed=1)).tested
