"""What the report's numbers say: the closing table's lines, and how a number of report.json is read and written.

Owns units, rounding and targets. Knows nothing of HTML or terminals. Whatever is missing, or is not what it should be,
reads as None or empty and is written as a dash.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from gateway.reports.pieces import NONE, shown
from gateway.reports.plots import Bar

ARMS = {"base": "base", "adapter": "adapter", "teacher": "the expert"}


class Measure(NamedTuple):
    """A line of the closing table. `target` is the plan's: what the adapter should lie above or below."""

    key: str
    label: str
    unit: str  # "%" for a share
    target: float | None = None
    above: bool = True


MEASURES = (
    Measure("autonomous_tool_use", "Autonomous tool use", "%", 0.8),
    Measure("exact_calls", "Exact calls", "%"),
    Measure("right_answers", "Final answers right", "%", 0.9),
    Measure("median_seconds", "Median seconds", "s", 20.0, above=False),
    Measure("peak_memory_gb", "Peak memory", "GB", 8.0, above=False),
)
SHARES = MEASURES[:3]


class Line(NamedTuple):
    """A line as it is shown: a cell for each arm, the target in words, and whether the adapter meets it."""

    label: str
    cells: list[tuple[str, str]]  # value, small print
    target: str = ""
    met: bool | None = None


def closing_lines(report: dict[str, Any]) -> list[Line]:
    """The closing table of page and terminal."""
    days = [served(dig(report, "days", day)) for day in ("first", "second")]
    first, second = days[0], number(dig(report, "student_share_day2"))
    second = days[1] if second is None else second
    answered = [
        (shown(first, "%"), "" if first is None else "day 1"),
        (shown(second, "%"), "" if second is None else "day 2"),
        (NONE, ""),
    ]
    return [Line("Requests the student served", answered), *(line_of(report, measure) for measure in MEASURES)]


def line_of(report: dict[str, Any], measure: Measure) -> Line:
    cells = []
    for arm in ARMS:
        bar = bar_of(dig(report, arm), measure.key)
        interval = (
            f"{100 * bar.low:.0f}–{100 * bar.high:.0f} %"
            if bar and bar.low is not None and bar.high is not None
            else ""
        )
        cells.append((shown(number(dig(report, arm, measure.key)), measure.unit), interval))
    if measure.target is None:
        return Line(measure.label, cells)
    target = f"{'>' if measure.above else '<'} {shown(measure.target, measure.unit, digits=0)}"
    value = number(dig(report, "adapter", measure.key))
    met = None if value is None else value > measure.target if measure.above else value < measure.target
    return Line(measure.label, cells, target, met)


def dig(tree: Any, *keys: str) -> Any:
    """The value at the end of the keys; None when the way breaks off."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def branch(tree: Any, *keys: str) -> dict[str, Any]:
    found = dig(tree, *keys)
    return found if isinstance(found, dict) else {}


def items_of(tree: Any, *keys: str) -> list[Any]:
    found = dig(tree, *keys)
    return found if isinstance(found, list) else []


def number(value: Any) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def bar_of(arm: Any, key: str) -> Bar | None:
    """A share with its interval, as a plot wants it."""
    value = number(dig(arm, key))
    if value is None:
        return None
    ends = [number(end) for end in items_of(arm, "intervals", key)]
    return Bar(value, *ends) if len(ends) == 2 else Bar(value)


def served(day: Any) -> float | None:
    """The share of a day's requests that the student served."""
    asked, by_student = number(dig(day, "requests")), number(dig(day, "student_requests"))
    return by_student / asked if asked and by_student is not None else None


def duration(value: Any) -> str:
    """Seconds, in minutes and seconds from two minutes on."""
    seconds = number(value)
    if seconds is None or seconds < 120:
        return shown(seconds, "s", digits=1)
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def gigabytes(value: Any) -> str:
    size = number(value)
    return shown(None if size is None else size / 1e9, "GB")


def counted(counts: dict[str, Any]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
