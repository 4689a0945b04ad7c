"""The arguments of `nightschool generate`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer


def generate(
    repo: Annotated[
        list[str],
        typer.Option("--repo", help="A folder, or an installed package; again for more. NAME=FOLDER names it."),
    ],
    total: Annotated[int, typer.Option(min=1, help="How many questions altogether.")] = 8000,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Questions asked at the same time.")] = 16,
    samples: Annotated[int, typer.Option(min=1, max=16, help="Answers of each; the shortest right one is kept.")] = 1,
    seed: Annotated[int, typer.Option(help="Draws the questions.")] = 1,
    minutes: Annotated[float, typer.Option(min=0, help="Stop after so many; 0: when all are asked.")] = 0,
    until: Annotated[str, typer.Option(help="Stop at HH:MM, today or tomorrow.")] = "",
    max_cost: Annotated[float, typer.Option(min=0, help="Stop once the set has cost as much; 0: no limit.")] = 0,
    max_calls: Annotated[int, typer.Option(min=1, help="Tool calls of one answer at most.")] = 6,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens of one turn at most.")] = 2048,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that a turn may take.")] = 300,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Draw the questions, ask none; tell time and cost.")
    ] = False,
    for_failures: Annotated[
        Path | None, typer.Option(help="Ask what an examination's student failed at: its folder, or result.json.")
    ] = None,
    student: Annotated[
        str, typer.Option(help="Let this model try first; the teacher goes on from where it went wrong.")
    ] = "",
    url: Annotated[str, typer.Option(help="The gateway's address; default: that of the settings.")] = "",
    model: Annotated[str, typer.Option(help="The model to ask for.")] = "teacher",
    api_key_env: Annotated[str, typer.Option(help="The environment variable with the key that is sent.")] = "",
    config: Annotated[Path | None, typer.Option("--config", help="Settings file; default ./nightschool.toml.")] = None,
) -> None:
    """Have the teacher answer questions about your code, check every answer, and keep what is right for the night."""
    from rich.console import Console

    from gateway import settings
    from gateway.agents.presence import address
    from gateway.generating import Order, run_generate

    chosen = settings.load(config)
    order = Order(
        repositories=repo,
        total=total,
        seed=seed,
        at_once=concurrency,
        samples=samples,
        max_calls=max_calls,
        max_tokens=max_tokens,
        seconds=timeout,
        minutes=minutes,
        until=until,
        max_cost=max_cost,
        dry_run=dry_run,
        failures=for_failures,
        student=student,
        url=address(url or settings.gateway_url(chosen)),
        model=model,
        api_key=settings.api_key(api_key_env),
    )
    home = settings.make_home(settings.home(chosen))
    try:
        asyncio.run(run_generate(chosen, home, order, Console()))
    except KeyboardInterrupt:
        sys.exit(130)
