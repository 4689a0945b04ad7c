"""Corrections: answers that somebody put right. Owns which correction is learnt and from what conversation; knows
nothing of how it was said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from distill.dataset.example import Example
from distill.outcome import Outcome
from distill.trace import Trace
from router.chat import AnswerMessage, Message


def corrected(example: Example, traces: Sequence[Trace], outcomes: Iterable[Outcome]) -> Example:
    """The example as it should have gone: up to the first answer that was corrected, with the correction in its place.

    What came behind that answer spoke of the wrong one, so nothing of it is learnt. Of several corrections of one
    answer the last one counts; one of a trace or by somebody that may not teach counts for nothing. `traces` are the
    example's own. Returns the example itself where there is nothing to put right.
    """
    told = _usable(outcomes)
    for trace in sorted(traces, key=lambda trace: len(trace.request.messages)):
        if (better := told.get(trace.id)) is None or not trace.teach:
            continue
        seen = [one.id for one in traces if len(one.request.messages) <= len(trace.request.messages)]
        return msgspec.structs.replace(
            example,
            traces=[identity for identity in example.traces if identity in seen],
            messages=[*trace.request.messages, Message("assistant", better.content, better.tool_calls)],
            tools=trace.request.tools or [],
            created=trace.created,
        )
    return example


def _usable(outcomes: Iterable[Outcome]) -> Mapping[str, AnswerMessage]:
    """The corrections that count, by trace; of one moment, the one that comes last by its words."""
    found: dict[str, tuple[float, bytes, AnswerMessage]] = {}
    for outcome in outcomes:
        better = outcome.corrected
        if better is None or not (better.content or better.tool_calls):
            continue
        if outcome.kind != "feedback" or not outcome.teach:
            continue
        said = (outcome.at, msgspec.json.encode(better), better)
        if outcome.trace not in found or said[:2] > found[outcome.trace][:2]:
            found[outcome.trace] = said
    return {trace: better for trace, (_, _, better) in found.items()}
