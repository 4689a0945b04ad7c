"""The arguments of `nightschool launch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def launch(
    agent: Annotated[str, typer.Argument(help="An agent's name; --list shows them.")] = "",
    args: Annotated[list[str] | None, typer.Argument(help="After `--`: the agent's own arguments.")] = None,
    url: Annotated[str, typer.Option(help="The gateway's address; default: that of the settings.")] = "",
    model: Annotated[str, typer.Option(help="The model to ask for.")] = "nightschool",
    key_env: Annotated[str, typer.Option(help="The environment variable that holds a key of the gateway.")] = "",
    config: Annotated[Path | None, typer.Option(help="Settings file; default ./nightschool.toml.")] = None,
    show: Annotated[bool, typer.Option("--print", help="Print environment and command instead.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the agents.")] = False,
) -> None:
    """Start an agent on the running gateway. Nothing of yours is changed: the agent alone gets other settings."""
    from rich.console import Console

    from gateway import settings
    from gateway.agents import launch as launching
    from gateway.agents import records as agents
    from gateway.agents.presence import address
    from gateway.errors import SettingsError

    if listed:
        launching.tell_agents(Console())
        return
    if not agent:
        raise SettingsError("name an agent: 'nightschool launch --list' shows them")
    where = address(url or settings.gateway_url(settings.load(config)))
    planned = agents.plan(agent, where, model, args or [])
    if show:
        typer.echo(agents.as_shell(planned, launching.DUMMY_KEY, key_env))
        return
    key = settings.api_key(key_env) or launching.DUMMY_KEY
    launching.start(agents.agent(agent), planned, where, key)
