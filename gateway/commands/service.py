"""The arguments of `nightschool service`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gateway.processes.unit import Unit

service = typer.Typer(help="The gateway as a service of your own session, without root.", no_args_is_help=True)

ConfigOption = Annotated[Path | None, typer.Option("--config", help="Settings file; default ./nightschool.toml.")]
ProfileOption = Annotated[str, typer.Option("--profile", help="embedded, mac32, mac32-pair or remote.")]
PortOption = Annotated[int, typer.Option("--port", help="Port to listen on; default: that of the settings.")]


@service.command()
def install(config: ConfigOption = None, profile: ProfileOption = "", port: PortOption = 0) -> None:
    """Write the service's file and start it, now and at every login."""
    from gateway.processes import unit as units

    made, home, lines = _unit(config, profile, port)
    typer.echo("\n".join([*units.install(made, home), *lines]))


@service.command()
def remove() -> None:
    """Stop the service and take its file away."""
    from gateway.processes import unit as units

    typer.echo("\n".join(units.remove(_unit(None, "", 0, servable=False)[0])))


@service.command()
def show(config: ConfigOption = None, profile: ProfileOption = "", port: PortOption = 0) -> None:
    """Print the file that would be written."""
    made, _, _ = _unit(config, profile, port)
    typer.echo(f"# {made.path}", err=True)
    typer.echo(made.content, nl=False)


@service.command()
def status() -> None:
    """Say whether the service is installed and runs. Exit code 3 if it does not run."""
    from gateway.processes import unit as units

    running, lines = units.standing(_unit(None, "", 0, servable=False)[0])
    typer.echo("\n".join(lines))
    if not running:
        raise typer.Exit(3)


def _unit(config: Path | None, profile: str, port: int, *, servable: bool = True) -> tuple[Unit, Path, list[str]]:
    """The unit for these options, the home it runs in, and what a person should still know.

    What it will see is what counts, so nothing of the present environment is taken but the home and the settings file.
    Raises SettingsError where that is not enough for a gateway.
    """
    import platform
    import sys

    from gateway import settings
    from gateway.processes.unit import make_unit

    file = settings.file_in_effect(config)
    overrides = {"gateway": {"port": port}} if port else None
    home = settings.home(settings.load(file)).data.parent
    chosen = settings.load(file, profile, environment={}, overrides=overrides)
    if servable:
        settings.check_servable(chosen)
    command = [sys.executable, "-m", "gateway.cli", "serve"]
    for option, value in (("--config", file), ("--profile", profile), ("--port", port)):
        command += [option, str(value)] if value else []
    keys = sorted(
        {backend.api_key_env for backend in (chosen.student, chosen.teacher, *chosen.teachers.values())} - {""}
    )
    lines = [f"Your shell's variables are not there: give it {key} as docs/commands.md says" for key in keys]
    return make_unit(platform.system(), command, home), home, lines
