"""report.html of a run: what was ordered, how loss, looks and rate went, what came out. Owns which figures are shown;
`gateway.reports` owns how, and that nothing of what data brought is taken as HTML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from distill.train.order import Order
from distill.train.recipe import warnings
from distill.train.record import Step
from gateway.reports.pieces import facts, figure, page, shown, table
from gateway.reports.plots import curve, plain
from gateway.training.tables import facts_of
from gateway.training.watching import looks_of
from gateway.training.wording import clock

_POINTS = 600  # of a curve; of more steps, means are drawn


def render(order: Order, steps: Sequence[Step], result: Mapping[str, Any]) -> str:
    """The page of a finished run."""
    return page(
        f"Training of {Path(order.base).name}",
        [_head(order, result), _curves(steps), _looks(steps), _result(result), _order(order)],
    )


def _head(order: Order, result: Mapping[str, Any]) -> str:
    best = result["best"]
    figures = [
        figure("turns kept apart that are exact", shown(best["exact"] if best else None, "%")),
        figure("loss at the end", f"{result['last_loss']:.3f}"),
        figure("examples/s", f"{result['examples_per_second']:.2f}"),
        figure("time", clock(result["seconds"])),
    ]
    return (
        f'<p class="brand">Nightschool</p><h1>Training of {plain(Path(order.base).name)}</h1>'
        f'<div class="figures">{"".join(figures)}</div>'
    )


def _curves(steps: Sequence[Step]) -> str:
    if not steps:
        return ""
    every = -(-len(steps) // _POINTS)
    across = "step" if every == 1 else f"{every} steps"
    losses = _means([step.loss for step in steps], every)
    rates = _means([step.rate for step in steps], every)
    return (
        f"<section><h2>Loss</h2><p>In nats per learnt token, of each batch before its step.</p>"
        f"{curve('Training loss over steps', losses, across)}"
        f"<h3>Learning rate</h3>{curve('Learning rate over steps', rates, across)}</section>"
    )


def _looks(steps: Sequence[Step]) -> str:
    looks = looks_of(steps)
    if not looks:
        return ""
    rows = [[f"{look.step}", shown(look.exact, "%"), f"{look.loss:.3f}"] for look in looks]
    return (
        "<section><h2>Looks at what is kept apart</h2><p>Turns of the assistant that the model would write to the "
        f"token, in per cent.</p>{curve('Exact turns over looks', [100 * look.exact for look in looks], 'look')}"
        f"{table(['step', 'exact turns', 'loss'], rows)}</section>"
    )


def _result(result: Mapping[str, Any]) -> str:
    return f"<section><h2>Result</h2>{facts(facts_of(result))}</section>"


def _order(order: Order) -> str:
    recipe = [(name, f"{value}") for name, value in msgspec.to_builtins(order.recipe).items()]
    told = [
        ("base", Path(order.base).name),
        ("base's digest", order.base_digest),
        ("dataset", order.dataset),
        ("dataset's digest", order.dataset_digest),
        *([("started from", order.warm)] if order.warm else []),
        *([("ended after", f"{order.steps} steps")] if order.steps else []),
        *((f"version of {name}", version) for name, version in order.versions.items()),
    ]
    notes = "".join(f'<p class="note">{plain(warning)}</p>' for warning in warnings(order.recipe))
    return f"<section><h2>Order</h2>{notes}{facts(told)}<h3>Recipe</h3>{facts(recipe)}</section>"


def _means(values: Sequence[float], every: int) -> list[float]:
    parts = [values[start : start + every] for start in range(0, len(values), every)]
    return [sum(part) / len(part) for part in parts]
