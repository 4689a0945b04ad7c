"""What has to hold of a fortnight, and whether it did. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from distill.night.blaming import harmed
from distill.night.diary import Record
from distill.statistics import upper_bound, wilson
from tests.fortnight.days import DayTold

_DAYS = 14
_QUESTIONS = 150
_CERTIFIED = 0.05  # of the answers that a certificate lets through may be worse


class Held(msgspec.Struct, frozen=True):
    what: str
    holds: bool
    seen: str


def held(days: Sequence[DayTold], nights: Sequence[Record | None]) -> list[Held]:
    ended = [one for one in nights if one is not None]
    return [
        _days(days, ended),
        _examinations(ended),
        _promotions([one for one in ended if one.outcome == "promoted"]),
        _corrupted(days, nights),
        _poisoned(days, nights),
        _served(days),
        _certified(days),
    ]


def beside(night: Record) -> dict[str, Any] | None:
    """The chosen candidate's succession, as its verdict has it."""
    verdict = next((one.verdict for one in night.candidates if one.adapter == night.chosen), None)
    return (verdict or {}).get("succession")


def _days(days: Sequence[DayTold], ended: Sequence[Record]) -> Held:
    """A night that did not begin has another one's name."""
    repositories = {name for day in days for name in day.repositories}
    vocabularies = {name for day in days for name in day.vocabularies}
    names = {one.name for one in ended}
    return Held(
        "fourteen days of changing repositories and tools, each with a night that came to its end",
        len(days) == len(names) == _DAYS and len(repositories) > len(days[0].repositories) and len(vocabularies) > 1,
        f"{len(days)} days, {len(names)} nights, {len(repositories)} repositories, tools of {len(vocabularies)} agents",
    )


def _examinations(ended: Sequence[Record]) -> Held:
    items = [one.verdict["adapter"]["items"] for night in ended for one in night.candidates if one.verdict]
    from_base = sum(any(not one.parent for one in night.candidates) for night in ended)
    return Held(
        f"at least {_QUESTIONS} paired questions in each examination, and an adapter from the base on two nights",
        min(items, default=0) >= _QUESTIONS and from_base >= 2,
        f"{len(items)} adapters, {min(items, default=0)} questions or more, from the base on {from_base} nights",
    )


def _promotions(promoted: Sequence[Record]) -> Held:
    """At least three; each after the first superior to what it replaced, or not inferior at a margin that is told."""
    told = [found for one in promoted if (found := beside(one)) is not None]
    words = [
        f"{one['standing']} {one['difference']:+.1%}, at least {one['low']:+.1%} (margin {one['margin']:.0%})"
        for one in told
    ]
    fit = all(one["standing"] in ("superior", "not inferior") and not one["worse"] for one in told)
    return Held(
        "at least three adapters promoted, each better than what it replaced or surely within the margin",
        len(promoted) >= 3 and len(told) >= len(promoted) - 1 and fit,
        f"{len(promoted)} promoted: the first beside the base, then {'; '.join(words) or 'none'}",
    )


def _corrupted(days: Sequence[DayTold], nights: Sequence[Record | None]) -> Held:
    """What the corrupted teacher said was not learnt, or not to serve."""
    bad = _of("corrupted", days, nights)
    return Held(
        "the day of the corrupted teacher is refused",
        bool(bad) and all(night.outcome in ("nothing", "doubted", "refused") for night in bad),
        "; ".join(f"{night.outcome}: {night.reason[:160]}" for night in bad) or "there was none",
    )


def _poisoned(days: Sequence[DayTold], nights: Sequence[Record | None]) -> Held:
    """It passed the filters, was learnt, and the examination found it out: a poison that does nothing is no test."""
    bad = _of("poisoned", days, nights)
    return Held(
        "the poisoned set is learnt from, and refused for the harm it does",
        bool(bad) and all(night.outcome == "refused" and harmed(night) for night in bad),
        "; ".join(f"{night.outcome}: {night.reason[:320]}" for night in bad) or "there was none",
    )


def _of(mood: str, days: Sequence[DayTold], nights: Sequence[Record | None]) -> list[Record]:
    return [night for day, night in zip(days, nights, strict=True) if day.mood == mood and night is not None]


def _served(days: Sequence[DayTold]) -> Held:
    shares = [f"{day.student_share:.0%}" for day in days]
    return Held(
        "the student comes to answer what it has proven",
        any(day.student for day in days),
        f"of the turns, by day: {', '.join(shares)}",
    )


def _certified(days: Sequence[DayTold]) -> Held:
    """Of what the student answered no more is worse than its certificates allow, as far as so many can show."""
    worse, turns = sum(day.worse for day in days), sum(day.student for day in days)
    low = wilson(worse, turns, 0.9)[0]
    told = f"{worse} of {turns} answers were worse, at most {upper_bound(worse, turns):.1%} are; at least {low:.1%}"
    return Held(f"no more than {_CERTIFIED:.0%} of what was certified is worse", low <= _CERTIFIED, told)
