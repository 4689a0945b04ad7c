"""Outside checks: outcomes, the oracle, the teacher's other samples, feedback, the judge.

A run is natural when nobody knows the right answer: then somebody has to confirm it. Owns what counts as negative. How
an outcome is found is `distill.outcomes`', when samples agree `agreeing`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from distill.filters.agreeing import agreement
from distill.filters.calls import all_ours
from distill.filters.reasons import Effect, Finding
from distill.filters.told import Told
from distill.outcome import Outcome
from distill.results import failed
from distill.trajectory import Run, Step, Trajectory


def outcomes(trajectory: Trajectory, runs: Sequence[Run], told: Told) -> Iterator[Finding]:
    """Nothing went wrong later on: no failed call, no repair, no complaint, no question put again.

    That a call failed may be the very answer, as of what is not there. So of the exploring agent's calls only those are
    bad that had to be made again, and of others' none where all failed and the answer is known to be right.
    """
    ours = all_ours(trajectory.tools)
    for run in runs:
        error_is_bad = not (ours or (_all_failed(run) and _right(run, told)))
        for step in run.steps:
            for outcome in told.outcomes(step.trace.id) if step.trace is not None else ():
                yield from _of_outcome(outcome, step, run, error_is_bad)


def oracle(trajectory: Trajectory, runs: Sequence[Run], told: Told) -> Iterator[Finding]:
    """Where the right answer is known, the answer is right."""
    for run in runs:
        if _right(run, told) is False:
            yield Finding("oracle", "dropped", "wrong_answer", run.end - 1)


def confirmed(trajectory: Trajectory, runs: Sequence[Run], told: Told) -> Iterator[Finding]:
    """A natural run has the agreement of the teacher's other samples, or praise; in one that has it for the answer, so
    has each call that is learnt."""
    doubted = False  # an answer before: samples of what follows heard it, too, and so confirm nothing
    alive = {run.start for run in runs}
    for run in trajectory.runs:
        if run.start not in alive:
            doubted = doubted or _failed(run, told)
        elif not any(_praised(step, told) for step in run.steps):
            natural = _right(run, told) is None
            final = share_of(run.final, run, told) if run.final is not None else None
            yield from _agreed(run, told, natural)
            if natural and final is not None and doubted:
                yield Finding("confirmed", "dropped", "disagreed", run.end - 1, "an answer before was not agreed on")
            doubted = doubted or (natural and final is not None and final < told.rules.agreement)


def _agreed(run: Run, told: Told, natural: bool) -> Iterator[Finding]:
    """Each step of a run that nobody praised is what the teacher says again."""
    shares = {step.at: share_of(step, run, told) for step in run.steps if step.trace is not None}
    for at, share in shares.items():
        if share is not None and share < told.rules.agreement:
            yield Finding("confirmed", "masked", "disagreed", at, f"{share:.0%} of the samples agree")
    final = shares.get(run.final.at) if run.final is not None else None
    if natural and final is None:
        effect: Effect = "dropped" if told.rules.confirm else "noted"
        yield Finding("confirmed", effect, "unconfirmed", run.end - 1, "no samples and no feedback")
    elif natural and told.rules.confirm and final is not None and final >= told.rules.agreement:
        for at in (at for at, share in shares.items() if share is None):
            yield Finding("confirmed", "masked", "unconfirmed", at, "no samples of this call")


def share_of(step: Step, run: Run, told: Told) -> float | None:
    """The share of the teacher's other samples that agree with a step; None where there are too few."""
    if step.trace is None:
        return None
    return agreement(step.message, told.samples(step.trace.id), run.question, step.trace.request)


def _right(run: Run, told: Told) -> bool | None:
    """Whether the answer is right; None where nobody knows."""
    if told.oracle is None or run.final is None:
        return None
    return told.oracle(run.question, run.final.message.text)


def _all_failed(run: Run) -> bool:
    return all(failed(step.result_of(call) or "") for step in run.steps for call in step.calls)


def _failed(run: Run, told: Told) -> bool:
    """Whether the teacher gave an answer that was dropped, and nobody set it right."""
    trace = run.final.trace if run.final is not None else None
    if trace is None or trace.decision.arm != "teacher":
        return False
    return not any(outcome.kind in ("asked_again", "feedback") for outcome in told.outcomes(trace.id))


def judged(trajectory: Trajectory, runs: Sequence[Run], told: Told) -> Iterator[Finding]:
    """The judge has nothing against it. The last to be asked, since it costs most."""
    for run in runs if told.judge is not None else ():
        if told.judge is not None and told.judge(trajectory, run) is False:
            yield Finding("judge", "dropped", "judged_bad", run.end - 1)


def _of_outcome(outcome: Outcome, step: Step, run: Run, error_is_bad: bool) -> Iterator[Finding]:
    if outcome.kind == "repaired" or (outcome.kind == "tool_error" and error_is_bad):
        yield Finding("outcomes", "masked", outcome.kind, step.at, outcome.comment)
    elif outcome.kind == "feedback" and ((outcome.score or 0) < 0 or outcome.corrected is not None):
        yield Finding("outcomes", "dropped", "bad_feedback", run.end - 1, outcome.comment)
        if outcome.corrected is not None and outcome.teach:
            yield Finding("outcomes", "noted", "corrected", step.at)
    elif outcome.kind == "asked_again":
        yield Finding("outcomes", "dropped", "asked_again", run.end - 1)


def _praised(step: Step, told: Told) -> bool:
    known = told.outcomes(step.trace.id) if step.trace is not None else ()
    return any(outcome.kind == "feedback" and (outcome.score or 0) > 0 and outcome.teach for outcome in known)
