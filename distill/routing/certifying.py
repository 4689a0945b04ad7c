"""Certifying: labelled drafts to a certificate, or to what is missing for one.

Owns how the confidence is divided among groups of answers, and which thresholds are tested. Knows nothing of stores or
gateways.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from distill.routing.labels import Label, one_each
from router.certificate import Certificate, Missing, Proven, Scope
from router.certify import certify, missing, spent, step, thresholds
from router.groups import Group, group_of

# A label's score, the higher the better; -inf of what is never served.
Score = Callable[[Label], float]

ALPHA: Mapping[Group, float] = {"text": 0.05, "call": 0.05, "destructive": 0.01}
DELTA = 0.05
_FIRST: Mapping[Group, int] = {"text": 120, "call": 120, "destructive": 600}  # accepted at the strictest threshold


class Earned(msgspec.Struct, frozen=True):
    """`certificate` for the groups that earned it, None where none did; what the others are `missing`."""

    certificate: Certificate | None
    missing: Mapping[Group, Missing]


def certified(
    taught: Sequence[tuple[Label, float]],
    calibrating: Sequence[Label],
    score: Score,
    scope: Scope,
    alpha: Mapping[Group, float] = ALPHA,
    delta: float = DELTA,
    times: int = 1,
) -> Earned:
    """What a student's drafts earn: one of each conversation among those that calibrate. Thresholds come from the
    `taught` ones, each with the score of scorers that had not seen it.

    The confidence is divided among the groups that occur, and spent in parts each time that these labels are used:
    `times` counts from 1.
    """
    groups: dict[Group, list[Label]] = {}
    for label in one_each(calibrating):
        groups.setdefault(_group(label), []).append(label)
    level = spent(delta, times) / max(1, len(groups))
    earned: dict[Group, Proven] = {}
    lacking: dict[Group, Missing] = {}
    for group, mine in groups.items():
        others = [step(told, label.worse) for label, told in taught if _group(label) == group]
        tested = thresholds(others, len(mine), alpha[group], _FIRST[group])
        labels = [step(score(label), label.worse) for label in mine]
        found = certify(labels, tested, alpha[group], level)
        if found is not None:
            earned[group] = found
        else:
            lacking[group] = missing(labels, others, alpha[group], level, _FIRST[group])
    made = Certificate(scope, earned, {group: alpha[group] for group in earned}, delta, times) if earned else None
    return Earned(made, lacking)


def _group(label: Label) -> Group:
    return group_of(label.draft.message.tool_calls or ())
