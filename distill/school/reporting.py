"""The report on a set: what the teacher did, by category, and why what is not kept is not.

Owns the figures of the plan's quality checks. Pure: everything follows from the questions and the ledger. Knows nothing
of how a report looks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from distill.generate.oracle import right
from distill.generate.question import Question
from distill.generate.templates import CATEGORIES
from distill.resampling import quantile
from distill.school.ledger import Ledger, Taken
from distill.statistics import Share, share

_SEQUENCES = 20  # the most frequent ones that are told


class Part(msgspec.Struct, frozen=True):
    """The questions of one category, or all. Shares are of those that are settled: `used_tools` where one is needed,
    `needless_tools` where none is. `calls` and `shortest` are sums over the right answers."""

    questions: int
    settled: int
    kept: int
    right: Share
    used_tools: Share
    needless_tools: Share
    calls: int
    shortest: int


class Report(msgspec.Struct, frozen=True):
    """`dropped` are questions by reason, `answers` what the teacher was asked altogether. `tools` and `sequences` (of
    calls, the most frequent) are counted over the kept runs; `seconds` are p50 and p95 of all answers, and tokens are
    those of all."""

    set: str
    categories: dict[str, Part]
    all: Part
    answers: int
    ends: dict[str, int]
    dropped: dict[str, int]
    tools: dict[str, int]
    sequences: dict[str, int]
    distinct_sequences: int
    seconds: tuple[float, float]
    prompt_tokens: int
    completion_tokens: int


def report(name: str, questions: Sequence[Question], ledger: Ledger) -> Report:
    """What a set has come to so far."""
    groups = {category: [one for one in questions if one.category == category] for category in CATEGORIES}
    every = [one for samples in ledger.taken.values() for one in samples.values()]
    kept = [taken for _, taken in kept_of(questions, ledger)]
    sequences = Counter(" ".join(call.name for call in one.calls) or "no tool" for one in kept)
    seconds = [one.seconds for one in every]
    return Report(
        set=name,
        categories={category: _part(group, ledger) for category, group in groups.items() if group},
        all=_part(questions, ledger),
        answers=len(every),
        ends=_counted(one.end for one in every),
        dropped=_counted(one.reason for one in ledger.settled.values() if one.kept is None),
        tools=_counted(call.name for one in kept for call in one.calls),
        sequences=dict(sequences.most_common(_SEQUENCES)),
        distinct_sequences=len(sequences),
        seconds=(_at(seconds, 0.5), _at(seconds, 0.95)),
        prompt_tokens=ledger.prompt_tokens,
        completion_tokens=ledger.completion_tokens,
    )


def kept_of(questions: Iterable[Question], ledger: Ledger) -> Iterator[tuple[Question, Taken]]:
    """The questions of which an answer is kept, with that answer."""
    for question in questions:
        settled = ledger.settled.get(question.id)
        if settled is not None and settled.kept is not None:
            yield question, ledger.taken[question.id][settled.kept]


def _part(questions: Sequence[Question], ledger: Ledger) -> Part:
    """Of a question without a kept answer its first one counts."""
    done = [(one, ledger.settled[one.id]) for one in questions if one.id in ledger.settled]
    runs = [(one, ledger.taken[one.id][settled.kept or 0]) for one, settled in done]
    rights = [(one, taken, taken.end == "answered" and right(one, taken.answer)) for one, taken in runs]
    return Part(
        questions=len(questions),
        settled=len(done),
        kept=sum(settled.kept is not None for _, settled in done),
        right=share([good for _, _, good in rights]),
        used_tools=share([bool(taken.calls) for one, taken in runs if one.plan]),
        needless_tools=share([bool(taken.calls) for one, taken in runs if not one.plan]),
        calls=sum(len(taken.calls) for _, taken, good in rights if good),
        shortest=sum(len(one.plan) for one, _, good in rights if good),
    )


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())


def _at(seconds: Sequence[float], part: float) -> float:
    """0 where there is nothing."""
    return quantile(seconds, part).value or 0.0
