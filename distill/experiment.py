"""What came of an experiment: each arm's conversations, measured in the traces.

Owns the measures. A conversation is one unit, with one value of each measure, and belongs to the arm that it was given,
whoever answered in the end (intention to treat). What may be concluded is router.sequence's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Literal

import msgspec

from distill.outcome import Kind, Outcome
from distill.outcomes import implicit_outcomes
from distill.store.store import TraceStore
from distill.trace import Trace
from router.sequence import Sums

Measure = Literal["went_wrong", "by_student", "rejected", "seconds", "feedback"]
MEASURES: Mapping[Measure, str] = {
    "went_wrong": "share of its requests that went wrong",
    "by_student": "share of its requests that the student answered",
    "rejected": "share of its requests with a draft that was thrown away",
    "seconds": "seconds of a request",
    "feedback": "feedback, from -1 to 1",
}
LOWER_IS_BETTER: frozenset[Measure] = frozenset({"went_wrong", "rejected", "seconds"})
_WRONG: frozenset[Kind] = frozenset({"tool_error", "repaired", "repeated", "asked_again"})


class Measured(msgspec.Struct):
    """Sums of each measure by arm; `order` are the arms of the conversations, oldest first; `mixed` conversations had
    several arms, which cannot be, and count for none; `days` passed from the first to the last."""

    sums: dict[str, dict[Measure, Sums]]
    order: list[str]
    mixed: int = 0
    days: float = 0.0


async def measured(store: TraceStore, until: int, experiment: str, now: float) -> Measured:
    """What the traces up to the number `until` say of an experiment at `now` (Unix seconds)."""
    found, begun, last = Measured({}, []), list[tuple[float, str]](), 0.0
    async for traces in store.conversations(until):
        own = [trace for trace in traces if experiment in trace.experiments]
        arms = {trace.experiments[experiment] for trace in own}
        if len(arms) > 1:
            found.mixed += 1
        if len(arms) != 1:
            continue
        arm = arms.pop()
        told = await store.outcomes([trace.id for trace in own])
        sums = found.sums.setdefault(arm, {})
        for measure, value in values(own, [*told, *implicit_outcomes(traces, now)]).items():
            sums[measure] = sums.get(measure, Sums()).after(value)
        begun.append((own[0].created, arm))
        last = max(last, own[-1].created)
    begun.sort()
    found.order = [arm for _, arm in begun]
    found.days = (last - begun[0][0]) / 86_400 if begun else 0.0
    return found


def values(traces: Sequence[Trace], outcomes: Sequence[Outcome]) -> dict[Measure, float]:
    """The measures of one conversation's traces, with what is known of them afterwards; what nothing says is not
    there."""
    names = {trace.id for trace in traces}
    wrong = {outcome.trace for outcome in outcomes if outcome.kind in _WRONG and outcome.trace in names}
    wrong |= {trace.id for trace in traces if trace.state == "failed"}
    scores = [one.score for one in outcomes if one.kind == "feedback" and one.score is not None and one.trace in names]
    wrong |= {one.trace for one in outcomes if one.kind == "feedback" and (one.score or 0) < 0 and one.trace in names}
    found: dict[Measure, float] = {
        "went_wrong": len(wrong) / len(traces),
        "by_student": fmean(trace.decision.arm == "student" for trace in traces),
        "rejected": fmean(trace.draft is not None and trace.decision.arm == "teacher" for trace in traces),
    }
    if took := [trace.seconds["total"] for trace in traces if trace.state == "completed" and "total" in trace.seconds]:
        found["seconds"] = fmean(took)
    if scores:
        found["feedback"] = fmean(scores)
    return found
