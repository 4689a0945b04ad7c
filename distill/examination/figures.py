"""Figures: everything that is measured of one arm, as numbers with bounds. Knows nothing of verdicts or other arms.

Shares have Wilson's interval, and beside it that of a bootstrap of whole repositories: questions about one repository
are not independent, so the first is too narrow where repositories differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import msgspec

from distill.examination.marking import Mark
from distill.resampling import Quantile, clustered, quantile
from distill.statistics import share


class Measured(msgspec.Struct, frozen=True):
    """`hits` of `of`, with Wilson's 95 % interval and that of the cluster bootstrap, where there is one. `share` is
    None where nothing was asked."""

    hits: int
    of: int
    share: float | None
    low: float
    high: float
    clustered: tuple[float, float] | None = None


class Balance(msgspec.Struct, frozen=True):
    """The mean of two shares that one can only raise at the cost of the other by guessing."""

    value: float | None
    low: float
    high: float
    clustered: tuple[float, float] | None = None


class Figures(msgspec.Struct, frozen=True):
    """One arm, over all questions or those of a category. A question that the endpoint failed to answer is wrong in
    each share, and slower than any other where it was asked alone.

    `success`: answered right, with a tool where one is needed and with none where none is. `tool`: a tool where one is
    needed. `no_tool`: none where none is. `right_calls`: exact or equivalent calls. `repeats`: of all calls, those that
    were made before. `credit`, `calls` and `shortest` are means per question. `p50` and `p95` are the seconds of
    the `timed` questions, those asked alone.
    """

    items: int
    failed: int
    success: Measured
    tool: Measured
    no_tool: Measured
    balanced: Balance
    exact_calls: Measured
    right_calls: Measured
    right_answers: Measured
    repeats: Measured
    credit: float
    calls: float
    shortest: float
    timed: int
    p50: Quantile
    p95: Quantile


Flag = Callable[[Mark], bool]


def succeeded(mark: Mark) -> bool:
    """Answered right, with a tool where one is needed and with none where none is."""
    return mark.right and mark.called == mark.needed


def figures(marks: Sequence[Mark]) -> Figures:
    """Raises ValueError for no marks."""
    if not marks:
        raise ValueError("an examination without questions has no figures")
    needy = [mark for mark in marks if mark.needed]
    others = [mark for mark in marks if not mark.needed]
    seconds = [math.inf if mark.end == "error" else mark.seconds for mark in marks if mark.alone]
    return Figures(
        items=len(marks),
        failed=sum(mark.end == "error" for mark in marks),
        success=_measured(marks, succeeded),
        tool=_measured(needy, _called),
        no_tool=_measured(others, _refrained),
        balanced=_balance(needy, others),
        exact_calls=_measured(marks, lambda mark: mark.exact),
        right_calls=_measured(marks, lambda mark: mark.equivalent or mark.exact),
        right_answers=_measured(marks, lambda mark: mark.right),
        repeats=_repeats(marks),
        credit=sum(mark.credit for mark in marks) / len(marks),
        calls=sum(mark.calls for mark in marks) / len(marks),
        shortest=sum(mark.shortest for mark in marks) / len(marks),
        timed=len(seconds),
        p50=quantile(seconds, 0.5),
        p95=quantile(seconds, 0.95),
    )


def by_category(marks: Sequence[Mark]) -> dict[str, Figures]:
    names = sorted({mark.category for mark in marks})
    return {name: figures([mark for mark in marks if mark.category == name]) for name in names}


def _called(mark: Mark) -> bool:
    return mark.called


def _refrained(mark: Mark) -> bool:
    """A failed endpoint chose nothing, so it did not refrain either."""
    return not mark.called and mark.end != "error"


def _measured(marks: Sequence[Mark], flag: Flag) -> Measured:
    found = share([flag(mark) for mark in marks])
    ratios = {name: [ratio] for name, ratio in _ratios(marks, flag).items()}
    return Measured(found.hits, found.of, found.share if found.of else None, found.low, found.high, clustered(ratios))


def _repeats(marks: Sequence[Mark]) -> Measured:
    """Wilson's interval takes calls as independent, which those of one question are not: the other one is wider."""
    made = sum(max(mark.calls, mark.repeats) for mark in marks)  # an agent that stops before a repeat did not count it
    flags = [True] * sum(mark.repeats for mark in marks)
    found = share(flags + [False] * (made - len(flags)))
    ratios: dict[str, list[tuple[float, float]]] = {}
    for name in {mark.repository for mark in marks}:
        ours = [mark for mark in marks if mark.repository == name]
        ratios[name] = [(sum(m.repeats for m in ours), sum(max(m.calls, m.repeats) for m in ours))]
    return Measured(found.hits, found.of, found.share if made else None, found.low, found.high, clustered(ratios))


def _balance(needy: Sequence[Mark], others: Sequence[Mark]) -> Balance:
    """The interval joins both of Wilson's as Newcombe does for a difference (1998, method 10, without correlation)."""
    one, two = share([_called(mark) for mark in needy]), share([_refrained(mark) for mark in others])
    if not one.of or not two.of:
        return Balance(None, 0.0, 1.0)
    value = (one.share + two.share) / 2
    below = math.hypot(one.share - one.low, two.share - two.low) / 2
    above = math.hypot(one.high - one.share, two.high - two.share) / 2
    first, second = _ratios(needy, _called), _ratios(others, _refrained)
    names = {*first, *second}
    ratios = {name: [first.get(name, (0.0, 0.0)), second.get(name, (0.0, 0.0))] for name in names}
    return Balance(value, value - below, value + above, clustered(ratios))


def _ratios(marks: Sequence[Mark], flag: Flag) -> Mapping[str, tuple[float, float]]:
    """(hits, of) for each repository."""
    found: dict[str, tuple[float, float]] = {}
    for mark in marks:
        hits, of = found.get(mark.repository, (0.0, 0.0))
        found[mark.repository] = (hits + flag(mark), of + 1)
    return found
