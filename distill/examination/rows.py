"""The plan's four rows: tool use, accuracy, seconds and memory against their targets, for any set of arms.

Owns the targets and what "met" means. Pure; knows nothing of files or endpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec

from distill.examination.figures import Figures, Measured, figures
from distill.examination.marking import Mark
from distill.resampling import Quantile
from distill.statistics import lower_bound, upper_bound

State = Literal["met", "not met", "not shown", "not known"]
GB = 1e9


class Part(msgspec.Struct, frozen=True):
    """One number against its target, with one-sided 95 % bounds. `beyond`: it is worse than anything measured, because
    endpoints failed to answer."""

    value: float | None
    low: float | None
    high: float | None
    state: State
    name: str = ""
    beyond: bool = False

    def by_point(self, target: float, above: bool) -> bool | None:
        """Whether the number itself meets the target, whatever its bounds; None: it is not known."""
        if self.value is None:
            return False if self.beyond else None
        return self.value > target if above else self.value < target


class Cell(msgspec.Struct, frozen=True):
    """One arm in one row."""

    state: State
    parts: list[Part]


class Row(msgspec.Struct, frozen=True):
    """A row of the plan. `unit` is "%" for a share, else "s" or "GB"; `above`: the number should be over the target."""

    key: str
    label: str
    unit: str
    target: float
    above: bool
    cells: dict[str, Cell]


class Standing(msgspec.Struct, frozen=True):
    """What the rows need of an arm; `memory` in bytes, None where nobody tells."""

    figures: Figures
    memory: int | None = None


def four_rows(arms: Mapping[str, Standing]) -> list[Row]:
    """The rows, with a cell for each arm. A share meets its target where Wilson's one-sided 95 % lower bound does,
    seconds where the upper bounds of median and 95th percentile do; where the other bound misses it, it is not met;
    between, not shown. Peak memory is a single number: it meets its target or not.
    """
    return [_row(*line, arms) for line in _LINES]


def standing(marks: Sequence[Mark], memory: int | None) -> Standing:
    """Raises ValueError for no marks."""
    return Standing(figures(marks), memory)


def turned(before: Standing, after: Standing) -> list[str]:
    """What a change from `before` to `after` would turn from met to missed, in words. By the numbers themselves: wide
    bounds excuse nothing."""
    found = []
    for row in four_rows({"before": before, "after": after}):
        for one, two in zip(row.cells["before"].parts, row.cells["after"].parts, strict=True):
            if one.by_point(row.target, row.above) and two.by_point(row.target, row.above) is False:
                name = f"{row.label.lower()}{f' ({one.name})' if one.name else ''}"
                target = f"{'>' if row.above else '<'} {written(row.target, row.unit)}"
                found.append(
                    f"{name} would miss its target of {target}: {_told(one, row)} before, {_told(two, row)} now"
                )
    return found


def written(value: float, unit: str) -> str:
    """A number of a row with its unit; "%" takes a share of 1."""
    return f"{100 * value:.3g} %" if unit == "%" else f"{value:.3g} {unit}"


def _told(part: Part, row: Row) -> str:
    return "beyond all that was measured" if part.value is None else written(part.value, row.unit)


def _tool(arm: Standing, target: float) -> list[Part]:
    return [_share(arm.figures.tool, target)]


def _accuracy(arm: Standing, target: float) -> list[Part]:
    return [_share(arm.figures.right_answers, target)]


def _seconds(arm: Standing, target: float) -> list[Part]:
    if not arm.figures.timed:
        return [Part(None, None, None, "not known", name) for name in ("p50", "p95")]
    return [_quantile(arm.figures.p50, "p50", target), _quantile(arm.figures.p95, "p95", target)]


def _memory(arm: Standing, target: float) -> list[Part]:
    if arm.memory is None:
        return [Part(None, None, None, "not known")]
    value = arm.memory / GB
    return [Part(value, None, None, "met" if value < target else "not met")]


_Line = tuple[str, str, str, float, bool, Callable[[Standing, float], list[Part]]]
_LINES: tuple[_Line, ...] = (
    ("tool", "Autonomous tool use", "%", 0.8, True, _tool),
    ("right_answers", "Accuracy of final answers", "%", 0.9, True, _accuracy),
    ("seconds", "Seconds per question", "s", 20.0, False, _seconds),
    ("memory", "Peak memory", "GB", 8.0, False, _memory),
)


def _row(
    key: str,
    label: str,
    unit: str,
    target: float,
    above: bool,
    parts: Callable[[Standing, float], list[Part]],
    arms: Mapping[str, Standing],
) -> Row:
    cells = {name: _cell(parts(arm, target)) for name, arm in arms.items()}
    return Row(key, label, unit, target, above, cells)


def _cell(parts: list[Part]) -> Cell:
    states = {part.state for part in parts}
    for state in ("not met", "not known", "not shown"):
        if state in states:
            return Cell(state, parts)
    return Cell("met", parts)


def _share(measured: Measured, target: float) -> Part:
    if not measured.of:
        return Part(None, None, None, "not known")
    low, high = lower_bound(measured.hits, measured.of), upper_bound(measured.hits, measured.of)
    state: State = "met" if low > target else "not met" if high < target else "not shown"
    return Part(measured.share, low, high, state)


def _quantile(found: Quantile, name: str, target: float) -> Part:
    if found.value is None:
        return Part(None, found.low, None, "not met", name, beyond=True)
    state: State = "not shown"
    if found.high is not None and found.high < target:
        state = "met"
    elif found.low is not None and found.low >= target:
        state = "not met"
    return Part(found.value, found.low, found.high, state, name)
