"""Recall: what a teacher said already, so that a conversation that was broken off goes on where it was.

Owns how a conversation's traces answer the very messages they answered before. Knows nothing of who asks.
"""

from __future__ import annotations

from collections.abc import Sequence

from distill.agent import Recall, Said, Turn
from distill.trace import Trace
from router.chat import Message


def from_traces(traces: Sequence[Trace], arm: str = "teacher") -> Recall:
    """Of one conversation, what `arm` said. Where redaction changed a message it is not known again, and asked about
    once more."""
    answered = (trace for trace in traces if trace.state == "completed" and trace.answer is not None)
    whole = [trace for trace in answered if trace.decision.arm == arm]

    def recall(messages: Sequence[Message]) -> Said | None:
        asked = list(messages)
        return next((_said(trace) for trace in whole if trace.request.messages == asked), None)

    return recall


def from_turns(messages: Sequence[Message], said: Sequence[Said], before: Recall) -> Recall:
    """Of a conversation's `messages`, in which the assistant's are what was `said`; else what `before` knows."""
    known = [at for at, message in enumerate(messages) if message.role == "assistant"]

    def recall(asked: Sequence[Message]) -> Said | None:
        at = len(asked)
        if at in known and list(asked) == list(messages[:at]) and known.index(at) < len(said):
            return said[known.index(at)]
        return before(asked)

    return recall


def _said(trace: Trace) -> Said:
    assert trace.answer is not None
    usage = trace.usage
    turn = Turn(
        served_by=trace.decision.arm,
        reason=trace.decision.reason,
        trace=trace.id,
        seconds=trace.seconds.get("total", 0.0),
        prompt_tokens=usage.prompt_tokens if usage else 0,
        completion_tokens=usage.completion_tokens if usage else 0,
    )
    return Said(trace.answer, trace.finish_reason, turn)
