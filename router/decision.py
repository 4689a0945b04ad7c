"""Decision: who answers a request and why. Owns the record alone; the rules are in policy, verify and score."""

from __future__ import annotations

from typing import Literal

import msgspec

Arm = Literal["student", "teacher"]
STUDENT_CALL = "call_s"  # ids of tool calls that a student's turn carried begin so; any other was the teacher's

Reason = Literal[
    "verified",  # the student's draft passed verification and was confident enough
    "unverified",  # the draft's form is wrong: see `detail`
    "doubtful",  # the draft is well-formed but not confident enough
    "unpromising",  # a draft would most likely be rejected, and cost more time than it could save
    "uncertified",  # the student may not serve yet
    "capability",  # only one arm can serve such a request
    "requested",  # the client named the arm
    "policy",  # the settings say so
    "sticky",  # the conversation stays with the teacher until the next user message
    "stays_here",  # the request may not leave this machine, and the other arm is elsewhere
    "experiment",  # the conversation's arm of an experiment names who answers what either could
    "holdout",  # the conversation belongs to the random share that always goes to the teacher
    "student_failed",  # the student's engine broke or timed out
    "teacher_failed",  # no teacher could answer, and the student's draft passed verification
    "cached",  # the same request was answered before: `detail` is that answer's trace
]


class Decision(msgspec.Struct, frozen=True, omit_defaults=True):
    """`scores` are probabilities in 0..1; `threshold` is what the score named `confidence` had to reach. `propensity`
    is how probable it was, before the conversation's lot was drawn, that it would be dealt with in this way: with it,
    what the arms did can be weighed without bias. 1: nothing was left to chance."""

    arm: Arm
    reason: Reason
    detail: str = ""
    scores: dict[str, float] = msgspec.field(default_factory=dict)
    threshold: float | None = None
    certificate: str | None = None
    certified: bool = False
    policy: str = "rule-1"
    propensity: float = 1.0

    @property
    def why(self) -> str:
        """Reason and detail, for people."""
        return f"{self.reason}: {self.detail}" if self.detail else self.reason
