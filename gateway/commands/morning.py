"""The arguments of `nightschool morning`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer


def morning(
    html: Annotated[Path | None, typer.Option(help="Write the report as a page into this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
    line: Annotated[bool, typer.Option("--line", help="Print one line alone, for a notification.")] = False,
    days: Annotated[int, typer.Option(min=2, max=366, help="Days that are looked back on, today included.")] = 14,
    config: Annotated[Path | None, typer.Option(help="Settings file; default ./nightschool.toml.")] = None,
) -> None:
    """Say what last night did and what it means: what came in, what was learnt, what serves, what to look at."""
    from rich.console import Console

    from gateway import settings
    from gateway.morning.running import Wish, run_morning

    chosen = settings.load(config)
    wish = Wish(days, line, as_json, html)
    asyncio.run(run_morning(settings.home(chosen), settings.gateway_url(chosen), wish, Console()))
