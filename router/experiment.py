"""Experiments: arms between which conversations are divided, and which of them a conversation gets.

Owns what an arm changes and how a conversation's lot gives it one. Pure: who got which arm is remembered elsewhere,
since weights may change. Knows nothing of evidence.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from router.decision import Arm
from router.lot import lot
from router.policy import Rules

# One experiment of each layer runs at a time; one of either may share a conversation, since each has a lot of its own.
Layer = Literal["student", "router"]
_STUDENT = ("adapter", "prompt")  # what an arm of the layer changes
_ROUTER = ("answers", "confidence")


_NAME = re.compile(r"[^/\x00-\x1f\x7f]{1,100}")
_MOST_EXPECTED = 1_000_000


class Variant(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One arm: its share of the conversations, and what is otherwise for them; what is not named stays as it is set.
    `adapter` is a name that the student's engine knows, "" the base; `prompt` one that ships, or a file; `answers` who
    answers what either could."""

    name: str
    weight: float = 1.0
    adapter: str | None = None
    prompt: str | None = None
    answers: Arm | None = None
    confidence: float | None = None

    def over(self, rules: Rules) -> Rules:
        """The rules for a conversation of this arm."""
        changed = {field: value for field in _ROUTER if (value := getattr(self, field)) is not None}
        return msgspec.structs.replace(rules, **changed)

    @property
    def changes(self) -> dict[str, object]:
        """What is otherwise for its conversations."""
        return {name: value for name in (*_STUDENT, *_ROUTER) if (value := getattr(self, name)) is not None}


class Experiment(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is compared. The first arm is the control. `share` of all conversations take part; `expected` are those at
    which one thinks to decide."""

    name: str
    arms: tuple[Variant, ...]
    share: float = 1.0
    expected: int = 500

    @property
    def layer(self) -> Layer:
        return "student" if any({*arm.changes} & {*_STUDENT} for arm in self.arms) else "router"


class InvalidExperiment(ValueError):
    """An experiment that cannot be run, with the reason."""


def checked(experiment: Experiment) -> Experiment:
    """The experiment. Raises InvalidExperiment."""
    names = [arm.name for arm in experiment.arms]
    if not _NAME.fullmatch(experiment.name):
        raise InvalidExperiment("an experiment needs a name of at most 100 characters, and no slash in it")
    if len(names) < 2:
        raise InvalidExperiment("an experiment compares two arms at least")
    if len({*names}) < len(names) or not all(names):
        raise InvalidExperiment("each arm needs a name of its own")
    weights = [arm.weight for arm in experiment.arms]
    if not all(0 <= weight < math.inf for weight in weights) or not sum(weights) > 0:
        raise InvalidExperiment("weights are not negative, and one of them is above 0")
    if not 0 < experiment.share <= 1:
        raise InvalidExperiment("the share of conversations that take part lies between 0 and 1")
    if not 1 <= experiment.expected <= _MOST_EXPECTED:
        raise InvalidExperiment(f"the number of conversations to decide at lies between 1 and {_MOST_EXPECTED}")
    if any(arm.confidence is not None and not 0 <= arm.confidence <= 1 for arm in experiment.arms):
        raise InvalidExperiment("a confidence lies between 0 and 1")
    done = [arm.changes for arm in experiment.arms]
    if any(one in done[:number] for number, one in enumerate(done)):
        raise InvalidExperiment("two arms do the same")
    changed = {name for one in done for name in one}
    if changed & {*_STUDENT} and changed & {*_ROUTER}:
        raise InvalidExperiment("an experiment changes the student (adapter, prompt) or the router, not both at once")
    return experiment


def takes_part(experiment: Experiment, conversation: str) -> bool:
    """Whether a conversation is one of the experiment's."""
    return lot("part", experiment.name, conversation) < experiment.share


def arm_of(experiment: Experiment, conversation: str) -> Variant:
    """The arm that a conversation gets by the weights of now.

    The control has the upper end of the lots: while others' weights grow, conversations move from it to them only.
    """
    total = sum(arm.weight for arm in experiment.arms)
    at, reached = lot("arm", experiment.name, conversation) * total, 0.0
    for arm in experiment.arms[1:]:
        reached += arm.weight
        if at < reached:
            return arm
    return experiment.arms[0]


def chances(experiment: Experiment) -> dict[str, float]:
    """How probable each arm is for a conversation that takes part."""
    total = sum(arm.weight for arm in experiment.arms)
    return {arm.name: arm.weight / total for arm in experiment.arms}


def weighted(experiment: Experiment, weights: Sequence[float]) -> Experiment:
    """The experiment with other weights of its arms, in their order."""
    arms = tuple(
        msgspec.structs.replace(arm, weight=weight) for arm, weight in zip(experiment.arms, weights, strict=True)
    )
    return checked(msgspec.structs.replace(experiment, arms=arms))
