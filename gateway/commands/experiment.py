"""The arguments of `nightschool experiment`."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer

experiment = typer.Typer(
    help="Conversations divided between two or more arms, and what came of it.", no_args_is_help=True
)

ConfigOption = Annotated[Path | None, typer.Option("--config", help="Settings file; default ./nightschool.toml.")]
NameArgument = Annotated[str, typer.Argument(help="The experiment's name.")]


@experiment.command("start")
def start(
    name: NameArgument,
    arm: Annotated[
        list[str],
        typer.Option(
            help="NAME or NAME:field=value,…; fields: answers (student, teacher), confidence, adapter, prompt, weight. "
            "The first arm is the control; repeat it for each."
        ),
    ],
    share: Annotated[float, typer.Option(help="Of all conversations, that take part.")] = 1.0,
    expected: Annotated[int, typer.Option(min=1, help="Conversations at which one thinks to decide.")] = 500,
    config: ConfigOption = None,
) -> None:
    """Divide conversations between arms from now on, each for good."""
    from gateway import experimenting, settings

    chosen = settings.load(config)
    home = settings.make_home(settings.home(chosen))
    asyncio.run(experimenting.start(chosen, home, experimenting.experiment_of(name, arm, share, expected)))
    typer.echo(f"{name} runs; `nightschool experiment status {name}` shows what comes of it")


@experiment.command("status")
def status(
    name: Annotated[str, typer.Argument(help="The experiment's name; default: all, in a line each.")] = "",
    config: ConfigOption = None,
) -> None:
    """Tell what came of an experiment or of a canary so far, and what may be said of it. Looking costs nothing."""
    from rich.console import Console

    from gateway import experimenting, settings

    chosen = settings.load(config)
    home = settings.make_home(settings.home(chosen))
    asyncio.run(experimenting.tell(chosen, home, name, Console()))


@experiment.command("stop")
def stop(name: NameArgument, config: ConfigOption = None) -> None:
    """Divide no more: all conversations go on as the settings say. A canary is rolled back."""
    from gateway import experimenting, settings

    chosen = settings.load(config)
    home = settings.make_home(settings.home(chosen))
    typer.echo(experimenting.line(asyncio.run(experimenting.stop(chosen, home, name))))


@experiment.command("plan")
def plan(
    share: Annotated[float, typer.Option(help="What is the share now, as 0.85 of the conversations that end well.")],
    change: Annotated[float, typer.Option(help="The change that is to be found, as -0.05.")],
    config: ConfigOption = None,
) -> None:
    """Tell how many conversations it takes to find a change, and after how many days they will be there."""
    from gateway import experimenting, settings

    home = settings.home(settings.load(config))
    a_day = asyncio.run(experimenting.a_day(home, time.time()))
    typer.echo("\n".join(experimenting.plan(share, change, a_day)))
