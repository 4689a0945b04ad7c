"""The arguments of `nightschool train`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer


def train(
    data: Annotated[str, typer.Option(help="A dataset, or a folder as mlx-lm reads them; default: the newest.")] = "",
    base: Annotated[
        str, typer.Option(help="A name of the catalogue or under models/, or a folder; default: the student.")
    ] = "",
    preset: Annotated[str, typer.Option(help="The recipe to begin with: default or plan.")] = "default",
    change: Annotated[list[str] | None, typer.Option("--set", help="field=value of the recipe; repeatable.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps in place of the recipe's epochs.")] = None,
    warm: Annotated[str, typer.Option("--from", help="An adapter to start from: a name or a folder.")] = "",
    teacher: Annotated[str, typer.Option(help="The model whose probabilities are learnt, with soft.")] = "",
    out: Annotated[Path | None, typer.Option(help="The run's folder; default: in models/runs.")] = None,
    memory_gb: Annotated[
        float | None, typer.Option(min=0.1, help="Memory to make do with; default: 60 % of what the machine has.")
    ] = None,
    sweep: Annotated[
        list[str] | None, typer.Option(help="field=value,value: a run for every combination; repeatable.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Measure a few batches, tell memory, disk, time and cost; train nothing.")
    ] = False,
    watts: Annotated[float, typer.Option(min=0, help="What the machine takes while it trains, for --dry-run.")] = 60.0,
    price: Annotated[float, typer.Option(min=0, help="Of a kilowatt-hour, in any currency, for --dry-run.")] = 0.3,
    config: Annotated[Path | None, typer.Option(help="Settings file; default ./nightschool.toml.")] = None,
    profile: Annotated[str, typer.Option(help="embedded, mac32, mac32-pair or remote.")] = "",
) -> None:
    """Train an adapter on a dataset; goes on where it was stopped, and ends with a table and report.html."""
    from rich.console import Console

    from gateway import settings
    from gateway.training.foretelling import foretell
    from gateway.training.ordering import Wish
    from gateway.training.running import run_training
    from gateway.training.sweeping import run_sweep
    from gateway.training.tables import Cost

    wish = Wish(
        data=data,
        base=base,
        preset=preset,
        changes=tuple(change or ()),
        sweep=tuple(sweep or ()),
        steps=steps,
        warm=warm,
        teacher=teacher,
        out=out,
        memory=round((memory_gb or 0) * 1e9),
    )
    chosen = settings.load(config, profile)
    home = settings.make_home(settings.home(chosen))
    console = Console()
    if dry_run:
        work = foretell(wish, chosen, home, Cost(watts, price), console)
    else:
        work = (run_sweep if sweep else run_training)(wish, chosen, home, console)
    try:
        asyncio.run(work)
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on from here", err=True)
        raise typer.Exit(130) from None
