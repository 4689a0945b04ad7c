"""Who may be learnt from: rights, reserved repositories, secrets, and who said what. Knows nothing of what is right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from distill.filters.reasons import Finding
from distill.filters.told import Told
from distill.trace import Trace
from distill.trajectory import Run, Trajectory
from distill.workspace import workspace_of
from router.chat import Message


def reserved(trajectory: Trajectory, runs: Sequence[Run], told: Told) -> Iterator[Finding]:
    """Not about a repository that is examined."""
    repository = workspace_of(trajectory.last.request).repository
    if repository in told.reserved:
        yield Finding("reserved", "dropped", "reserved", detail=repository)


def may_teach(trajectory: Trajectory, runs: Sequence[Run], told: Told) -> Iterator[Finding]:
    """Nothing in it comes from a key whose requests may not be learnt from."""
    barred = [trace.id for trace in trajectory.traces if not trace.teach]
    if barred:
        yield Finding("may_teach", "dropped", "may_not_teach", detail=barred[0])


def no_secrets(trajectory: Trajectory, runs: Sequence[Run], told: Told) -> Iterator[Finding]:
    """No text holds a secret: what stands in a dataset may come out of a model."""
    if told.finds_secret is None:
        return
    for at, message in enumerate(trajectory.messages):
        if any(told.finds_secret(text) for text in _texts(message)):
            yield Finding("secrets", "dropped", "secret", detail=f"in message {at}")
            return
    if any(told.finds_secret(msgspec.json.encode(tool).decode()) for tool in trajectory.tools):
        yield Finding("secrets", "dropped", "secret", detail="in the tools")


def authors(trajectory: Trajectory, runs: Sequence[Run], told: Told) -> Iterator[Finding]:
    """Each message was said by the teacher, to its end, and with nothing before it that is not told."""
    if trajectory.authors[-1] is None:
        last = trajectory.last
        detail = f"{last.state}: {last.error}" if last.error else last.state
        yield Finding("authors", "dropped", "incomplete", len(trajectory.messages) - 1, detail)
    for run in runs:
        for step in run.steps:
            reason, detail = ("not_traced", "") if step.trace is None else _fault(step.trace)
            if reason:
                yield Finding("authors", "masked", reason, step.at, detail)


def _fault(trace: Trace) -> tuple[str, str]:
    if trace.decision.reason == "cached":
        return "cached", trace.decision.detail
    if trace.state != "completed":
        return "incomplete", trace.state
    if trace.decision.arm != "teacher":
        return "not_the_teacher", trace.decision.why
    if trace.finish_reason not in (None, "stop", "tool_calls"):
        return "truncated", trace.finish_reason
    if (trace.request.metadata or {}).get("incomplete") is True:  # as imports mark it; clients send texts
        return "missing_context", trace.client
    return "", ""


def _texts(message: Message) -> Iterator[str]:
    yield message.text
    yield from (thought for thought in (message.reasoning_content, message.reasoning) if thought)
    for call in message.tool_calls or ():
        yield call.function.arguments
