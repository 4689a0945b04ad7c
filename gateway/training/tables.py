"""How runs ended, and what one would take, as tables in a terminal. Text from files is never taken as markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from distill.train.record import Estimate, Look
from gateway.reports.pieces import NONE
from gateway.training.wording import clock, seen, size


class Cost(NamedTuple):
    """What energy costs: watts that the machine takes while it trains, and the price of a kilowatt-hour, in any
    currency."""

    watts: float
    price: float

    def kilowatt_hours(self, seconds: float) -> float:
        return self.watts * seconds / 3.6e6


class Outcome(NamedTuple):
    """A run of a sweep: its fields, and either its result or the reason why there is none."""

    fields: dict[str, Any]
    run: str
    result: Mapping[str, Any] | None
    reason: str = ""

    @property
    def best(self) -> Look | None:
        found = self.result.get("best") if self.result else None
        return msgspec.convert(found, Look) if found else None


def facts_of(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What result.json tells, in words."""
    best = msgspec.convert(result["best"], Look) if result.get("best") else None
    return [
        ("steps", f"{result['steps']}"),
        ("conversations", f"{result['examples']} ({result['too_long']} too long, {result['silent']} teach nothing)"),
        ("loss", f"{result['first_loss']:.3f} → {result['last_loss']:.3f}"),
        ("best look", seen(best) if best else NONE),
        ("rate halved", f"{result['slowed']} times"),
        ("time", clock(result["seconds"])),
        ("examples/s", f"{result['examples_per_second']:.2f}"),
        ("tokens/s", f"{result['tokens_per_second']:,.0f}"),
        ("peak memory", size(result["peak_memory_bytes"])),
        ("shared beginnings run once", "yes" if result["shared_prefix"] else "no: this model is trained plainly"),
    ]


def tell_run(console: Console, adapter: str, result: Mapping[str, Any], folder: Path) -> None:
    _tell_facts(console, f"Trained: {adapter}", facts_of(result))
    told = f"Report: {folder / 'report.html'}\nExamine it: nightschool exam --adapter {adapter}"
    console.print(Text(told), soft_wrap=True)


def tell_estimate(console: Console, found: Estimate, cost: Cost, done: int) -> None:
    """`done` steps lie behind the run already."""
    left = found.seconds * (found.steps - done) / found.steps
    energy = cost.kilowatt_hours(left)
    begin, looks = clock(found.start_seconds), clock(found.look_seconds)
    facts = [
        ("conversations", f"{found.taught.examples}, {found.taught.apart} kept apart"),
        ("steps", f"{found.steps}, {found.measured} of them measured, {done} done already"),
        ("tokens to run", f"{found.run_tokens:,}, shared beginnings once"),
        ("time", f"{clock(left)}; the whole run has {begin} until it begins and {looks} of looks"),
        ("memory", size(found.memory_bytes)),
        ("disk", size(found.disk_bytes)),
        ("energy", f"{energy:.3f} kWh at {cost.watts:g} W"),
        ("cost", f"{energy * cost.price:.2f} at {cost.price:g} per kWh"),
    ]
    _tell_facts(console, "What this run would take", facts)


def ranked(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The best first: the most exact turns, of these the least loss; what failed last."""

    def place(outcome: Outcome) -> tuple[bool, float, float]:
        best = outcome.best
        return (best is None, -best.exact if best else 0.0, best.loss if best else 0.0)

    return sorted(outcomes, key=place)


def tell_sweep(console: Console, outcomes: Sequence[Outcome]) -> None:
    fields = list(outcomes[0].fields)
    table = _table("Runs, the best first", [*fields, "exact", "loss", "step", "time", "run"])
    for outcome in ranked(outcomes):
        best = outcome.best
        shown = (
            [f"{best.exact:.1%}", f"{best.loss:.3f}", f"{best.step}", clock((outcome.result or {})["seconds"])]
            if best
            else [outcome.reason or NONE, NONE, NONE, NONE]
        )
        table.add_row(*(Text(f"{outcome.fields[field]}") for field in fields), *map(Text, shown), outcome.run)
    console.print(table)


def _tell_facts(console: Console, heading: str, facts: Sequence[tuple[str, str]]) -> None:
    table = Table(title=Text(heading), title_justify="left", show_header=False, box=None)
    for name, value in facts:
        table.add_row(Text(name), Text(value))
    console.print(table)


def _table(heading: str, columns: Sequence[str]) -> Table:
    table = Table(title=Text(heading), title_justify="left")
    for column in columns:
        table.add_column(Text(column))
    return table
