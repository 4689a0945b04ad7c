"""The arguments of `nightschool router`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

router = typer.Typer(help="What the router has learnt, and what the student has proven.", no_args_is_help=True)


@router.command("learn")
def learn(
    adapter: Annotated[str, typer.Option(help="An adapter of models/adapters; default: what serves now.")] = "",
    requests: Annotated[int, typer.Option(min=1, help="How many requests the student is asked again at most.")] = 1000,
    at_once: Annotated[int, typer.Option(min=1, help="Requests under way at the same time.")] = 4,
    config: Annotated[Path | None, typer.Option(help="Settings file; default ./nightschool.toml.")] = None,
    profile: Annotated[str, typer.Option(help="embedded, mac32, mac32-pair or remote.")] = "",
) -> None:
    """Ask the student again what the teacher answered; certify what it does no worse, or say what is missing."""
    from rich.console import Console

    from distill.routing.replaying import Limits
    from gateway import settings
    from gateway.learning import run_learning

    loaded = settings.load(config, profile)
    home = settings.make_home(settings.home(loaded))
    arguments = [*(["--config", str(config)] if config else []), *(["--profile", profile] if profile else [])]
    try:
        asyncio.run(run_learning(loaded, home, arguments, adapter, Limits(requests, at_once), Console()))
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on from here", err=True)
        raise typer.Exit(130) from None
