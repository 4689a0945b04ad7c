"""Sifting: from a conversation's traces to examples, and why each trajectory of it was kept, masked or dropped.

Owns the order of the checks and what their findings come to: a message that is masked stays as context, a run whose
answer is masked or that is dropped is not learnt from, and what follows the last good run is cut off. What a check
looks at is its own business.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set

import msgspec

from distill.dataset import Example
from distill.filters import asking, confirmation, editing, form, grounding, reexecution, rights, taught
from distill.filters.reasons import Finding
from distill.filters.told import Check, Told
from distill.outcome import Outcome
from distill.outcomes import asked_anew, outcomes_along
from distill.trace import Trace
from distill.trajectory import Run, Trajectory, trajectories
from distill.workspace import workspace_of
from router.chat import AnswerMessage, Message

CHECKS: dict[str, Check] = {
    "reserved": rights.reserved,
    "may_teach": rights.may_teach,
    "authors": rights.authors,
    "calls answered": form.answered,
    "ends with an answer": form.ends_with_answer,
    "calls valid": form.calls_valid,
    "text plain": form.text_plain,
    "calls differ": form.calls_differ,
    "edits fit": editing.edits_fit,
    "secrets": rights.no_secrets,
    "outcomes": confirmation.outcomes,
    "rerun": reexecution.rerun,
    "grounding": grounding.grounded,
    "looked at": asking.looked_at,
    "oracle": confirmation.oracle,
    "taught": taught.taught,
    "confirmed": confirmation.confirmed,
    "judge": confirmation.judged,
}
_OF_RIGHTS = ("reserved", "may_teach", "secrets", "calls answered")  # what a corrected answer has to pass as well


class Explained(msgspec.Struct, frozen=True):
    """What became of one trajectory. `reason` is empty where something is learnt from it; `learnt` are the places of
    the messages that are, and `findings` is every check with its result, in order, up to the one that dropped the last
    run."""

    traces: list[str]
    messages: int
    reason: str
    learnt: list[int]
    findings: list[Finding]


class Explanation(msgspec.Struct, frozen=True):
    """Why a conversation is learnt from or not: its trajectories, the longest first."""

    conversation: str
    trajectories: list[Explained]

    def of(self, trace: str) -> list[Explained]:
        """The trajectories in which a trace answered."""
        return [one for one in self.trajectories if trace in one.traces]


class Sifted(msgspec.Struct, frozen=True):
    """What one conversation came to: examples, how many trajectories were dropped for which reason, and how many
    messages of the others were masked. `traces` are the ids of all of it, the last `created` in Unix seconds; `calls`:
    whoever answered called a tool."""

    conversation: str
    examples: list[Example]
    dropped: dict[str, int]
    masked: dict[str, int]
    traces: tuple[str, ...]
    created: float
    calls: bool


def sift(conversations: Iterable[Sequence[Trace]], told: Told) -> Iterator[Sifted]:
    """The conversations, each a list of its traces, one after the other: no more than one is held at a time."""
    for traces in conversations:
        examples: list[Example] = []
        dropped: Counter[str] = Counter()
        masked: Counter[str] = Counter()
        corrected: set[str] = set()
        ways = trajectories(traces)
        known = _with_own(told, traces, ways)
        for trajectory, explained in _examined(ways, known):
            if explained.reason:
                dropped[explained.reason] += 1
            else:
                examples.append(_example(trajectory, explained))
                masked.update(finding.reason for finding in explained.findings if finding.effect == "masked")
            examples += _corrected(trajectory, known, corrected)
        yield Sifted(
            traces[0].conversation if traces else "",
            examples,
            dict(dropped),
            dict(masked),
            tuple(trace.id for trace in traces),
            max((trace.created for trace in traces), default=0.0),
            any(trace.answer is not None and trace.answer.tool_calls for trace in traces),
        )


def explain(traces: Sequence[Trace], told: Told) -> Explanation:
    """Why one conversation's traces are learnt from, masked or dropped: as `sift` treats them."""
    ways = trajectories(traces)
    found = [explained for _, explained in _examined(ways, _with_own(told, traces, ways))]
    return Explanation(traces[0].conversation if traces else "", found)


def unconfirmed(traces: Sequence[Trace], told: Told) -> list[Run]:
    """The runs of a conversation of which more would be learnt if somebody confirmed it, with the steps that wait."""
    ways = trajectories(traces)
    found: dict[str, Run] = {}  # by the trace that ends it: trajectories share some
    for trajectory, explained in _examined(ways, _with_own(told, traces, ways)):
        waiting = {one.at for one in explained.findings if one.reason == "unconfirmed" and one.effect != "noted"}
        settled = {one.at for one in explained.findings if one.effect == "masked"} - waiting
        for run in trajectory.runs:
            if run.final is None or run.final.trace is None or waiting.isdisjoint(range(run.start, run.end)):
                continue
            steps = tuple(
                step for step in run.steps if step.at not in settled and confirmation.share_of(step, run, told) is None
            )
            found.setdefault(run.final.trace.id, dataclasses.replace(run, steps=steps))
    return list(found.values())


def learnt_runs(traces: Sequence[Trace], told: Told) -> list[Run]:
    """The runs of a conversation whose answers are learnt."""
    ways = trajectories(traces)
    return [
        run
        for trajectory, explained in _examined(ways, _with_own(told, traces, ways))
        for run in trajectory.runs
        if run.final is not None and run.final.at in explained.learnt
    ]


def _examined(ways: Sequence[Trajectory], told: Told) -> Iterator[tuple[Trajectory, Explained]]:
    """Each trajectory with what became of it. What one teaches, no later one teaches again."""
    learnt: set[str] = set()
    for trajectory in ways:
        yield trajectory, _explained(trajectory, told, learnt)


def _explained(trajectory: Trajectory, told: Told, before: set[str]) -> Explained:
    """What becomes of a trajectory; the traces that are learnt are added to `before`."""
    findings, runs = _checked(trajectory, told)
    masked = {finding.at for finding in findings if finding.effect == "masked"}
    learnt = []
    for step in (step for run in runs for step in run.steps if step.at not in masked):
        if step.trace is None:
            continue
        if step.trace.id in before:
            findings.append(Finding("learnt once", "noted", "learnt_before", step.at))
        else:
            before.add(step.trace.id)
            learnt.append(step.at)
    reason = "" if learnt else _last_reason(findings)
    return Explained([trace.id for trace in trajectory.traces], len(trajectory.messages), reason, learnt, findings)


def _checked(trajectory: Trajectory, told: Told) -> tuple[list[Finding], list[Run]]:
    """The checks' findings, in order, and the runs that passed. A run without an answer of ours is none to pass."""
    runs = [run for run in trajectory.runs if any(step.trace for step in run.steps)]
    runs = runs or list(trajectory.runs[-1:])
    findings: list[Finding] = []
    for name, check in CHECKS.items():
        ends = {run.end - 1 for run in runs}
        found = [_of_end(finding, ends) for finding in check(trajectory, runs, told)]
        findings += found or [Finding(name, "passed")]
        dropped = {finding.at for finding in found if finding.effect == "dropped"}
        runs = [run for run in runs if None not in dropped and dropped.isdisjoint(range(run.start, run.end))]
        if not runs:
            break
    return findings, runs


def _of_end(finding: Finding, ends: Set[int]) -> Finding:
    """A finding as it counts: where what ends a run is masked, the run is dropped."""
    masked_end = finding.effect == "masked" and finding.at in ends
    return msgspec.structs.replace(finding, effect="dropped") if masked_end else finding


def _last_reason(findings: Sequence[Finding]) -> str:
    """Why the end of a trajectory was dropped: what was said of its last places counts."""
    dropping = [finding for finding in findings if finding.effect == "dropped"]
    end = [finding for finding in dropping if finding.at is None] or dropping
    last = max((finding.at or 0 for finding in end), default=0)
    return next((finding.reason for finding in reversed(end) if (finding.at or 0) == last), "learnt_before")


def _example(trajectory: Trajectory, explained: Explained) -> Example:
    """Up to the end of the last run that is learnt: what follows is not looked at."""
    end = next(run.end for run in reversed(trajectory.runs) if run.start <= explained.learnt[-1] < run.end)
    return _cut(trajectory, [*trajectory.messages[:end]], explained.learnt)


def _corrected(trajectory: Trajectory, told: Told, done: set[str]) -> Iterator[Example]:
    """An example for each answer that somebody who may teach gave a better one for. `done` are traces that have one."""
    for step in trajectory.steps:
        if step.trace is None or not step.trace.teach or step.trace.id in done:
            continue
        outcomes = told.outcomes(step.trace.id)
        better = next((o.corrected for o in outcomes if o.corrected is not None and o.teach), None)
        if better is not None and (better.content or "").strip() and not better.tool_calls:
            done.add(step.trace.id)
            taught = _replaced(trajectory, step.at, better)
            if not any(True for name in _OF_RIGHTS for _ in CHECKS[name](taught, (), told)):
                example = _cut(taught, list(taught.messages), [step.at])
                yield msgspec.structs.replace(example, anew=[*dict.fromkeys([*example.anew, step.trace.id])])


def _replaced(trajectory: Trajectory, at: int, better: AnswerMessage) -> Trajectory:
    """The trajectory up to an answer, with another in its place."""
    messages = (*trajectory.messages[:at], Message("assistant", better.content))
    return Trajectory(trajectory.traces, messages, trajectory.authors[: at + 1])


def _cut(trajectory: Trajectory, messages: list[Message], learnt: list[int]) -> Example:
    authors = [author for author in trajectory.authors[: len(messages)] if author is not None]
    asked = authors[-1].request if authors else trajectory.last.request
    return Example(
        conversation=trajectory.last.conversation,
        repository=workspace_of(asked).repository,
        traces=list(dict.fromkeys(author.id for author in authors)),
        messages=messages,
        tools=asked.tools or [],
        client=trajectory.last.client,
        created=max((author.created for author in authors), default=trajectory.last.created),
        model=authors[-1].model if authors else trajectory.last.model,
        learnt=learnt,
        anew=list(dict.fromkeys(author.id for author in authors if author.redacted)),
    )


def _with_own(told: Told, traces: Sequence[Trace], ways: Sequence[Trajectory]) -> Told:
    """The same, with what the conversation shows of itself: outcomes, of which the format knows those left unanswered,
    and when files may first have been changed. What is known of a trace is asked for once."""
    implicit: dict[str, list[Outcome]] = {}
    for outcome in [*outcomes_along(ways), *asked_anew(traces)]:
        implicit.setdefault(outcome.trace, []).append(outcome)
    given = told.outcomes
    known = functools.cache(lambda trace: (*given(trace), *implicit.get(trace, ())))
    return dataclasses.replace(told, outcomes=known, changed=reexecution.first_change(ways))
