"""Estimates: what a set will still take, in seconds and money, by what was measured. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from distill.generate.question import Question
from distill.school.ledger import Ledger
from distill.school.running import cost
from distill.store.listing import Sum


class Estimate(msgspec.Struct, frozen=True):
    """`seconds` until all are asked; `cost` by the prices that were given; `by` says what was measured."""

    seconds: float
    cost: float
    by: str


def estimated(
    questions: Sequence[Question], ledger: Ledger, sums: Sequence[Sum], at_once: int, prices: tuple[float, float]
) -> Estimate | None:
    """For what is not settled yet: by the set's own answers, else by what the teacher answered lately. None where there
    is neither."""
    left = [question for question in questions if question.id not in ledger.settled]
    own = [one for samples in ledger.taken.values() for one in samples.values()]
    if own and ledger.settled:
        times = len(left) / len(ledger.settled)
        seconds = sum(one.seconds for one in own) * times / at_once
        return Estimate(seconds, cost(ledger, prices) * times, f"{len(own)} answers of this set")
    answered = [one for one in sums if one.arm == "teacher" and one.state == "completed"]
    requests = sum(one.traces for one in answered)
    if not requests:
        return None
    times = sum(len(question.plan) + 1 for question in left) / requests
    tokens_in, tokens_out = sum(one.prompt_tokens for one in answered), sum(one.completion_tokens for one in answered)
    return Estimate(
        sum(one.seconds for one in answered) * times / at_once,
        (tokens_in * prices[0] + tokens_out * prices[1]) * times / 1_000_000,
        f"{requests} requests that the teacher answered lately",
    )
