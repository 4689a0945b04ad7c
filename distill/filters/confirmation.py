"""Outside checks of natural conversations: outcomes, the teacher's other samples, feedback; oracle and judge for all.

A conversation is natural when its tools are not the exploring agent's: nobody made its questions, so nobody knows their
answers. Owns what counts as negative. How an outcome is found is `distill.outcomes`', when samples agree `agreeing`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from distill.filters.agreeing import agreement
from distill.filters.calls import all_ours
from distill.filters.reasons import Effect, Finding
from distill.filters.told import Told
from distill.outcome import Outcome
from distill.trajectory import Run, Step, Trajectory
from router.chat import AnswerMessage


def outcomes(trajectory: Trajectory, runs: Sequence[Run], told: Told) -> Iterator[Finding]:
    """Nothing went wrong later on: no failed call, no repair, no complaint, no question put again.

    The exploring agent's tools say "error:" of what is not there, which may be the very answer: of its calls only
    those are bad that had to be made again.
    """
    natural = not all_ours(trajectory.tools)
    for run in runs:
        for step in run.steps:
            for outcome in told.outcomes(step.trace.id) if step.trace is not None else ():
                yield from _of_outcome(outcome, step, run, natural)


def oracle(trajectory: Trajectory, runs: Sequence[Run], told: Told) -> Iterator[Finding]:
    """Where the right answer is known, the answer is right."""
    for run in runs if told.oracle is not None else ():
        answer = run.final.message.text if run.final is not None else ""
        if told.oracle is not None and told.oracle(run.question, answer) is False:
            yield Finding("oracle", "dropped", "wrong_answer", run.end - 1)


def confirmed(trajectory: Trajectory, runs: Sequence[Run], told: Told) -> Iterator[Finding]:
    """A natural conversation has the agreement of the teacher's other samples, or praise."""
    natural = not all_ours(trajectory.tools)
    doubted = False  # an answer before: samples of what follows heard it, too, and so confirm nothing
    alive = {run.start for run in runs}
    for run in trajectory.runs:
        if run.start not in alive:
            doubted = doubted or _failed(run, told)
            continue
        shares = {step.at: agreement(step.message, _samples(step, told), run.question) for step in run.steps}
        praised = any(_praised(step, told) for step in run.steps)
        for at, share in shares.items():
            if share is not None and share < told.rules.agreement and not praised:
                yield Finding("confirmed", "masked", "disagreed", at, f"{share:.0%} of the samples agree")
        final = shares.get(run.final.at) if run.final is not None else None
        if natural and not praised and final is None:
            effect: Effect = "dropped" if told.rules.confirm else "noted"
            yield Finding("confirmed", effect, "unconfirmed", run.end - 1, "no samples and no feedback")
        elif natural and not praised and doubted:
            yield Finding("confirmed", "dropped", "disagreed", run.end - 1, "an answer before was not agreed on")
        doubted = doubted or (natural and not praised and final is not None and final < told.rules.agreement)


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


def _of_outcome(outcome: Outcome, step: Step, run: Run, natural: bool) -> Iterator[Finding]:
    if outcome.kind == "repaired" or (outcome.kind == "tool_error" and natural):
        yield Finding("outcomes", "masked", outcome.kind, step.at, outcome.comment)
    elif outcome.kind == "feedback" and ((outcome.score or 0) < 0 or outcome.corrected is not None):
        yield Finding("outcomes", "dropped", "bad_feedback", run.end - 1, outcome.comment)
        if outcome.corrected is not None and outcome.teach:
            yield Finding("outcomes", "noted", "corrected", step.at)
    elif outcome.kind == "asked_again":
        yield Finding("outcomes", "dropped", "asked_again", run.end - 1)


def _samples(step: Step, told: Told) -> Sequence[AnswerMessage]:
    return told.samples(step.trace.id) if step.trace is not None else ()


def _praised(step: Step, told: Told) -> bool:
    known = told.outcomes(step.trace.id) if step.trace is not None else ()
    return any(outcome.kind == "feedback" and (outcome.score or 0) > 0 and outcome.teach for outcome in known)
