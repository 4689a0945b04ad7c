"""The morning in a terminal: tables, and the sentences around them. Owns their order; `sentences` owns the words.

What the page shows as tables is made here, too. Knows nothing of HTML.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from distill.examination.scores import Score
from gateway.morning.alarms import alarms
from gateway.morning.morning import DayTraffic, Examined, Morning
from gateway.morning.sentences import (
    NOTHING_YET,
    came_in,
    dropped,
    headline,
    learnt,
    saved,
    serves_now,
    told_night,
)
from gateway.morning.wording import bounded, percent, readable, span
from gateway.reports.pieces import NONE, shown

Rows = tuple[list[str], list[list[str]]]  # headings, and rows whose first cell is a heading, too

_SHARES = (
    ("autonomous_tool_use", "autonomous tool use"),
    ("exact_calls", "exact calls"),
    ("right_answers", "right answers"),
    ("needless_calls", "needless calls"),
)


def arms_of(one: Examined) -> dict[str, Score]:
    """Everybody who sat a candidate's examination, by what they are called."""
    if one.verdict is None:
        return {}
    everybody = {
        "base": one.verdict.base,
        "served": one.served,
        "candidate": one.verdict.adapter,
        "teacher": one.teacher,
    }
    return {name: found for name, found in everybody.items() if found is not None}


def verdict_rows(one: Examined) -> Rows:
    """Shares with 95 % bounds, and seconds, for each of them."""
    arms = arms_of(one)
    rows = [[label, *(bounded(getattr(arm, name)) for arm in arms.values())] for name, label in _SHARES]
    rows.append(["median seconds", *(shown(arm.median_seconds, "s") for arm in arms.values())])
    return ["", *arms], rows


def dropped_rows(found: Sequence[tuple[str, int]]) -> Rows:
    return ["dropped because", "conversations"], [[words, f"{number:,}"] for words, number in found]


def day_rows(days: Sequence[DayTraffic]) -> Rows:
    """The days on which somebody asked, the newest first."""
    heads = [
        "day (UTC)",
        "requests",
        "student",
        "student's median",
        "teacher's median",
        "saved",
        "tokens saved",
        "failed",
    ]
    rows = [
        [
            day.day,
            f"{day.requests:,}",
            NONE if day.student_share is None else percent(day.student_share),
            shown(day.medians.get("student"), "s"),
            shown(day.medians.get("teacher"), "s"),
            span(day.saved_seconds),
            f"{day.saved_tokens:,}",
            f"{day.failed:,}",
        ]
        for day in reversed(days)
        if day.requests
    ]
    return heads, rows


def tell(morning: Morning, console: Console) -> None:
    """The whole report."""
    if morning.empty:
        console.print(_text(NOTHING_YET))
        _notes(morning, console)
        return
    console.print(_text(headline(morning), "bold"))
    _night(morning, console)
    _section("What serves", serves_now(morning), console)
    heads, rows = day_rows(morning.days)
    _section("The days", saved(morning) if rows else ["Nobody asked anything in these days."], console)
    if rows:
        console.print(_table(heads, rows))
    found = alarms(morning)
    _section("What to look at", found or ["Nothing: all is well."], console, "yellow" if found else "")
    _notes(morning, console)


def _night(morning: Morning, console: Console) -> None:
    night = morning.night
    if night is None:
        _section("The night", ["There was none yet: `nightschool night` does one by hand."], console)
        return
    _section("The night", [told_night(night), *came_in(night)], console)
    if reasons := dropped(night):
        console.print(_table(*dropped_rows(reasons)))
    if not night.candidates:
        _section("What was learnt", ["No adapter was made."], console)
    for one in night.candidates:
        _section(f"What was learnt: {one.adapter}", learnt(one), console)
        if one.verdict is not None:
            console.print(_table(*verdict_rows(one)))


def _section(title: str, lines: Sequence[str], console: Console, style: str = "") -> None:
    console.print()
    console.print(_text(title, "bold"))
    for line in lines:
        console.print(_text(line, style))


def _notes(morning: Morning, console: Console) -> None:
    if morning.notes:
        _section("What could not be read", morning.notes, console)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None)
    for number, head in enumerate(heads):
        table.add_column(_text(head, "dim"), justify="right" if number else "left")
    for row in rows:
        table.add_row(*map(_text, row))
    return table


def _text(words: str, style: str = "") -> Text:
    return Text(readable(words), style)
