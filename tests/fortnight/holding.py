"""What has to hold of a fortnight, and whether it did. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from distill.night.diary import Record
from distill.statistics import upper_bound, wilson
from tests.fortnight.days import DayTold

_CERTIFIED = 0.05  # of the answers that a certificate lets through may be worse


class Held(msgspec.Struct, frozen=True):
    what: str
    holds: bool
    seen: str


def held(days: Sequence[DayTold], nights: Sequence[Record | None]) -> list[Held]:
    ended = [one for one in nights if one is not None]
    promoted = [one for one in ended if one.outcome == "promoted"]
    return [
        _promotions(promoted),
        _bad_nights(days, nights),
        _certified(days),
        Held("no night was left without an end", len(ended) == len(days), f"{len(ended)} of {len(days)}"),
    ]


def beside(night: Record) -> dict[str, Any] | None:
    """The chosen candidate's succession, as its verdict has it."""
    verdict = next((one.verdict for one in night.candidates if one.adapter == night.chosen), None)
    return (verdict or {}).get("succession")


def _promotions(promoted: Sequence[Record]) -> Held:
    """At least three; each after the first superior to what it replaced, or not inferior at a margin that is told."""
    told = [found for one in promoted if (found := beside(one)) is not None]
    words = [f"{one['standing']} {one['difference']:+.1%}, at least {one['low']:+.1%}" for one in told]
    fit = all(one["standing"] in ("superior", "not inferior") and not one["worse"] for one in told)
    return Held(
        "at least three adapters promoted, each better than what it replaced or surely within the margin",
        len(promoted) >= 3 and fit,
        f"{len(promoted)} promoted: the first beside the base, then {'; '.join(words) or 'none'}",
    )


def _bad_nights(days: Sequence[DayTold], nights: Sequence[Record | None]) -> Held:
    """What was learnt of a bad day does not serve."""
    bad = [(day, night) for day, night in zip(days, nights, strict=True) if day.mood != "sound"]
    seen = [f"{day.mood}: {night.outcome} ({night.reason[:120]})" for day, night in bad if night is not None]
    holds = all(night is None or night.outcome != "promoted" for _, night in bad)
    return Held("the two bad days are refused", holds and len(bad) == 2, "; ".join(seen))


def _certified(days: Sequence[DayTold]) -> Held:
    """Of what the student answered no more is worse than its certificates allow, as far as so many can show."""
    worse, turns = sum(day.worse for day in days), sum(day.student for day in days)
    low = wilson(worse, turns, 0.9)[0]
    told = f"{worse} of {turns} answers were worse, at most {upper_bound(worse, turns):.1%} are; at least {low:.1%}"
    return Held(f"no more than {_CERTIFIED:.0%} of what was certified is worse", low <= _CERTIFIED, told)
