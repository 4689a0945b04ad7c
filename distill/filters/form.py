"""Format: calls that fit their schemas, results that belong to calls, no repeats, and an answer at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from distill.filters.reasons import Finding, Rules
from distill.filters.told import Told
from distill.outcomes import alike
from distill.trajectory import Run, Step, Trajectory, call_key
from router.verify import call_fault, text_fault


def answered(trajectory: Trajectory, runs: Sequence[Run], told: Told) -> Iterator[Finding]:
    """Each call but those of the last message has one result, and each result a call right before it."""
    for step in trajectory.steps:
        called = Counter(call.id for call in step.calls)
        results = Counter(result.tool_call_id for result in step.results)
        last = step.at == len(trajectory.messages) - 1
        if max(called.values(), default=1) > 1 or (results != called and not last):
            yield Finding("calls answered", "dropped", "unanswered_call", detail=f"message {step.at}")
            return
    before = trajectory.messages[: trajectory.steps[0].at] if trajectory.steps else trajectory.messages
    if any(message.role == "tool" for message in before):
        yield Finding("calls answered", "dropped", "unanswered_call", detail="a result before any call")


def ends_with_answer(trajectory: Trajectory, runs: Sequence[Run], told: Told) -> Iterator[Finding]:
    """Each run ends with an answer in words and without calls, and not with the question's own words."""
    for run in runs:
        if run.final is None:
            yield Finding("ends with an answer", "dropped", "no_final_answer", run.end - 1)
        elif _is_echo(run.question, run.final.message.text):
            yield Finding("ends with an answer", "dropped", "no_final_answer", run.end - 1, "the question once more")


def _is_echo(question: str, answer: str) -> bool:
    """Whether an answer asks what it was asked, or is the very text."""
    same = question.lower().split() == answer.lower().split()
    return same or (answer.rstrip().endswith("?") and alike(question, answer))


def calls_valid(trajectory: Trajectory, runs: Sequence[Run], told: Told) -> Iterator[Finding]:
    """Calls are JSON objects that fit the schema of a tool that was offered, and not too many at once."""
    for step in _steps(runs):
        fault = next((found for call in step.calls if (found := call_fault(call, step.tools))), "")
        if fault:
            yield Finding("calls valid", "masked", "invalid_call", step.at, fault)
        elif len(step.calls) > told.rules.calls_a_turn:
            yield Finding("calls valid", "masked", "too_many_calls", step.at, str(len(step.calls)))


def text_plain(trajectory: Trajectory, runs: Sequence[Run], told: Told) -> Iterator[Finding]:
    """No call stands in the text instead of among the calls."""
    for step in _steps(runs):
        text = step.message.text
        fault = text_fault(text, bool(step.tools)) if text.strip() else ""
        if fault:
            yield Finding("text plain", "masked", "call_in_text", step.at, fault)


def calls_differ(trajectory: Trajectory, runs: Sequence[Run], told: Told) -> Iterator[Finding]:
    """In a run nothing is called twice with the same result; what is, again and again, is a loop."""
    for run in runs:
        yield from _repeats(run, told.rules)


def _repeats(run: Run, rules: Rules) -> Iterator[Finding]:
    seen: Counter[tuple[str, bytes, str]] = Counter()
    repeating = 0
    for step in run.steps:
        made = [(*call_key(call), step.result_of(call) or "") for call in step.calls]
        seen.update(made)
        again = [call for call in made if seen[call] > 1]
        repeating += bool(again)
        if again:
            yield Finding("calls differ", "masked", "repeated_call", step.at, again[0][0])
    if repeating >= rules.repeats or max(seen.values(), default=0) >= rules.repeats:
        yield Finding("calls differ", "dropped", "loop", run.end - 1, f"{repeating} messages repeat a call")


def _steps(runs: Sequence[Run]) -> Iterator[Step]:
    for run in runs:
        yield from run.steps
