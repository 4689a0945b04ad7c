"""Certifying: labelled drafts to a certificate, or to what is missing for one.

Owns how the confidence is divided among groups of answers, and which thresholds are tested. Knows nothing of stores or
gateways.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from distill.routing.labels import Label
from router.certificate import Certificate, Missing, Proven, Scope
from router.certify import Labelled, certify, conversation, missing, spent, step, thresholds
from router.groups import Group, group_of

# A label's score, the higher the better; -inf of what is never served.
Score = Callable[[Label], float]
_Groups = dict[Group, tuple[list[Labelled], list[Labelled]]]

ALPHA: Mapping[Group, float] = {"text": 0.05, "call": 0.05, "destructive": 0.01}
DELTA = 0.05
_GROWTH = 1.25  # of the labels, after which they are tested again
_HOPE = 2.0  # times the expected labels may come, by luck, or by gates that tell good drafts from bad ones better
_FIRST: Mapping[Group, int] = {"text": 120, "call": 120, "destructive": 600}  # accepted at the strictest threshold


class Earned(msgspec.Struct, frozen=True):
    """`certificate` for the groups that earned it, None where none did; what the others are `missing`. `tested`:
    whether any threshold was, which spends of the confidence."""

    certificate: Certificate | None
    missing: Mapping[Group, Missing]
    tested: bool = False


def certified(
    taught: Sequence[tuple[Label, float]],
    calibrating: Sequence[Label],
    score: Score,
    scope: Scope,
    alpha: Mapping[Group, float] = ALPHA,
    delta: float = DELTA,
    times: int = 1,
) -> Earned:
    """What a student's drafts earn: in each group, a conversation among those that calibrate counts once. Thresholds
    come from the `taught` ones, each with the score of scorers that had not seen it.

    The confidence is divided among the groups of which there is enough, and spent in parts each time that these labels
    are used: `times` counts from 1.
    """
    groups = _units(taught, calibrating, score)
    enough = [group for group, (labels, others) in groups.items() if others and len(labels) >= _FIRST[group]]
    level = spent(delta, times) / max(1, len(enough))
    earned: dict[Group, Proven] = {}
    any_tested = False
    for group in enough:
        labels, others = groups[group]
        tested = thresholds(others, len(labels), alpha[group], level, _FIRST[group])
        any_tested = any_tested or bool(tested)
        found = certify(labels, tested, alpha[group], level)
        if found is not None:
            earned[group] = found
    made = Certificate(scope, earned, {group: alpha[group] for group in earned}, delta, times) if earned else None
    wanted = _missing(groups, times, alpha, delta)
    return Earned(made, {group: told for group, told in wanted.items() if group not in earned}, any_tested)


def within_reach(
    taught: Sequence[Label],
    score: Score,
    possible: Mapping[Group, int],
    alpha: Mapping[Group, float] = ALPHA,
    delta: float = DELTA,
    times: int = 1,
) -> bool:
    """Whether so many `possible` labels that calibrate could be enough for a certificate of any group, by the labels of
    those that teach. Of those that calibrate nothing is looked at: whoever looks before he decides to test has tested
    (the same holds of when one is tested again, see `is_due`)."""
    groups: dict[Group, list[Labelled]] = {}
    for label in taught:
        groups.setdefault(_group(label), []).append(step(score(label), label.worse))
    level = spent(delta, times) / max(1, len(groups))
    for group, mine in groups.items():
        told = missing(mine, [], alpha[group], level, _FIRST[group])
        expected = told.accepted / len(mine) * possible.get(group, 0)
        if told.likely is not None and told.likely <= _HOPE * expected:
            return True
    return not groups


def is_due(calibrating: int, tested: int) -> bool:
    """Whether so many labels that calibrate are tested, where so many were the last time: once there are a quarter
    more. Each test of the same labels is worth less than the one before, and a few labels change little. Where there
    are a quarter fewer they are others: those from before count no more."""
    return calibrating >= _GROWTH * tested or _GROWTH * calibrating <= tested


def lacking(
    taught: Sequence[tuple[Label, float]],
    calibrating: Sequence[Label],
    score: Score,
    times: int,
    alpha: Mapping[Group, float] = ALPHA,
    delta: float = DELTA,
) -> dict[Group, Missing]:
    """What is missing for each group in the `times`-th test; of one that only taught ones are of, all."""
    return _missing(_units(taught, calibrating, score), times, alpha, delta)


def _missing(groups: _Groups, times: int, alpha: Mapping[Group, float], delta: float) -> dict[Group, Missing]:
    level = spent(delta, times) / max(1, len(groups))
    return {
        group: missing(labels, others, alpha[group], level, _FIRST[group]) for group, (labels, others) in groups.items()
    }


def _units(taught: Sequence[tuple[Label, float]], calibrating: Sequence[Label], score: Score) -> _Groups:
    """Those that calibrate, of a conversation one unit in each group, beside those that teach, by group.

    Which requests were drawn hangs on the group of the answer that was given, one by lot of each. Drafts of one
    conversation may fall together all the same, where one is of another group than that answer. They are one unit
    then, which is worse if any of them is: that is not less often than an answer drawn from these is worse, as
    (w + v - wv) / (x + y - xy) is at least (w + v) / (x + y) where w ≤ x and v ≤ y. What is promised counts each such
    conversation once, however many of its answers were drawn."""
    together: dict[tuple[str, Group], list[tuple[float, bool]]] = {}
    for label in calibrating:
        together.setdefault((label.conversation, _group(label)), []).append((score(label), label.worse))
    groups: _Groups = {}
    for (_, group), steps in together.items():
        groups.setdefault(group, ([], []))[0].append(conversation(steps))
    for label, told in taught:
        groups.setdefault(_group(label), ([], []))[1].append(step(told, label.worse))
    return groups


def _group(label: Label) -> Group:
    return group_of(label.draft.message.tool_calls or ())
