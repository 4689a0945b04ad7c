"""`nightschool keys`: make, list and remove the keys of the gateway's clients. Owns arguments and what is printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from gateway.errors import SettingsError

keys = typer.Typer(help="The API keys of the gateway's clients: make, list and remove them.", no_args_is_help=True)

_RATE = re.compile(r"(\d+)(?:/min)?")

ConfigOption = Annotated[Path | None, typer.Option("--config", help="Settings file; default ./nightschool.toml.")]


@keys.command("add")
def add(
    name: Annotated[str, typer.Argument(help="The client's name, as traces tell it.")],
    config: ConfigOption = None,
    no_record: Annotated[bool, typer.Option("--no-record", help="Keep no traces of its requests.")] = False,
    no_teach: Annotated[bool, typer.Option("--no-teach", help="Never learn from its requests.")] = False,
    stays_here: Annotated[
        bool, typer.Option("--stays-here", help="Never show its requests to a model on another machine.")
    ] = False,
    rate: Annotated[str, typer.Option(help="Requests a minute, such as 60/min; 0: no limit.")] = "0",
    at_once: Annotated[int, typer.Option(min=0, help="Requests under way at a time; 0: no limit.")] = 0,
    model: Annotated[list[str] | None, typer.Option(help="A model it may ask for, with *; may be repeated.")] = None,
    cache: Annotated[
        bool, typer.Option("--cache", help="Answer its repeated requests from the cache, where they are deterministic.")
    ] = False,
) -> None:
    """Make a key and print it, once: only its SHA-256 is kept."""
    from gateway.access.keys import Client, Rights, add_key

    client = Client(
        name,
        Rights(record=not no_record, teach=not no_teach, may_leave_machine=not stays_here),
        rate=_a_minute(rate),
        at_once=at_once,
        models=tuple(model or ()),
        cache=cache,
    )
    secret = add_key(_file(config, make=True), client)
    typer.echo(f"The key of '{name}'. It is shown this once, and kept nowhere:", err=True)
    typer.echo(secret)


@keys.command("list")
def tell(config: ConfigOption = None) -> None:
    """The keys by name, with what they may do and their limits."""
    from rich.console import Console
    from rich.table import Table

    from gateway.access.keys import read_keys

    table = Table("name", "made", "may not", "a minute", "at once", "models", "cache")
    for key in read_keys(_file(config)):
        rights = {"record": key.rights.record, "teach": key.rights.teach, "leave": key.rights.may_leave_machine}
        denied = ", ".join(right for right, granted in rights.items() if not granted)
        limits = (str(key.rate or ""), str(key.at_once or ""))
        models, cache = ", ".join(key.models) or "all", "yes" if key.cache else ""
        table.add_row(key.name, key.created, denied, *limits, models, cache)
    Console().print(table)


@keys.command("remove")
def remove(name: Annotated[str, typer.Argument(help="The client's name.")], config: ConfigOption = None) -> None:
    """Take a key away; a running gateway refuses it within a second."""
    from gateway.access.keys import remove_key

    if not remove_key(_file(config, make=True), name):
        typer.echo("No keys are left: a gateway on this machine's own address is open to its programs.", err=True)


def _a_minute(rate: str) -> int:
    found = _RATE.fullmatch(rate)
    if found is None:
        raise SettingsError(f"--rate is requests a minute, such as 60/min, not '{rate}'")
    return int(found[1])


def _file(config: Path | None, *, make: bool = False) -> Path:
    """Where the gateway with these settings keeps its keys."""
    from gateway import settings

    home = settings.home(settings.load(config))
    return settings.keys_file(settings.make_home(home) if make else home)
