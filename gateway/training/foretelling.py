"""`nightschool train --dry-run`: what a run would take, measured on a few of its batches. Trains nothing, and leaves
nothing behind. Owns when a run is refused.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from distill import trainer
from distill.train.order import Order, most_memory, name_of, write_order
from distill.train.recipe import warnings
from distill.train.record import Estimate, read_result, read_steps
from distill.train.room import check_disk
from gateway.errors import StartError
from gateway.sections import Settings
from gateway.settings import Home
from gateway.training.ordering import Wish, order_of, orders_of
from gateway.training.running import place_of
from gateway.training.tables import Cost, tell_estimate
from gateway.training.wording import clock, left_out, size


async def foretell(wish: Wish, settings: Settings, home: Home, cost: Cost, console: Console) -> None:
    """Tell what would be taken; of a sweep, of every run and altogether. Raises StartError where memory or disk do not
    suffice, and as training would."""
    swept = [tried.order for tried in orders_of(wish, settings, home)] if wish.sweep else None
    root = wish.out or home.models / "runs"
    seconds = 0.0
    for order in swept or [order_of(wish, settings, home)]:
        folder = place_of(order, root if wish.out and not swept else root / name_of(order))
        seconds += await _foretell(order, folder, cost, console)
    if swept:
        energy = cost.kilowatt_hours(seconds)
        money = f"{energy * cost.price:.2f} at {cost.price:g} per kWh"
        console.print(f"{len(swept)} runs: {clock(seconds)}, {energy:.3f} kWh, {money}")


async def _foretell(order: Order, folder: Path, cost: Cost, console: Console) -> float:
    """One run; the seconds that are left of it."""
    if read_result(folder) is not None:
        console.print(Text(f"{folder} holds this run, finished: nothing would be trained"), soft_wrap=True)
        return 0.0
    done = len(read_steps(folder))
    lines = [f"Warning: {warning}" for warning in warnings(order.recipe)]
    if order.recipe.soft:
        lines.append(
            "The teacher is asked once about the whole dataset before the first step: that is not counted here"
        )
    with tempfile.TemporaryDirectory(prefix="nightschool-") as work:
        write_order(order, Path(work))
        with console.status("measuring a few batches"):
            found = await trainer.estimate(Path(work))
    for line in (*lines, *left_out(found.taught, order.recipe)):
        console.print(Text(line, style="yellow"), soft_wrap=True)
    tell_estimate(console, found, cost, done)
    _check(found, order, folder)
    return found.seconds * (found.steps - done) / found.steps


def _check(found: Estimate, order: Order, folder: Path) -> None:
    memory = most_memory(order)
    if found.memory_bytes > memory:
        whose = "allowed (--memory-gb)" if order.memory else "what this machine has"
        raise StartError(
            f"the run would take {size(found.memory_bytes)} of memory, and {size(memory)} is {whose}: "
            "lower batch, max_tokens or layers with --set, or take a smaller base"
        )
    check_disk(folder, found.disk_bytes)
