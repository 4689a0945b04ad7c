"""The fortnight on a terminal and as a page. Owns no figure of its own."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from distill.night.diary import Record
from distill.statistics import Share
from gateway.reports.pieces import facts, page
from gateway.reports.pieces import table as html_table
from gateway.reports.plots import Bar, Series, grouped_bars, plain
from tests.fortnight.days import DayTold
from tests.fortnight.holding import Held

_HEADS = ("day", "teacher", "by the student", "drafts", "right", "night", "exact calls", "serves then")


def table(days: Sequence[DayTold], nights: Sequence[Record | None]) -> Table:
    made = Table(*_HEADS)
    for row in _rows(days, nights):
        made.add_row(*row)
    return made


def render(days: Sequence[DayTold], nights: Sequence[Record | None], held: Sequence[Held], seconds: float) -> str:
    names = [str(day.number) for day in days]
    share = Series("answered by the student", "adapter", [Bar(day.student_share) for day in days])
    drafts = Series("drafts no worse than the teacher's answer", "other", [_bar(day.drafts) for day in days])
    right = Series("right answers", "teacher", [Bar(day.right.share, day.right.low, day.right.high) for day in days])
    by_day = [share, drafts, right]
    exact = Series("exact calls of the night's adapter", "adapter", [_exact(night) for night in nights])
    return page(
        "Fourteen days and nights",
        [
            "<h1>Fourteen days and nights</h1>",
            f"<h2>By day</h2>{grouped_bars('Share and drafts of the student, and right answers', names, by_day)}",
            f"<h2>By night</h2>{grouped_bars('Exact calls in the examination, by night', names, [exact])}",
            html_table(_HEADS, _rows(days, nights)),
            facts([(one.what, f"{'holds' if one.holds else 'does not hold'}: {one.seen}") for one in held]),
            f"<p>{plain(f'{seconds / 60:.0f} minutes')}</p>",
        ],
    )


def _rows(days: Sequence[DayTold], nights: Sequence[Record | None]) -> list[list[str]]:
    return [
        [
            str(day.number),
            day.mood,
            f"{day.student_share:.0%}",
            f"{day.drafts.share:.0%}" if day.drafts else "",
            f"{day.right.share:.0%}",
            f"{night.outcome}: {night.reason}"[:90] if night else "",
            f"{bar.value:.0%} ({bar.interval})" if (bar := _exact(night)) else "",
            night.serves if night else "",
        ]
        for day, night in zip(days, nights, strict=True)
    ]


def _bar(found: Share | None) -> Bar | None:
    return Bar(found.share, found.low, found.high) if found is not None else None


def _exact(night: Record | None) -> Bar | None:
    verdict = next((one.verdict for one in night.candidates if one.adapter == night.chosen), None) if night else None
    if not verdict:
        return None
    told = verdict["adapter"]["exact_calls"]
    return Bar(told["share"], told["low"], told["high"])
