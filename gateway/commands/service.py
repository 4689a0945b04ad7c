"""The arguments of `nightschool service`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gateway.commands.unattended import Unattended
    from gateway.processes.unit import Unit

service = typer.Typer(help="The gateway as a service of your own session, without root.", no_args_is_help=True)

ConfigOption = Annotated[Path | None, typer.Option("--config", help="Settings file; default ./nightschool.toml.")]
ProfileOption = Annotated[str, typer.Option("--profile", help="embedded, mac32, mac32-pair or remote.")]
PortOption = Annotated[int, typer.Option("--port", help="Port to listen on; default: that of the settings.")]


@service.command()
def install(config: ConfigOption = None, profile: ProfileOption = "", port: PortOption = 0) -> None:
    """Write the service's file and start it, now and at every login."""
    seen = _servable(config, profile, port)
    typer.echo("\n".join([*_unit(seen, port).install(), *seen.lacking]))


@service.command()
def remove() -> None:
    """Stop the service and take its file away."""
    typer.echo("\n".join(_unit(_seen(None, "", 0), 0).remove()))


@service.command()
def show(config: ConfigOption = None, profile: ProfileOption = "", port: PortOption = 0) -> None:
    """Print the file that would be written."""
    for place, content in _unit(_servable(config, profile, port), port).shown():
        typer.echo(f"# {place}", err=True)
        typer.echo(content, nl=False)


@service.command()
def status() -> None:
    """Say whether the service is installed and runs. Exit code 3 if it does not run."""
    running, lines = _unit(_seen(None, "", 0), 0).standing()
    typer.echo("\n".join(lines))
    if not running:
        raise typer.Exit(3)


def _seen(config: Path | None, profile: str, port: int) -> Unattended:
    from gateway.commands.unattended import unattended

    return unattended(config, profile, {"gateway": {"port": port}} if port else None)


def _servable(config: Path | None, profile: str, port: int) -> Unattended:
    """Raises SettingsError where what the service will see is not enough for a gateway."""
    from gateway.settings import check_servable

    seen = _seen(config, profile, port)
    check_servable(seen.chosen)
    return seen


def _unit(seen: Unattended, port: int) -> Unit:
    import platform

    from gateway.processes.service import service_unit

    command = [*seen.command("serve"), *(["--port", str(port)] if port else [])]
    return service_unit(platform.system(), command, seen.home)
