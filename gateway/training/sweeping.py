"""`nightschool train --sweep`: a run for every combination of a few values, judged by what is kept apart.

Every run is a folder of its own, so that a sweep which is started again goes on where it stopped. Owns their order and
that one which fails does not end the others.
"""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from distill.train.order import name_of
from distill.trainer import TrainerError
from gateway.errors import StartError
from gateway.sections import Settings
from gateway.settings import Home
from gateway.training.ordering import Wish, orders_of
from gateway.training.running import Trained, announced, place_of, trained
from gateway.training.tables import Outcome, ranked, tell_sweep


async def run_sweep(wish: Wish, settings: Settings, home: Home, console: Console) -> None:
    """Train all of them, tell them apart, publish the best. Raises StartError where none came to its end, and as
    training one does for what makes no sense."""
    tries = orders_of(wish, settings, home)
    root = (wish.out or home.models / "runs").resolve()
    outcomes: list[Outcome] = []
    for number, (order, fields) in enumerate(tries, start=1):
        name = name_of(order)
        written = " ".join(f"{field}={value}" for field, value in fields.items())
        console.print(Text(f"Run {number} of {len(tries)}: {written}", style="bold"), soft_wrap=True)
        try:
            done = await trained(order, place_of(order, root / name), console)
        except TrainerError as error:
            console.print(Text(f"{error}", style="red"), soft_wrap=True)
            outcomes.append(Outcome(fields, name, None, f"{error}"))
        else:
            outcomes.append(Outcome(fields, name, done.result))
    tell_sweep(console, outcomes)
    best = ranked(outcomes)[0]
    if best.result is None:
        raise StartError(f"none of {len(tries)} runs came to its end: {best.reason}")
    adapter = announced(Trained(root / best.run, dict(best.result)), home)
    settings_of = " ".join(f"--set {field}={value}" for field, value in best.fields.items())
    console.print(Text(f"The best is {adapter}: {settings_of}"), soft_wrap=True)
