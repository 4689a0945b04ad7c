"""The days: sums of the store's, by day, and what the student saved. Owns what counts; pure, knows nothing of SQL.

What was imported is no request, and an answer out of the cache took no model's time: it counts as answered, and for
nothing else. Where the student stood in for a teacher that was down, it saved nobody anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from statistics import median

from distill.store.listing import Sum
from gateway.morning.morning import DayTraffic, Saved

_SAVES_NOTHING = ("cached", "teacher_failed")
_EPOCH = date(1970, 1, 1)

Took = Sequence[tuple[int, str, float]]  # day, arm and seconds of what was answered to its end


def days_of(sums: Sequence[Sum], took: Took, first: int, last: int) -> tuple[list[DayTraffic], Saved]:
    """The days from `first` to `last`, those without requests included, and what was saved in all of them."""
    asked = [one for one in sums if first <= one.day <= last and not one.client.startswith("import:")]
    saved = _saved(asked)
    found = [
        _day(day, [one for one in asked if one.day == day], [one for one in took if one[0] == day], saved)
        for day in range(first, last + 1)
    ]
    return found, saved


def _saved(asked: Sequence[Sum]) -> Saved:
    means = {arm: _mean(asked, arm) for arm in ("student", "teacher")}
    student, teacher = means["student"], means["teacher"]
    mine = _answered(asked, "student")
    count = _count(mine)
    each = teacher - student if student is not None and teacher is not None else 0.0
    return Saved(count, count * each, _tokens(mine), student, teacher)


def _day(day: int, asked: Sequence[Sum], took: Took, saved: Saved) -> DayTraffic:
    requests, student = _count(asked), _count(one for one in asked if one.arm == "student")
    stood_in = [one for one in asked if one.reason == "teacher_failed"]
    teacher = [one for one in asked if one.arm == "teacher" and one.reason != "cached"]
    mine = _answered(asked, "student")
    seconds = {arm: [one[2] for one in took if one[1] == arm] for arm in ("student", "teacher")}
    return DayTraffic(
        day=(_EPOCH + timedelta(days=day)).isoformat(),
        requests=requests,
        student=student,
        failed=_count(one for one in asked if one.state == "failed"),
        teacher=_count(teacher) + _count(stood_in),
        teacher_failed=_count(one for one in teacher if one.state == "failed") + _count(stood_in),
        student_share=student / requests if requests else None,
        medians={arm: median(found) for arm, found in seconds.items() if found},
        saved_seconds=saved.seconds * _count(mine) / saved.requests if saved.requests else 0.0,
        saved_tokens=_tokens(mine),
    )


def _answered(asked: Iterable[Sum], arm: str) -> list[Sum]:
    """What a model of this arm answered to its end, and in its own place."""
    answered = (one for one in asked if (one.arm, one.state) == (arm, "completed"))
    return [one for one in answered if one.reason not in _SAVES_NOTHING]


def _mean(asked: Sequence[Sum], arm: str) -> float | None:
    answered = _answered(asked, arm)
    count = _count(answered)
    return sum(one.seconds for one in answered) / count if count else None


def _count(asked: Iterable[Sum]) -> int:
    return sum(one.traces for one in asked)


def _tokens(asked: Sequence[Sum]) -> int:
    return sum(one.prompt_tokens + one.completion_tokens for one in asked)
