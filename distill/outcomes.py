"""Implicit outcomes: what a conversation shows of its own traces later on.

Owns how they are found. Pure: the clock is an argument. Knows nothing of SQL, of feedback that somebody gave, or of
what an outcome is used for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from distill.outcome import Kind, Outcome
from distill.results import failed
from distill.trace import Trace
from distill.trajectory import Run, Step, Trajectory, call_key, same_question, trajectories

PATIENCE = 3600.0  # seconds after which nobody comes back to a conversation without an answer
_SOON = 2  # steps within which a failed call is made again
_FEWEST = 4  # words of a question: "continue" said twice is none that is asked again
_FILLERS = frozenset(  # what is added to or left out of a question that is put once more
    {
        *("a", "an", "the", "i", "me", "you", "it", "so", "and", "but", "no", "not", "ok", "okay", "hey", "hi", "well"),
        *("please", "again", "once", "more", "now", "just", "still", "asked", "said", "question", "can", "could"),
    }
)
_WORDS = re.compile(r"\w+")
_LONGEST = 1 << 16  # characters of a question that are compared


def implicit_outcomes(traces: Sequence[Trace], now: float, patience: float = PATIENCE) -> list[Outcome]:
    """The outcomes that one conversation's traces show at `now` (Unix seconds), each once, in the order of time.

    `at` is when the trace that shows it began. A conversation is abandoned when for `patience` seconds nothing
    followed a last trace that is no answer in words.
    """
    found: dict[tuple[str, Kind], Outcome] = {}
    for outcome in [*outcomes_along(trajectories(traces)), *asked_anew(traces), *_abandoned(traces, now, patience)]:
        found.setdefault((outcome.trace, outcome.kind), outcome)
    return sorted(found.values(), key=lambda outcome: (outcome.at, outcome.trace, outcome.kind))


def outcomes_along(ways: Sequence[Trajectory]) -> Iterator[Outcome]:
    """What the ways of one conversation show of their calls and answers; the same may come more than once."""
    for trajectory in ways:
        for run in trajectory.runs:
            yield from _of_calls(trajectory, run)
        yield from _asked_again(trajectory)


def _of_calls(trajectory: Trajectory, run: Run) -> Iterator[Outcome]:
    made: dict[tuple[str, bytes, str], Step] = {}
    for number, step in enumerate(run.steps):
        for call in step.calls:
            result = step.result_of(call)
            if result is None:
                continue
            at = _shown_at(trajectory, step)
            if failed(result):
                yield from _told(step, "tool_error", at, call.function.name)
                yield from _repaired(trajectory, step, call.function.name, run.steps[number + 1 :][:_SOON])
            before = made.setdefault((*call_key(call), result), step)
            if before is not step:
                yield from _told(before, "repeated", _began(trajectory, step), call.function.name)


def _repaired(trajectory: Trajectory, step: Step, tool: str, later: Sequence[Step]) -> Iterator[Outcome]:
    """The failed call's tool is called again soon, otherwise than before."""
    before = {call_key(call) for call in step.calls}
    for other in later:
        if any(call.function.name == tool and call_key(call) not in before for call in other.calls):
            yield from _told(step, "repaired", _began(trajectory, other), tool)
            return


def _asked_again(trajectory: Trajectory) -> Iterator[Outcome]:
    for run, following in zip(trajectory.runs, trajectory.runs[1:], strict=False):
        if run.final is not None and following.steps and alike(run.question, following.question):
            yield from _told(run.final, "asked_again", _began(trajectory, following.steps[0]))


def asked_anew(traces: Sequence[Trace]) -> Iterator[Outcome]:
    """Answers that were thrown away: the same request was made again once they were there."""
    for one, other in same_question(traces):
        answered = one.state == "completed" and one.answer is not None and not one.answer.tool_calls
        if answered:
            yield Outcome(one.id, "asked_again", other.created)


def _abandoned(traces: Sequence[Trace], now: float, patience: float) -> Iterator[Outcome]:
    last = max(traces, key=lambda trace: (trace.created, trace.id), default=None)
    if last is None or now - last.created < patience:
        return
    answer = last.answer
    if last.state != "completed" or answer is None or answer.tool_calls or not (answer.content or "").strip():
        yield Outcome(last.id, "abandoned", last.created + patience)


def alike(one: str, other: str) -> bool:
    """Whether two questions have the same words but for those that mean nothing."""
    mine, theirs = ({*_WORDS.findall(text[:_LONGEST].lower())} - _FILLERS for text in (one, other))
    return mine == theirs and len(mine) >= _FEWEST


def _told(step: Step, kind: Kind, at: float, comment: str = "") -> Iterator[Outcome]:
    """Nothing, where the step is none of ours."""
    if step.trace is not None:
        yield Outcome(step.trace.id, kind, at, comment=comment)


def _began(trajectory: Trajectory, step: Step) -> float:
    return step.trace.created if step.trace is not None else trajectory.last.created


def _shown_at(trajectory: Trajectory, step: Step) -> float:
    """When the results of a step came in: with the next request."""
    places = range(step.at + 1, len(trajectory.authors))
    following = (trace.created for at in places if (trace := trajectory.authors[at]) is not None)
    return next(following, trajectory.last.created)
