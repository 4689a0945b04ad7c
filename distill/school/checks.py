"""Checks: why an answer of the teacher is kept, or is not.

Owns the order of the checks and which of several good answers is kept. What is right is the oracles' business. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

import msgspec

from distill.generate.oracle import right
from distill.generate.question import Question
from distill.generate.said import declines
from distill.school.ledger import Taken
from router.chat import FunctionCall

KEPT = ""
LONGER = "longer"
KNOWN = "known"
REASONS = {
    "repeated": "it made the same call again",
    "too_many_calls": "it made more calls than are allowed",
    "empty": "it said nothing",
    "cut": "its answer was cut off at the limit of tokens",
    "timeout": "it did not answer in time",
    "nonsense": "what came back was no answer",
    "refused_request": "its endpoint refused the request",
    "endpoint_failed": "its endpoint failed again and again, while other questions were answered",
    "invalid_call": "a call named a tool that was not offered, or its arguments were no JSON object",
    "no_call": "it answered what it had not looked at",
    "needless_call": "it used a tool where none is needed",
    "refused": "it would not or could not answer",
    "wrong_answer": "its answer is not what the code says",
    LONGER: "another answer to the question was as right and shorter",
    KNOWN: "the student answers it rightly by itself",
}


def verdict(question: Question, taken: Taken, offered: Set[str]) -> str:
    """KEPT, or the reason why not; `offered` are the names of the tools there were."""
    if taken.code:
        return taken.code
    if not all(_valid(call, offered) for call in taken.calls):
        return "invalid_call"
    if taken.end != "answered":
        return taken.end
    if not right(question, taken.answer):
        return "refused" if declines(taken.answer) else "wrong_answer"
    if question.plan and not taken.calls:
        return "no_call"
    return "needless_call" if taken.calls and not question.plan else KEPT


def shortest(question: Question, taken: Mapping[int, Taken], offered: Set[str]) -> tuple[int | None, str]:
    """Which sample is kept: of the good ones that with the fewest calls, then the fewest words. None and the reason of
    the first where none is good."""
    reasons = {number: verdict(question, one, offered) for number, one in sorted(taken.items())}
    good = [number for number, reason in reasons.items() if reason == KEPT]
    if not good:
        return None, next(iter(reasons.values()))
    return min(good, key=lambda number: (len(taken[number].calls), len(taken[number].answer), number)), KEPT


def cannot_be_shorter(question: Question, taken: Taken, offered: Set[str]) -> bool:
    """Whether an answer is good and was found with no more calls than the question needs."""
    return verdict(question, taken, offered) == KEPT and len(taken.calls) <= len(question.plan)


def _valid(call: FunctionCall, offered: Set[str]) -> bool:
    if call.name not in offered:
        return False
    try:
        return isinstance(msgspec.json.decode(call.arguments or "{}"), dict)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
