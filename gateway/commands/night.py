"""The arguments of `nightschool night`."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Annotated

import typer

from distill.night.diary import Stage


def night(
    config: Annotated[Path | None, typer.Option("--config", help="Settings file; default ./nightschool.toml.")] = None,
    profile: Annotated[str, typer.Option("--profile", help="embedded, mac32, mac32-pair or remote.")] = "",
    examination: Annotated[str, typer.Option(help="A name under data/examinations, or a .toml file or a folder.")] = "",
    hours: Annotated[float | None, typer.Option(min=0.0, help="Be over by then; default: whenever it is.")] = None,
    until: Annotated[Stage | None, typer.Option(help="Stop after this stage; started again, it goes on.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, with time and memory.")] = False,
    scheduled: Annotated[
        bool, typer.Option("--scheduled", help="Only if a night is due now; it then has until its hours end.")
    ] = False,
) -> None:
    """Learn from the day's traces: train an adapter, examine it, and propose it if it is better.

    A night that was stopped or killed goes on where it stood when it is started again.
    """
    from rich.console import Console

    from distill.night.diary import NightStopped
    from distill.night.settings import NightOver
    from gateway import settings
    from gateway.nightly import Wish, run_foretelling, run_night
    from gateway.schedule.due import NotDue
    from gateway.schedule.now import look

    chosen = settings.check_servable(settings.load(config, profile))
    arguments = [*(["--config", str(config)] if config else []), *(["--profile", profile] if profile else [])]
    home = settings.make_home(settings.home(chosen))
    if scheduled:
        due = asyncio.run(look(chosen, home))
        if isinstance(due, NotDue):
            typer.echo(f"nightschool: no night begins: {due.reason}", err=True)
            return
        hours = min(due.seconds / 3600, hours if hours is not None else math.inf)
    wish = Wish(examination, hours, until)
    work = (run_foretelling if dry_run else run_night)(chosen, home, arguments, wish, Console(stderr=True))
    try:
        asyncio.run(work)
    except (NightOver, NightStopped) as over:
        typer.echo(f"nightschool: {over}", err=True)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
