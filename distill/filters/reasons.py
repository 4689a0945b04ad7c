"""Reasons: the codes by which filters say what they did, what each does, and the rules that have a setting.

Owns the lists; knows nothing of the checks.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Effect = Literal["passed", "noted", "masked", "dropped"]

VERSION = "filters-5"  # changes whenever the same traces may give other examples

REASONS: dict[str, Effect] = {
    # who may be learnt from
    "reserved": "dropped",
    "may_not_teach": "dropped",
    "secret": "dropped",
    "incomplete": "masked",
    "not_traced": "masked",
    "cached": "masked",
    "not_the_teacher": "masked",
    "truncated": "masked",
    "missing_context": "masked",
    # format
    "unanswered_call": "dropped",
    "no_final_answer": "dropped",
    "invalid_call": "masked",
    "too_many_calls": "masked",
    "call_in_text": "masked",
    "repeated_call": "masked",
    "loop": "dropped",
    "edit_elsewhere": "masked",
    "edit_of_nothing": "masked",
    # re-execution
    "not_rerun": "noted",
    "stale_result": "dropped",
    # outcomes
    "tool_error": "masked",
    "repaired": "masked",
    "bad_feedback": "dropped",
    "asked_again": "dropped",
    # grounding
    "not_looked_at": "dropped",
    "ungrounded_argument": "masked",
    "ungrounded": "dropped",
    "unproven_absence": "dropped",
    # oracle, agreement, judge
    "wrong_answer": "dropped",
    "disagreed": "masked",
    "unconfirmed": "dropped",
    "judged_bad": "dropped",
    # what became of what passed
    "learnt_before": "noted",
    "corrected": "noted",
}


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one check says. `at` is the place of the message it is about, None for all of the trajectory; `reason` is
    empty where the check passed. A message that is masked stays as context; a run that is dropped is not learnt from,
    and neither is one whose last answer is masked."""

    check: str
    effect: Effect
    reason: str = ""
    at: int | None = None
    detail: str = ""


class Rules(msgspec.Struct, frozen=True):
    """Settings of the filters. `calls_a_turn` is how many calls a message may make; a run in which one (call, result)
    comes `repeats` times goes in a loop. `confirm`: natural conversations need the agreement of at least `agreement`
    of the teacher's samples, or positive feedback; without it, what is `unconfirmed` is kept and only noted."""

    calls_a_turn: int = 8
    repeats: int = 3
    confirm: bool = True
    agreement: float = 0.6
