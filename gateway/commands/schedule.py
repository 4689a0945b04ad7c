"""The arguments of `nightschool schedule`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gateway.commands.unattended import Unattended
    from gateway.schedule.due import Due, NotDue
    from gateway.schedule.timer import Timer

schedule = typer.Typer(help="Nights by themselves, on a timer of your own session, without root.", no_args_is_help=True)

ConfigOption = Annotated[Path | None, typer.Option("--config", help="Settings file; default ./nightschool.toml.")]
ProfileOption = Annotated[str, typer.Option("--profile", help="embedded, mac32, mac32-pair or remote.")]


@schedule.command()
def install(config: ConfigOption = None, profile: ProfileOption = "") -> None:
    """Set up the timer that begins a night when one is due."""
    import time

    from gateway.schedule import since

    seen = _teachable(config, profile)
    since.begin(seen.folders.data, time.time())  # first, as a person may have to do the rest
    typer.echo("\n".join([*_timer(seen).install(), *seen.lacking]))


@schedule.command()
def remove() -> None:
    """Take the timer away. A night that is under way goes on, but for one that launchd keeps."""
    from gateway.schedule import since

    seen = _seen(None, "")
    typer.echo("\n".join(_timer(seen).remove()))
    since.end(seen.folders.data)


@schedule.command()
def show(config: ConfigOption = None, profile: ProfileOption = "") -> None:
    """Print the files, or the line for cron, that would be written."""
    for place, content in _timer(_teachable(config, profile)).shown():
        typer.echo(f"# {place}", err=True)
        typer.echo(content, nl=False)


@schedule.command()
def status(config: ConfigOption = None, profile: ProfileOption = "") -> None:
    """Say whether the timer is there, and why a night would or would not begin now. Exit code 3 if it is not there."""
    import asyncio

    from gateway.schedule.now import look

    seen = _seen(config, profile)
    there, lines = _timer(seen).standing()
    found = asyncio.run(look(seen.chosen, seen.folders))
    typer.echo("\n".join([*lines, *([_next(seen)] if there else []), _told(found)]))
    if not there:
        raise typer.Exit(3)


def _next(seen: Unattended) -> str:
    """When the timer asks next, and when the next hours for a night begin."""
    import time
    from datetime import datetime

    from gateway.schedule.window import hours, local, next_half_hour
    from gateway.schedule.zone import local_zone
    from gateway.settings import time_zone

    now, zone, night = time.time(), local_zone(time_zone()), seen.chosen.night
    line = f"It asks again at {local(next_half_hour(now, zone), zone)}"
    coming = hours(night.at, night.until).coming(now, zone)
    if coming is None:
        return line
    return f"{line}; the next hours for a night begin on {datetime.fromtimestamp(coming.begins, zone):%Y-%m-%d, %H:%M}"


def _told(found: Due | NotDue) -> str:
    from gateway.schedule.due import Due

    if isinstance(found, Due):
        return f"A night would begin now, and have {found.seconds / 3600:.1f} hours"
    return f"No night would begin now: {found.reason}"


def _seen(config: Path | None, profile: str) -> Unattended:
    from gateway.commands.unattended import unattended

    return unattended(config, profile)


def _teachable(config: Path | None, profile: str) -> Unattended:
    """Raises SettingsError where what the timer's nights will see is not enough for a night."""
    from gateway.errors import SettingsError
    from gateway.settings import check_servable

    seen = _seen(config, profile)
    if not check_servable(seen.chosen).student.model:
        raise SettingsError("a night trains a local student: set student.model, or there is nothing to schedule")
    return seen


def _timer(seen: Unattended) -> Timer:
    import platform

    from gateway.processes.unit import Job
    from gateway.schedule.timer import LOG, kind_here, make_timer

    job = Job(seen.command("night", "--scheduled"), seen.home, LOG)
    return make_timer(kind_here(platform.system()), job)
