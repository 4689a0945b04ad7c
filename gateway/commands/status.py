"""The arguments of `nightschool status`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Again every two seconds, until Ctrl-C.")] = False,
    url: Annotated[str, typer.Option(help="The gateway's address; default: that of the settings.")] = "",
    config: Annotated[Path | None, typer.Option(help="Settings file; default ./nightschool.toml.")] = None,
) -> None:
    """Say what serves now, what today brought and how the last night ended. Exit code 3 if no gateway is up."""
    from rich.console import Console

    from gateway import settings
    from gateway.agents.presence import address
    from gateway.watching.status import DOWN, tell_status

    chosen = settings.load(config)
    asked = address(url or settings.gateway_url(chosen))
    telling = tell_status(asked, settings.home(chosen), Console(), as_json=as_json, watch=watch)
    try:
        up = asyncio.run(telling)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if not up:
        raise typer.Exit(DOWN)
