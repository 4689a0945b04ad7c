"""A certificate: from which score on the student may serve, for exactly one student, teacher and way of scoring.

Owns the record, what it is valid for, and what is missing where there is none. How one is earned is distill's; who
keeps it is the gateway's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from router.chat import EngineNote
from router.groups import Group

RULE = "rule-1"  # the scorer that needs no training: the least sure token of a call, the mean of a text


class Proven(msgspec.Struct, frozen=True):
    """A threshold that was certified: of `accepted` units at or above it `errors` were worse; there were `labels` in
    all. `p_value` is the test's."""

    threshold: float
    accepted: int
    errors: int
    labels: int
    p_value: float

    @property
    def coverage(self) -> float:
        """The share of units that the student may serve."""
        return self.accepted / self.labels


class Scope(msgspec.Struct, frozen=True):
    """What a certificate is about; a change of any withdraws it. `base`, `adapter` and `template` are digests as the
    engine tells them, "" for none; `teacher` names all teachers' models; `scorer` is RULE or the name of gates."""

    base: str
    adapter: str
    template: str
    teacher: str
    scorer: str

    def is_about(self, note: EngineNote) -> bool:
        """Whether this student, with this template, drafted what the note is about."""
        return (note.model, note.adapter or "", note.template) == (self.base, self.adapter, self.template)


class Certificate(msgspec.Struct, frozen=True):
    """`groups` have a threshold each; of a group that is not there the student serves nothing. Of what it serves of one
    a share of `alpha` at most is worse than the teacher's answer, each conversation counted once in each group, with
    confidence 1 - `delta` for all groups together. `times` counts how often the same labels were used."""

    scope: Scope
    groups: Mapping[Group, Proven]
    alpha: Mapping[Group, float]
    delta: float
    times: int = 1

    @property
    def name(self) -> str:
        """The same for the same certificate."""
        return "certificate-" + hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:12]

    def threshold(self, group: Group) -> float | None:
        """From which score on the student may serve; None: not at all."""
        found = self.groups.get(group)
        return found.threshold if found is not None else None


class Missing(msgspec.Struct, frozen=True):
    """Why a group has no certificate: of `labels` those `accepted` at the threshold where it is likely to come first
    had `errors`. It takes `likely` accepted ones at the risk that they show; None: no number certifies such a risk."""

    labels: int
    accepted: int
    errors: int
    likely: int | None

    @property
    def more(self) -> int | None:
        """How many accepted labels are missing, about; None: the student has to become better first."""
        return None if self.likely is None else max(1, self.likely - self.accepted)

    def days(self, within: float) -> float | None:
        """After how many days they will be there, where the accepted ones came `within` so many; None: never, or not
        known, as these are none or came within one day."""
        if self.more is None or within < 1 or not self.accepted:
            return None
        return self.more * within / self.accepted
