"""Are the tokens that are learnt those that were served? Owns the comparison of a rendered example with what its traces
keep; knows nothing of models or of how either came about.
"""

from __future__ import annotations

from collections.abc import Sequence

from distill.dataset import Example
from distill.render import Renderer, Segment
from distill.trace import Trace

_SHOWN = 6  # tokens of each side in a line about a difference


def token_faults(example: Example, traces: Sequence[Trace], renderer: Renderer) -> list[str]:
    """Where prompt or completion of a turn differ from what is learnt, a line each; none where all are equal.

    `traces` are the example's own. One that `rendered_anew` names has no tokens to compare with, and gives no line.
    """
    turns = _turns(renderer.segments(example.messages, example.tools or None))
    faults = []
    for trace in traces:
        if why_anew(trace, renderer) or trace.served is None:
            continue
        number = _number(trace)
        if number >= len(turns):
            faults.append(f"{trace.id}: its turn is not learnt as one")
            continue
        prompt, said = turns[number]
        faults += _difference(trace.id, "prompt", trace.served.prompt, prompt, renderer)
        faults += _difference(trace.id, "completion", trace.served.completion, said, renderer)
    return faults


def rendered_anew(traces: Sequence[Trace], renderer: Renderer) -> dict[str, str]:
    """The traces whose turns are learnt in tokens that nobody served, with the reason."""
    return {trace.id: why for trace in traces if (why := why_anew(trace, renderer))}


def why_anew(trace: Trace, renderer: Renderer) -> str:
    """Why the served tokens of a trace cannot be those that are learnt; "" where they can."""
    if trace.redacted:
        return "redacted"
    if trace.served is None:
        return "no tokens kept"
    note = trace.note
    if note is not None and note.template not in ("", renderer.template_digest):
        return "another template"
    if note is not None and note.tokenizer not in ("", renderer.tokenizer_digest):
        return "another tokenizer"
    return ""


def _turns(segments: list[Segment]) -> list[tuple[list[int], list[int]]]:
    """Prompt and completion of every turn of the assistant that was asked for."""
    turns, before = [], list[int]()
    for segment in segments:
        if segment.learnt:
            turns.append((before[:], segment.ids))
        before += segment.ids
    return turns


def _number(trace: Trace) -> int:
    """Which of the conversation's turns the trace's answer is. Nobody was asked for a message that opens one."""
    return sum(message.role == "assistant" for message in trace.request.messages[1:])


def _difference(trace: str, part: str, served: list[int], learnt: list[int], renderer: Renderer) -> list[str]:
    if served == learnt:
        return []
    pairs = zip(served, learnt, strict=False)
    at = next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(served), len(learnt)))
    shown = [f"{ids[at : at + _SHOWN]} {renderer.decode(ids[at : at + _SHOWN])!r}" for ids in (served, learnt)]
    return [f"{trace}: the {part} differs at token {at}: served {shown[0]}, learnt {shown[1]}"]
