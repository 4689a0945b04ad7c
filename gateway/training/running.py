"""One run: trained, or taken up where it stands, watched, published, told. Owns that order and where a run lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.text import Text

from distill import trainer
from distill.atomic import write_atomically
from distill.publishing import publish, write_card
from distill.train.order import FILE, Order, name_of, read_order, write_order
from distill.train.recipe import warnings
from distill.train.record import Step, read_result, read_steps, read_taught
from gateway.errors import StartError
from gateway.sections import Settings
from gateway.settings import Home
from gateway.training.ordering import Wish, order_of
from gateway.training.page import render
from gateway.training.tables import tell_run
from gateway.training.watching import Watch
from gateway.training.wording import left_out

REPORT = "report.html"


class Trained(NamedTuple):
    """A finished run: its folder, and what result.json says."""

    folder: Path
    result: dict[str, Any]


async def run_training(wish: Wish, settings: Settings, home: Home, console: Console) -> None:
    """Train what is wanted, and publish it. Raises SettingsError, StartError or DistillError with what to do; what was
    trained until then is kept."""
    order = order_of(wish, settings, home)
    folder = place_of(order, wish.out or home.models / "runs" / name_of(order))
    done = await trained(order, folder, console)
    tell_run(console, announced(done, home), done.result, folder)


async def trained(order: Order, folder: Path, console: Console) -> Trained:
    """The run in this folder, to its end, with its report; one that has come there is not begun again. Raises
    TrainerError."""
    if read_result(folder) is None:
        await _train(order, folder, console)
    else:
        console.print(Text(f"{folder} holds this run, finished: nothing is trained"), soft_wrap=True)
    result = read_result(folder)
    if result is None:
        raise trainer.TrainerError(f"the run in {folder} ended without a result")
    text = render(read_order(folder), read_steps(folder), result)
    write_atomically(folder / REPORT, text.encode("utf-8", "replace"))
    return Trained(folder, result)


async def _train(order: Order, folder: Path, console: Console) -> None:
    for warning in warnings(order.recipe):
        console.print(Text(f"Warning: {warning}", style="yellow"), soft_wrap=True)
    behind = read_steps(folder)
    word = f"goes on from the last checkpoint before step {behind[-1].step}" if behind else "begins"
    console.print(Text(f"The run in {folder} {word}"), soft_wrap=True)
    write_order(order, folder)
    with Watch(console, behind) as watch:

        def report(step: Step) -> None:
            if not watch.begun and (taught := read_taught(folder)):
                for line in left_out(taught, order.recipe):
                    console.print(Text(line, style="yellow"), soft_wrap=True)
            watch.step(step)

        await trainer.train(folder, report)


def announced(done: Trained, home: Home) -> str:
    """Publish the adapter, with its card. Returns its name."""
    name, adapter = publish(home.models, done.folder)
    write_card(adapter, done.folder, None)
    return name


def place_of(order: Order, folder: Path) -> Path:
    """The folder, where it is free for this run or holds it already. Raises StartError."""
    folder = folder.resolve()
    if (folder / FILE).exists():
        if name_of(read_order(folder)) != name_of(order):
            raise StartError(f"{folder} holds another run (other data, base or recipe): choose another --out")
    elif folder.is_dir() and any(folder.iterdir()):
        raise StartError(f"{folder} is not empty and holds no run: choose another --out")
    return folder
