"""Plots of the report as inline SVG. Owns geometry and nothing else: colours are CSS classes of the page, numbers come
in ready to draw, and every text is escaped here. Knows nothing of arms, days or files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

WIDTH = 680
_LEFT, _RIGHT = 44, 12
_NAMES = 14  # of places along a timeline: more would overlap

_Scale = Callable[[float], float]


class Bar(NamedTuple):
    """A share of 0..1 and, where known, its interval."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def interval(self) -> str:
        if self.low is None or self.high is None:
            return ""
        return f"{100 * self.low:.0f}–{100 * self.high:.0f} %"


class Series(NamedTuple):
    """One colour of a grouped plot; a bar for each group, None where there is nothing to show."""

    name: str
    css: str
    bars: Sequence[Bar | None]


class Segment(NamedTuple):
    """A part of a stacked bar."""

    name: str
    css: str
    size: int


class Row(NamedTuple):
    """A stacked bar and what it is called."""

    name: str
    segments: Sequence[Segment]


class Strip(NamedTuple):
    """Measured values in a row, and those among them that are marked with a word."""

    name: str
    css: str
    values: Sequence[float]
    marks: Sequence[tuple[str, float]]


class Mark(NamedTuple):
    """A line at a place on an axis whose first place is 0; `label` stands above it, `told` is what it says."""

    at: float
    label: str
    told: str


def plain(value: object) -> str:
    """Any value as HTML text; half a surrogate pair, which no file could hold, becomes a question mark."""
    return escape(str(value).encode("utf-8", "replace").decode("utf-8"), quote=True)


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def grouped_bars(
    title: str, groups: Sequence[str], series: Sequence[Series], targets: Sequence[float | None] = ()
) -> str:
    """Bars from 0 to 100 %, side by side in each group, with a whisker for each interval and a dash for each target."""
    height, top, bottom = 270, 22, 34
    slot = (WIDTH - _LEFT - _RIGHT) / max(1, len(groups))
    wide = min(46.0, 0.8 * slot / max(1, len(series)))

    def at(share: float) -> float:
        return top + (1 - min(1.0, max(0.0, share))) * (height - top - bottom)

    parts = [_across(at(tick / 4), percent(tick / 4)) for tick in range(5)]
    for number, group in enumerate(groups):
        centre = _LEFT + slot * (number + 0.5)
        parts.append(_text(centre, height - 12, group, "mid name"))
        left = centre - wide * len(series) / 2
        for place, one in enumerate(series):
            bar = one.bars[number]
            if bar is not None:
                label = f"{group}, {one.name}: {_told(bar)}"
                parts.append(_upright(left + wide * place, wide, at, bar, one.css, label))
        if number < len(targets) and (target := targets[number]) is not None:
            parts.append(_line(left - 8, at(target), left + wide * len(series) + 8, at(target), "target"))
    return _svg(title, height, parts)


def curve(title: str, values: Sequence[float], across: str) -> str:
    """A line over the positions 1, 2, …; the scale starts at 0."""
    height, top, bottom = 230, 14, 38
    most = _round_up(max(values))
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(values) - 1)

    def at(value: float) -> float:
        return top + (1 - value / most) * (height - top - bottom)

    parts = [_across(at(most * tick / 4), f"{most * tick / 4:.3g}") for tick in range(5)]
    points = " ".join(f"{_LEFT + step * place:.1f},{at(value):.1f}" for place, value in enumerate(values))
    parts.append(f'<polyline class="curve" points="{points}"/>')
    for place in sorted({0, len(values) - 1}):
        parts.append(f'<circle class="dot" cx="{_LEFT + step * place:.1f}" cy="{at(values[place]):.1f}" r="3.5"/>')
    parts.append(_text(_LEFT, height - 20, "1", "mid"))
    if len(values) > 1:
        parts.append(_text(WIDTH - _RIGHT, height - 20, str(len(values)), "end"))
    parts.append(_text((WIDTH + _LEFT) / 2, height - 8, across, "mid name"))
    return _svg(title, height, parts)


def timeline(title: str, places: Sequence[str], shares: Sequence[float | None], marks: Sequence[Mark]) -> str:
    """Dots from 0 to 100 % over places in a row, joined where nothing is missing between them; a dashed line for each
    mark."""
    height, top, bottom = 250, 36, 30
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(places))

    def along(place: float) -> float:
        return min(WIDTH - _RIGHT, max(_LEFT, _LEFT + step * (place + 0.5)))

    def at(share: float) -> float:
        return top + (1 - min(1.0, max(0.0, share))) * (height - top - bottom)

    parts = [_across(at(tick / 4), percent(tick / 4)) for tick in range(5)]
    every = -(-len(places) // _NAMES)
    parts += [_text(along(n), height - 10, name, "mid name") for n, name in enumerate(places) if not n % every]
    for number, mark in enumerate(marks):
        x = along(mark.at)
        parts.append(f"<g><title>{plain(mark.told)}</title>{_line(x, top, x, at(0), 'target')}</g>")
        if mark.label:
            parts.append(_text(x, top - 6 - 13 * (number % 2), mark.label, "mid value tight"))
    for stretch in _stretches(shares):
        points = " ".join(f"{along(place):.1f},{at(share):.1f}" for place, share in stretch)
        parts.append(f'<polyline class="curve" points="{points}"/>')
        parts += [
            f'<circle class="dot" cx="{along(place):.1f}" cy="{at(share):.1f}" r="3.5">'
            f"<title>{plain(places[place])}: {percent(share)}</title></circle>"
            for place, share in stretch
        ]
    return _svg(title, height, parts)


def stacked_rows(title: str, rows: Sequence[Row]) -> str:
    """Horizontal bars, each as long as the others, cut by counts; a count is written under its part if it fits."""
    tall, right = 64, 12
    start = _beside([row.name for row in rows])
    parts = []
    for number, row in enumerate(rows):
        y = 10 + tall * number
        parts.append(_text(0, y + 19, row.name, "name"))
        total = max(1, sum(segment.size for segment in row.segments))
        x = float(start)
        for segment in row.segments:
            wide = (WIDTH - start - right) * segment.size / total
            told = plain(f"{row.name}, {segment.name}: {segment.size} of {total}")
            shown = max(0.5, wide - 1.5)  # the gap keeps neighbours of like colour apart
            parts.append(
                f'<rect class="{segment.css}" x="{x:.1f}" y="{y}" width="{shown:.1f}" height="28" rx="2">'
                f"<title>{told}</title></rect>"
            )
            if wide > 9 * len(str(segment.size)):
                parts.append(_text(x + shown / 2, y + 43, str(segment.size), "mid"))
            x += wide
    return _svg(title, 10 + tall * len(rows), parts)


def strips(title: str, rows: Sequence[Strip], unit: str, target: float | None = None) -> str:
    """A row of dots for each strip on one logarithmic scale, with its marks as ticks; a line down at the target."""
    tall, foot = 58, 34
    start = _beside([row.name for row in rows])
    values = [value for row in rows for value in row.values if value > 0]
    least, most = _decades([*values, *([target] if target else [])])

    def at(value: float) -> float:
        place = (math.log10(max(value, least)) - math.log10(least)) / (math.log10(most) - math.log10(least))
        return start + place * (WIDTH - start - 24)

    bottom = 12 + tall * len(rows)
    parts = []
    for power in range(round(math.log10(least)), round(math.log10(most)) + 1):
        tick = 10.0**power
        parts.append(_line(at(tick), 6, at(tick), bottom, "grid"))
        parts.append(_text(at(tick), bottom + 16, f"{tick:g} {unit}", "mid"))
    if target is not None:
        parts.append(_line(at(target), 6, at(target), bottom, "target"))
    for number, row in enumerate(rows):
        middle = 12 + tall * number + 26
        parts.append(_text(0, middle + 4, row.name, "name"))
        for place, value in enumerate(row.values):
            high = middle - 9 + (place * 7) % 19  # spread, so that like values do not hide each other
            parts.append(f'<circle class="{row.css} faint" cx="{at(value):.1f}" cy="{high:.1f}" r="2.6"/>')
        for label, value in row.marks:
            parts.append(_line(at(value), middle - 15, at(value), middle + 15, "whisker"))
            parts.append(_text(at(value), middle - 18, label, "mid value"))
    return _svg(title, bottom + foot, parts)


def _stretches(shares: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """What stands side by side without a gap."""
    found: list[list[tuple[int, float]]] = [[]]
    for place, share in enumerate(shares):
        if share is None:
            found.append([])
        else:
            found[-1].append((place, share))
    return [stretch for stretch in found if stretch]


def _beside(names: Sequence[str]) -> float:
    """Room for the names of rows, before the rows begin."""
    return min(WIDTH / 3, max([62.0, *(12 + 6.6 * len(name) for name in names)]))


def _decades(values: Sequence[float]) -> tuple[float, float]:
    """The powers of ten around all values; at least one decade."""
    if not values:
        return 1.0, 10.0
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return 10.0**low, 10.0 ** max(high, low + 1)


def _upright(x: float, wide: float, at: _Scale, bar: Bar, css: str, label: str) -> str:
    y, middle, inner = at(bar.value), x + wide / 2, wide - 4
    parts = [
        f'<g><title>{plain(label)}</title><rect class="{css}" x="{x + 2:.1f}" y="{y:.1f}" width="{inner:.1f}" '
        f'height="{max(1.0, at(0) - y):.1f}" rx="2"/>'
    ]
    over = y
    if bar.low is not None and bar.high is not None:
        over = at(bar.high)
        parts.append(_line(middle, at(bar.low), middle, over, "whisker"))
        parts += [_line(middle - 4, end, middle + 4, end, "whisker") for end in (at(bar.low), over)]
    size = "mid value" if inner > 20 else "mid value tight"
    parts.append(_text(middle, over - 5, f"{100 * bar.value:.0f}", size))
    return "".join(parts) + "</g>"


def _told(bar: Bar) -> str:
    return percent(bar.value) + (f" (95 % interval {bar.interval})" if bar.interval else "")


def _across(y: float, label: str) -> str:
    return _line(_LEFT, y, WIDTH - _RIGHT, y, "grid") + _text(_LEFT - 6, y + 4, label, "end")


def _line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    return f'<line class="{css}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, css: str) -> str:
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}">{plain(text)}</text>'


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    name = plain(title)
    body = "".join(parts)
    return f'<div class="plot"><svg role="img" aria-label="{name}" viewBox="0 0 {WIDTH} {height}">{body}</svg></div>'


def _round_up(value: float) -> float:
    """The next number of the form 1, 2, 4, 5 or 8 times a power of ten: quarters of it are short to write."""
    if value <= 0:
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(value))
    return next((lead * power for lead in (1, 2, 4, 5, 8) if value <= lead * power), 10 * power)
