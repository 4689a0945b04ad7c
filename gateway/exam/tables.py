"""An examination's result on the terminal: figures, categories, failures, teachers, and the plan's rows at the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from distill.examination.results import ArmResult, Result
from gateway.exam.wording import LINES, compared, helps, p_value, part, share, target, taught, title, verdict
from gateway.reports.pieces import NONE, shown

_STYLES = {"met": "green", "not met": "red", "not shown": "yellow", "not known": ""}


def tell(result: Result, folder: Path, console: Console) -> None:
    """Everything in order, the decision last. Text that models or files brought is never taken as markup."""
    console.print(Text(title(result), style="bold"))
    _figures(result, console)
    _categories(result, console)
    _compared(result, console)
    _failures(result, console)
    _teachers(result, console)
    _rows(result, console)
    for note in result.notes:
        console.print(Text(f"• {note}"))
    if result.doubtful:
        console.print(
            Text(f"• {len(result.doubtful)} questions were answered right by nobody, and may be wrong themselves")
        )
    console.print(Text(verdict(result), style="bold"))
    if result.failures:
        console.print(
            Text(f"Questions of the kinds that failed: nightschool generate --for-failures {folder} --repo …"),
            soft_wrap=True,
        )
    console.print(Text(f"Report: {folder / 'report.html'}\nResult: {folder / 'result.json'}"), soft_wrap=True)


def _table(heading: str, columns: Sequence[str]) -> Table:
    table = Table(title=heading, title_justify="left")
    for place, column in enumerate(columns):
        table.add_column(Text(column), justify="right" if place else "left")
    return table


def _cell(value: str, small: str, style: str = "") -> Text:
    return Text.assemble((value, style), *([("\n" + small.replace("; ", "\n"), "dim")] if small else []))


def _figures(result: Result, console: Console) -> None:
    table = _table("All questions", ["", *(arm.label for arm in result.arms)])
    for line in LINES:
        table.add_row(Text(line.label), *(_cell(*line.cell(arm)) for arm in result.arms))
    console.print(table)


def _categories(result: Result, console: Console) -> None:
    table = _table("Success by category", ["", "questions", *(arm.label for arm in result.arms)])
    for name, count in result.categories.items():
        cells = [_of_category(arm, name) for arm in result.arms]
        table.add_row(Text(name.replace("_", " ")), str(count), *cells)
    console.print(table)


def _of_category(arm: ArmResult, name: str) -> Text:
    figures = arm.categories.get(name)
    return Text(NONE) if figures is None else _cell(share(figures.success)[0], share(figures.success)[1].split(";")[0])


def _compared(result: Result, console: Console) -> None:
    whole = [one for one in result.comparisons if not one.category and one.measure == "success"]
    if whole:
        table = _table("Success compared, question by question", ["", "difference", "gained, lost", "p"])
        for one in whole:
            difference, interval, changes, p = compared(one)
            table.add_row(Text(f"{one.second} against {one.first}"), _cell(difference, interval), changes, p)
        console.print(table)


def _failures(result: Result, console: Console) -> None:
    rows = helps(result)
    if rows:
        table = _table(f"Failures of {result.student} by cause", ["", "questions", "kinds", "what would help"])
        for cause, count, kinds, remedy in rows:
            table.add_row(Text(cause), str(count), Text(kinds), Text(remedy))
        console.print(table)


def _teachers(result: Result, console: Console) -> None:
    if not result.teachers:
        return
    table = _table("Teachers", ["", "success", "p against the best", "seconds, p50", "peak memory", "teaches"])
    arms = {arm.label: arm for arm in result.arms}
    for one in result.teachers:
        arm = arms[one.label]
        success = shown(arm.figures.success.share if arm.figures else None, "%")
        pace = shown(arm.figures.p50.value if arm.figures else None, "s")
        room = shown(None if arm.peak_memory is None else arm.peak_memory / 1e9, "GB")
        name = f"{one.label} (recommended)" if one.recommended and len(result.teachers) > 1 else one.label
        best = NONE if one.p_value is None else p_value(one.p_value)
        table.add_row(Text(name), success, best, pace, room, Text(taught(one)))
    console.print(table)


def _rows(result: Result, console: Console) -> None:
    scored = [arm for arm in result.arms if arm.scored]
    table = _table("The plan's four rows", ["", "target", *(arm.label for arm in scored)])
    for row in result.rows:
        cells = []
        for arm in scored:
            cell = row.cells[arm.label]
            told = [word for one in cell.parts for word in part(one, row.unit) if word]
            cells.append(Text.assemble((cell.state, _STYLES[cell.state]), *(("\n" + word, "dim") for word in told)))
        table.add_row(Text(row.label), target(row), *cells)
    console.print(table)
