"""Watching: whether what a student served under a certificate bears it out.

Owns what is counted: the requests that are drawn by lot, those that the student answered under this certificate, held
beside what the teacher says to them. The evidence may be looked at as often as one likes (see `router.guard`).
"""

from __future__ import annotations

from collections.abc import Mapping

from distill.outcome import Outcome
from distill.routing.comparing import compared
from distill.routing.replaying import drawn, teachers_of
from distill.store.store import TraceStore
from distill.trace import Trace
from router.certificate import Certificate
from router.chat import Choice
from router.groups import Group, group_of
from router.guard import Limit


async def watched(store: TraceStore, until: int, certificate: Certificate, taught: int) -> Mapping[Group, Limit]:
    """The evidence against each group of a certificate, from the traces up to the number `until`, oldest first."""
    counted: list[tuple[float, Group, bool]] = []
    async for traces in store.conversations(until):
        served = [trace for trace in drawn(traces, taught) if trace.decision.certificate == certificate.name]
        outcomes: dict[str, list[Outcome]] = {}
        for outcome in await store.outcomes([trace.id for trace in served]):
            outcomes.setdefault(outcome.trace, []).append(outcome)
        counted += [found for trace in served if (found := _counted(trace, outcomes.get(trace.id, [])))]
    guards = {group: Limit(alpha) for group, alpha in certificate.alpha.items()}
    for _, group, worse in sorted(counted):
        if group in guards:
            guards[group] = guards[group].after(worse)
    return guards


def _counted(trace: Trace, known: list[Outcome]) -> tuple[float, Group, bool] | None:
    """When an answer was served, of which group it is, and whether it was worse; None where nobody can say."""
    teachers = teachers_of(trace, known)
    if trace.answer is None or trace.decision.arm != "student" or not teachers:
        return None
    worse = compared(trace.request, Choice(trace.answer, trace.finish_reason), teachers).worse
    return trace.created, group_of(trace.answer.tool_calls or ()), worse
