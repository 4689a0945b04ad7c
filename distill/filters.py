"""What may be learnt from: traces to conversations, and the checks a conversation must pass.

Owns a list of pure checks with their reason codes, in the order format, grounding. Knows nothing of SQL, files or
tokens. Only what the teacher said is learnt.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Set

import msgspec

from distill.dataset import Example
from distill.trace import Trace
from router.chat import Message, Tool
from router.verify import call_fault

_NAMED = re.compile(r"[\w./-]*\w\.\w{1,5}\b|\b\w*[a-z][A-Z]\w*\b|\b\w+_\w+\b")  # paths, CamelCase, snake_case


class Trajectory(msgspec.Struct, frozen=True):
    """A conversation as its last request and answer tell it, with all its traces, oldest first."""

    conversation: str
    repository: str
    traces: list[Trace]
    messages: list[Message]
    tools: list[Tool]

    @property
    def last(self) -> Trace:
        return self.traces[-1]


def trajectories(traces: Iterable[Trace]) -> list[Trajectory]:
    """Traces grouped by conversation, in the order in which conversations began. Two clients share none."""
    groups: dict[tuple[str, str], list[Trace]] = {}
    for trace in traces:
        groups.setdefault((trace.client, trace.conversation), []).append(trace)
    return [_trajectory(group) for group in groups.values()]


def sift(found: Iterable[Trajectory], reserved: Set[str]) -> tuple[list[Example], Counter[str]]:
    """The conversations to learn from, and how many were dropped for which reason.

    `reserved` names the repositories of examinations: nothing about them is ever learnt.
    """
    kept, dropped = [], Counter[str]()
    for trajectory in found:
        reason = "reserved" if trajectory.repository in reserved else fault(trajectory)
        if reason:
            dropped[reason] += 1
        else:
            kept.append(_example(trajectory))
    return kept, dropped


def fault(trajectory: Trajectory) -> str:
    """The code of the first check that the conversation does not pass; "" when it passes all."""
    return next((reason for reason, passes in CHECKS.items() if not passes(trajectory)), "")


def _complete(trajectory: Trajectory) -> bool:
    return all(trace.state == "completed" and trace.answer is not None for trace in trajectory.traces)


def _may_teach(trajectory: Trajectory) -> bool:
    return all(trace.teach for trace in trajectory.traces)


def _taught(trajectory: Trajectory) -> bool:
    return all(trace.decision.arm == "teacher" for trace in trajectory.traces)


def _ends_with_answer(trajectory: Trajectory) -> bool:
    answer = trajectory.messages[-1]
    return answer.role == "assistant" and not answer.tool_calls and bool(answer.text.strip())


def _calls_valid(trajectory: Trajectory) -> bool:
    calls = [call for message in trajectory.messages for call in message.tool_calls or ()]
    tools = {tool.function.name: tool for tool in trajectory.tools}
    return all(not call_fault(call, tools) for call in calls)


def _calls_differ(trajectory: Trajectory) -> bool:
    calls = [call.function for message in trajectory.messages for call in message.tool_calls or ()]
    return len(calls) == len(set(calls))


def _calls_answered(trajectory: Trajectory) -> bool:
    calls = {call.id for message in trajectory.messages for call in message.tool_calls or ()}
    return calls == {message.tool_call_id for message in trajectory.messages if message.role == "tool"}


def _grounded(trajectory: Trajectory) -> bool:
    """Each path and identifier that the answer names was seen before, in the question or in a tool's result.

    What the assistant itself wrote, in a call or in words, proves nothing.
    """
    seen = "\n".join(message.text for message in trajectory.messages if message.role != "assistant")
    return all(name in seen for name in _NAMED.findall(trajectory.messages[-1].text))


CHECKS: dict[str, Callable[[Trajectory], bool]] = {
    "incomplete": _complete,
    "may_not_teach": _may_teach,
    "not_the_teacher": _taught,
    "no_final_answer": _ends_with_answer,
    "invalid_call": _calls_valid,
    "repeated_call": _calls_differ,
    "unanswered_call": _calls_answered,
    "ungrounded": _grounded,
}


def _trajectory(traces: list[Trace]) -> Trajectory:
    last = max(traces, key=lambda trace: len(trace.request.messages))
    ordered = sorted(traces, key=lambda trace: len(trace.request.messages))
    answer = last.answer
    said = [Message("assistant", answer.content, answer.tool_calls)] if answer is not None else []
    return Trajectory(
        conversation=last.conversation,
        repository=str((last.request.metadata or {}).get("repository", "")),
        traces=ordered,
        messages=[*last.request.messages, *said],
        tools=last.request.tools or [],
    )


def _example(trajectory: Trajectory) -> Example:
    return Example(
        conversation=trajectory.conversation,
        repository=trajectory.repository,
        traces=[trace.id for trace in trajectory.traces],
        messages=trajectory.messages,
        tools=trajectory.tools,
        client=trajectory.last.client,
        created=trajectory.last.created,
        model=trajectory.last.model,
    )
