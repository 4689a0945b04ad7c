"""A canary: a new adapter gets more and more of the conversations, until it has earned them all or lost them.

Owns the steps and what moves from one to the next. Pure: what happened and what time it is are told. Knows nothing of
how conversations are divided, or of what an outcome is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from router.guard import Control, Limit
from router.sequence import Shares

STEPS = (0.01, 0.05, 0.10, 0.25, 0.50)  # of the conversations; then all of them
CANDIDATE, INCUMBENT = "candidate", "incumbent"
_DAY = 86_400.0
_MALFORMED = 0.5  # of the drafts may be malformed: they are thrown away, and cost time alone
_MOST_CONTROLS = 20  # in a block of the comparison: at 1 % a canary would wait for 99

Move = Literal["stay", "advance", "promote", "roll_back", "pause", "give_up"]


class Pace(msgspec.Struct, frozen=True):
    """A step lasts for so many `conversations` of both arms and so many `seconds`. The candidate is promoted from the
    last step after `enough` conversations of its own, or after `patience` seconds and `fewest` of them, once its labels
    show that less than twice `worse` of its answers are; after `longest` seconds it is given up. `worse` is the share
    of its labelled answers that may be; each guard rejects at `alpha`. After `failures` drafts in a row that the
    student's engine could not make, it is rolled back."""

    conversations: int = 30
    seconds: float = 3600.0
    enough: int = 200
    fewest: int = 50
    patience: float = 7 * _DAY
    longest: float = 14 * _DAY
    alpha: float = 0.01
    worse: float = 0.05
    failures: int = 5


class Canary(msgspec.Struct, frozen=True):
    """How far a canary is. `at` is its step, `since` and `started` are Unix seconds; `here` counts the conversations of
    both arms at this step, `own` all of the candidate's. `labels` are of answers that the candidate served, with the
    evidence that too many are worse; `proof` of the same ones is the evidence that few enough are. `guards` compare
    outcomes by their kind, `malformed` is of drafts alone, `failing` counts failures in a row. `paused` says why it
    does not go on; empty: it does."""

    started: float
    since: float
    pace: Pace = Pace()
    at: int = 0
    here: int = 0
    own: int = 0
    shares: Shares = Shares()
    labels: Limit = Limit(0.05)
    proof: Limit = Limit(0.90)  # null hypothesis: of the answers no more are no worse than if twice too many were
    malformed: Limit = Limit(_MALFORMED)
    failing: int = 0
    guards: Mapping[str, Control] = {}
    paused: str = ""

    @property
    def share(self) -> float:
        """Of the conversations that the candidate gets; none while it is paused."""
        return 0.0 if self.paused else STEPS[self.at]


def begin(now: float, pace: Pace = Pace()) -> Canary:  # noqa: B008  # a frozen value
    return Canary(now, now, pace, labels=Limit(pace.worse), proof=Limit(1 - 2 * pace.worse))


def assigned(canary: Canary, arm: str) -> Canary:
    """A conversation was given to an arm. Raises ValueError for an arm that could not have got it."""
    shares = canary.shares.after(arm, {CANDIDATE: canary.share, INCUMBENT: 1 - canary.share})
    own = canary.own + (arm == CANDIDATE)
    return msgspec.structs.replace(canary, here=canary.here + 1, own=own, shares=shares)


def rewound(canary: Canary, now: float) -> Canary:
    """Where the clock went back: its times begin anew."""
    return msgspec.structs.replace(canary, since=now, started=now) if now < canary.since else canary


def formed(canary: Canary, malformed: bool) -> Canary:
    """The form of a draft of the candidate's. There may be none of the incumbent's to hold it against."""
    return msgspec.structs.replace(canary, malformed=canary.malformed.after(malformed))


def labelled(canary: Canary, worse: bool) -> Canary:
    """An answer that the candidate served was compared with the teacher's."""
    return msgspec.structs.replace(canary, labels=canary.labels.after(worse), proof=canary.proof.after(not worse))


def drafted(canary: Canary, failed: bool) -> Canary:
    """The candidate was asked for a draft; `failed`: its engine could not make one."""
    return msgspec.structs.replace(canary, failing=canary.failing + 1 if failed else 0)


def heard(canary: Canary, kind: str, arm: str, bad: bool) -> Canary:
    """An outcome, or that it did not come, of an answer that an arm served."""
    guard = canary.guards.get(kind) or Control(_controls(canary.share))
    return msgspec.structs.replace(canary, guards={**canary.guards, kind: guard.after(arm == CANDIDATE, bad)})


def move(canary: Canary, now: float) -> tuple[Move, str]:
    """What is to be done, and why. A clock that went back hastens nothing; see `rewound`."""
    pace = canary.pace
    if harm := _harm(canary):
        return "roll_back", harm
    age = max(0.0, now - canary.started)
    if canary.paused:
        return ("give_up" if age >= pace.longest else "stay"), canary.paused
    if canary.shares.against():
        return "pause", f"conversations went elsewhere than they should have: {dict(canary.shares.counts)}"
    if canary.at == len(STEPS) - 1:
        enough = canary.own >= pace.enough or (age >= pace.patience and canary.own >= pace.fewest)
        if enough and canary.proof.against(pace.alpha):
            compared = f"{canary.labels.bad} of {canary.labels.seen} answers that were compared were worse"
            return "promote", f"{canary.own} conversations, {compared}, and no guard spoke"
    elif canary.here >= pace.conversations and now - canary.since >= pace.seconds:
        return "advance", f"{canary.here} conversations at {STEPS[canary.at]:.0%}"
    if age >= pace.longest:
        return "give_up", (
            f"{canary.own} conversations and {canary.labels.seen} answers that were compared in {age / _DAY:.0f} days "
            "do not show enough"
        )
    return "stay", f"{canary.here} conversations at {STEPS[canary.at]:.0%}"


def _harm(canary: Canary) -> str:
    """What speaks against the candidate; empty: nothing does, yet."""
    alpha, labels = canary.pace.alpha, canary.labels
    if canary.failing >= canary.pace.failures:
        return f"{canary.failing} drafts in a row failed"
    if canary.malformed.against(alpha):
        return f"{canary.malformed.bad} of {canary.malformed.seen} drafts were malformed"
    if labels.against(alpha):
        return f"{labels.bad} of {labels.seen} answers that were compared were worse"
    for kind, guard in sorted(canary.guards.items()):
        if guard.against(alpha):
            return f"{kind}: {guard.canary_bad} of {guard.canary} turns, {guard.control_bad} of {guard.control} before"
    return ""


def advanced(canary: Canary, now: float) -> Canary:
    """At the next step. Chances are others now, so that shares are counted anew; the evidence stays."""
    at = canary.at + 1
    guards = {kind: guard.with_ratio(_controls(STEPS[at])) for kind, guard in canary.guards.items()}
    shares = Shares(log=canary.shares.log)
    return msgspec.structs.replace(canary, at=at, since=now, here=0, shares=shares, guards=guards)


def _controls(share: float) -> int:
    """How many controls come for each canary."""
    return max(1, min(_MOST_CONTROLS, round((1 - share) / share))) if share else 1
