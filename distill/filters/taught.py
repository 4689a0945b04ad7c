"""Who teaches what: a teacher that was compared with the student teaches no category in which it was no better.

Owns which category a run is in. Knows nothing of how teachers are compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from distill.filters.reasons import Finding
from distill.filters.told import Told
from distill.trajectory import Run, Trajectory

_ONE_CALL = ("search", "analysis")  # nobody but a template knows which of them


def taught(trajectory: Trajectory, runs: Sequence[Run], told: Told) -> Iterator[Finding]:
    """Nothing is learnt of a teacher in a category that it does not teach."""
    if told.teaches is None:
        return
    for run in runs:
        trace = run.final.trace if run.final is not None else None
        names = categories_of(run, told)
        if trace is not None and not any(told.teaches(trace.model, name) for name in names):
            said = f"{trace.model} was no better than the student at {' or '.join(names)}"
            yield Finding("taught", "dropped", "teacher_no_better", run.end - 1, said)


def categories_of(run: Run, told: Told) -> tuple[str, ...]:
    """The category of a template's question; of another one, what its calls leave possible."""
    known = told.category(run.question) if told.category is not None else None
    if known is not None:
        return (known,)
    calls = sum(len(step.message.tool_calls or ()) for step in run.steps)
    return _ONE_CALL if calls == 1 else ("multi_step",) if calls else ("negative",)
