"""The operator's handles over what serves and what is learnt: the arguments of `nightschool rollback`, `pin`,
`pause-learning`, `resume-learning` and `trust`."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[Path | None, typer.Option("--config", help="Settings file; default ./nightschool.toml.")]
UrlOption = Annotated[str, typer.Option(help="The gateway's address; default: that of the settings.")]


def rollback(
    adapter: Annotated[
        str, typer.Argument(help="An adapter of models/adapters, or base; default: the one before.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Also one that is not known to have passed.")] = False,
    url: UrlOption = "",
    config: ConfigOption = None,
) -> None:
    """End a canary, else let serve what served before; or the adapter that is named."""
    from gateway import handling, settings
    from gateway.agents.presence import address

    chosen = settings.load(config)
    asked = address(url or settings.gateway_url(chosen))
    typer.echo(asyncio.run(handling.roll_back(asked, settings.home(chosen).data, adapter, force=force)))


def pin(
    adapter: Annotated[str, typer.Argument(help="An adapter of models/adapters, or base.")] = "",
    off: Annotated[bool, typer.Option("--off", help="Let others replace what is pinned.")] = False,
    url: UrlOption = "",
    config: ConfigOption = None,
) -> None:
    """Let an adapter serve, and nothing replace it: no night, no canary, no rollback."""
    from gateway import handling, settings
    from gateway.agents.presence import address
    from gateway.errors import SettingsError

    if bool(adapter) == off:
        raise SettingsError("say which adapter is pinned (or base), or --off, and not both")
    chosen = settings.load(config)
    asked, data = address(url or settings.gateway_url(chosen)), settings.home(chosen).data
    typer.echo(asyncio.run(handling.unpin(asked, data) if off else handling.pin(asked, data, adapter)))


def pause_learning(
    until: Annotated[str, typer.Option(help="A date, as 2026-12-24, or a time of it, as 2026-12-24T18:00.")] = "",
    days: Annotated[
        float, typer.Option(min=0.0, max=36_500.0, help="So many days from now; 0: until it is resumed.")
    ] = 0.0,
    config: ConfigOption = None,
) -> None:
    """Let no night learn anything: each ends at once and says so. What serves goes on serving."""
    from distill.night.pausing import pause, paused
    from gateway import settings
    from gateway.errors import SettingsError

    if until and days:
        raise SettingsError("say --until or --days, and not both")
    now = time.time()
    end = _moment(until, now) if until else now + days * 86_400 if days else None
    home = settings.make_home(settings.home(settings.load(config)))
    pause(home.data, now, end)
    typer.echo(paused(home.data, now))


def resume_learning(config: ConfigOption = None) -> None:
    """Let nights learn again."""
    from distill.night.pausing import resume
    from gateway import settings

    home = settings.home(settings.load(config))
    typer.echo("nights learn again" if resume(home.data, time.time()) else "learning was not paused")


def trust(
    night: Annotated[str, typer.Argument(help="A night of data/nights that doubts what came.")],
    config: ConfigOption = None,
) -> None:
    """Let nights learn from what a night doubts: by it an adapter became worse, or it was unlike all before."""
    from distill.night.doubting import trust
    from gateway import settings

    found = trust(settings.home(settings.load(config)).data / "nights", night)
    typer.echo(f"nights may learn from {found} more traces: those that {night} doubted")


def _moment(text: str, now: float) -> float:
    """A date's first moment or a time, local unless it says otherwise. Raises SettingsError for none, or one that is
    over."""
    from gateway.errors import SettingsError

    try:
        found = datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise SettingsError(f"'{text}' is no date: write it as 2026-12-24 or 2026-12-24T18:00") from error
    if found <= now:
        raise SettingsError(f"'{text}' is over already")
    return found
