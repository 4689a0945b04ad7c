"""The morning as one self-contained HTML page. Owns its sections; `sentences` owns the words, `gateway.reports` how it
looks and that nothing of what data brought is taken as HTML.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from gateway.morning.alarms import alarms
from gateway.morning.morning import Examined, Morning, Night
from gateway.morning.sentences import (
    NOTHING_YET,
    came_in,
    dropped,
    exact_before,
    headline,
    learnt,
    saved,
    serves_now,
    told_night,
)
from gateway.morning.tables import Rows, arms_of, day_rows, dropped_rows, verdict_rows
from gateway.morning.wording import called, moment, percent, readable, short, span
from gateway.reports.pieces import NONE, facts, figure, legend, page, table
from gateway.reports.plots import Bar, Mark, Series, grouped_bars, plain, timeline

_MOST = 12  # nights in a plot: with more, bars are too slim to be told apart
_DAY = 86_400
_ARMS = (("base", "base"), ("served", "other"), ("candidate", "adapter"), ("teacher", "teacher"))


def render(morning: Morning) -> str:
    """The page: no scripts, nothing fetched."""
    if morning.empty:
        sections = [_opening(morning, NOTHING_YET), _notes(morning)]
    else:
        sections = [
            _opening(morning, headline(morning)),
            _came_in(morning.night),
            _learnt(morning.night),
            _serves(morning),
            _days(morning),
            _nights(morning),
            _look_at(morning),
            _notes(morning),
        ]
    return page("Nightschool: the morning", sections)


def _opening(morning: Morning, words: str) -> str:
    night = morning.night
    chosen = night.chosen if night is not None else None
    verdict = chosen.verdict if chosen is not None else None
    share = next((day.student_share for day in reversed(morning.days[:-1]) if day.student_share is not None), None)
    exact = f"{100 * exact_before(verdict):.0f} → {percent(verdict.adapter.exact_calls.share)}" if verdict else NONE
    figures = [
        figure("the last night", (night.record.outcome or "not over") if night is not None else "none yet"),
        figure("exact calls", exact),
        figure("answered by the student, on the last whole day", NONE if share is None else percent(share)),
        figure("saved in these days, as an estimate", span(morning.saved.seconds)),
    ]
    return (
        f'<header><p class="brand">Nightschool</p><h1>The morning of {moment(morning.at)[:10]}</h1>'
        f'<p class="lede">{plain(words)}</p>'
        + ("" if morning.empty else f'<div class="figures">{"".join(figures)}</div>')
        + "</header>"
    )


def _look_at(morning: Morning) -> str:
    found = alarms(morning)
    if not found:
        return '<section><h2>What to look at</h2><p class="met">Nothing: all is well.</p></section>'
    notes = "".join(f'<p class="note">{plain(readable(told))}</p>' for told in found)
    return f"<section><h2>What to look at</h2>{notes}</section>"


def _came_in(night: Night | None) -> str:
    if night is None:
        return "<section><h2>The night</h2><p>There was none yet.</p></section>"
    reasons = dropped(night)
    told = _table(dropped_rows(reasons)) if reasons else ""
    return f"<section><h2>What came in</h2>{_lines([told_night(night), *came_in(night)])}{told}</section>"


def _learnt(night: Night | None) -> str:
    if night is None:
        return ""
    if not night.candidates:
        return "<section><h2>What was learnt</h2><p>No adapter was made.</p></section>"
    return f"<section><h2>What was learnt</h2>{''.join(map(_candidate, night.candidates))}</section>"


def _candidate(one: Examined) -> str:
    told = _table(verdict_rows(one)) if one.verdict is not None else ""
    return f"<article><h3>{plain(readable(one.adapter))}</h3>{_lines(learnt(one))}{told}</article>"


def _serves(morning: Morning) -> str:
    serving = morning.serving
    pairs = [("serves", called(serving.adapter)), ("before", called(serving.before))]
    if serving.base:
        pairs.append(("base", serving.base))
    shown = facts([(name, readable(value)) for name, value in pairs]) if serving.adapter else ""
    return f'<section><h2>What serves</h2>{_lines(serves_now(morning))}<div class="under">{shown}</div></section>'


def _days(morning: Morning) -> str:
    rows = day_rows(morning.days)
    if not rows[1]:
        return "<section><h2>The days</h2><p>Nobody asked anything in these days.</p></section>"
    keys = legend([("adapter", "share of the requests that the student answered"), ("target", "a night")])
    first = datetime.fromisoformat(morning.days[0].day).replace(tzinfo=UTC).timestamp()
    marks = [_mark(night, first) for night in reversed(morning.nights)]
    plot = timeline(
        "Share of the requests that the student answered, by day",
        [day.day[5:] for day in morning.days],
        [day.student_share for day in morning.days],
        marks,
    )
    return (
        f'<section><h2>The days</h2>{keys}{plot}<p class="small">Dashed lines are nights; where one has a name, its '
        f"adapter was promoted.</p>{_lines(saved(morning))}{_table(rows)}</section>"
    )


def _mark(night: Night, first: float) -> Mark:
    record = night.record
    promoted = record.chosen if record.outcome == "promoted" else ""
    told = f"night of {moment(record.began)}: {record.outcome or 'not over'}{f', {promoted}' if promoted else ''}"
    label = short(promoted.rpartition("-")[2], 12)
    return Mark((record.began - first) / _DAY - 0.5, label, readable(told))


def _nights(morning: Morning) -> str:
    """Exact calls of each night's best candidate. Of those before the last one, only base and candidate are read."""
    chosen = [(night.record, one) for night in morning.nights[:_MOST] if (one := night.chosen) and one.verdict]
    if not chosen:
        return ""
    judged = [one for _, one in reversed(chosen)]
    when = [moment(record.began)[5:10] for record, _ in reversed(chosen)]
    series = [Series(name, css, [_exact(one, name) for one in judged]) for name, css in _ARMS]
    there = [one for one in series if any(bar is not None for bar in one.bars)]
    plot = grouped_bars("Exact calls by night", when, there)
    return (
        f"<section><h2>The nights</h2>{legend([(one.css, one.name) for one in there])}{plot}"
        '<p class="small">Exact calls of the best candidate of each night, with 95 % Wilson intervals. What served has '
        "none where only its difference was kept. Nights may ask other questions.</p></section>"
    )


def _exact(one: Examined, name: str) -> Bar | None:
    arms = arms_of(one)
    if name in arms:
        found = arms[name].exact_calls
        return Bar(found.share, found.low, found.high)
    verdict = one.verdict
    return Bar(exact_before(verdict)) if name == "served" and verdict is not None and verdict.succession else None


def _notes(morning: Morning) -> str:
    if not morning.notes:
        return ""
    return f"<section><h2>What could not be read</h2>{_lines(morning.notes)}</section>"


def _lines(lines: Sequence[str]) -> str:
    return "".join(f"<p>{plain(readable(line))}</p>" for line in lines)


def _table(rows: Rows) -> str:
    heads, body = rows
    return table(list(map(readable, heads)), [list(map(readable, row)) for row in body])
