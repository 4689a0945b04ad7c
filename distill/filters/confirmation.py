"""Outside checks of natural conversations: outcomes, the teacher's other samples, feedback; oracle and judge for all.

A conversation is natural when its tools are not the exploring agent's: nobody made its questions, so nobody knows their
answers. Owns what counts as agreement and as negative. How an outcome is found is `distill.outcomes`'.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from distill.filters.calls import all_ours
from distill.filters.names import names_in
from distill.filters.reasons import Effect, Finding
from distill.filters.told import Told
from distill.outcome import Outcome
from distill.trajectory import Run, Step, Trajectory, call_key
from router.chat import AnswerMessage, Message

_ALIKE = 0.6  # F1 of the names in two answers, for them to say the same
_FEWEST = 2  # samples that make an agreement


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
    """A natural conversation has the agreement of the teacher's other samples, or praise; in one that has it for the
    answer, so has each call that is learnt."""
    natural = not all_ours(trajectory.tools)
    for run in runs:
        if any(_praised(step, told) for step in run.steps):
            continue
        shares = {step.at: share_of(step, told) for step in run.steps if step.trace is not None}
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


def judged(trajectory: Trajectory, runs: Sequence[Run], told: Told) -> Iterator[Finding]:
    """The judge has nothing against it. The last to be asked, since it costs most."""
    for run in runs if told.judge is not None else ():
        if told.judge is not None and told.judge(trajectory, run) is False:
            yield Finding("judge", "dropped", "judged_bad", run.end - 1)


def agreement(said: Message, samples: Sequence[AnswerMessage]) -> float | None:
    """The share of the teacher's other samples that agree with what it said; None where there are too few."""
    if len(samples) < _FEWEST:
        return None
    return sum(agree(said, sample) for sample in samples) / len(samples)


def share_of(step: Step, told: Told) -> float | None:
    """The same of a step, by the samples that are known."""
    return agreement(step.message, told.samples(step.trace.id)) if step.trace is not None else None


def agree(one: Message | AnswerMessage, other: AnswerMessage) -> bool:
    """Whether two answers do the same: the same calls, or words that name the same things."""
    mine, theirs = ({call_key(call) for call in said.tool_calls or ()} for said in (one, other))
    if mine or theirs:
        return mine == theirs
    texts = [one.text if isinstance(one, Message) else one.content or "", other.content or ""]
    first, second = ({*names_in(text)} for text in texts)
    if not (first or second):
        return _plain(texts[0]) == _plain(texts[1])
    return 2 * len(first & second) >= _ALIKE * (len(first) + len(second))


def _of_outcome(outcome: Outcome, step: Step, run: Run, natural: bool) -> Iterator[Finding]:
    if outcome.kind == "repaired" or (outcome.kind == "tool_error" and natural):
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


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).rstrip(".!")
