"""The arguments of `nightschool exam`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer


def exam(
    name: Annotated[str, typer.Argument(help="An examination: its name, or a path.")] = "quick",
    arm: Annotated[list[str] | None, typer.Option(help="LABEL=MODEL@URL, or LABEL=MODEL behind the gateway.")] = None,
    teacher: Annotated[list[str] | None, typer.Option(help="A candidate teacher, written as an arm.")] = None,
    adapter: Annotated[str, typer.Option(help="An adapter of models/adapters; default: the live one.")] = "",
    prompt: Annotated[str, typer.Option(help="What prompt-only is told: a name, or a .toml file.")] = "plan-then-act",
    key: Annotated[list[str] | None, typer.Option(help="LABEL=VARIABLE: an arm's key is in this variable.")] = None,
    at_once: Annotated[int, typer.Option(min=1, help="Questions that an arm is asked at the same time.")] = 4,
    timed: Annotated[int, typer.Option(min=0, help="Questions asked alone first: seconds are those of them.")] = 60,
    max_tokens: Annotated[int, typer.Option(min=0, help="Of one turn; 0: as the examination says.")] = 0,
    seconds: Annotated[float, typer.Option(min=0.1, help="Seconds that one request may take.")] = 300.0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Ask everything again, whatever was answered before.")] = False,
    config: Annotated[Path | None, typer.Option(help="Settings file; default ./nightschool.toml.")] = None,
    profile: Annotated[str, typer.Option(help="embedded, mac32, mac32-pair or remote.")] = "",
) -> None:
    """Put an examination to any models side by side; ends with tables, result.json and report.html."""
    from rich.console import Console

    from distill.examination.arms import parse_arm
    from gateway import settings
    from gateway.errors import SettingsError
    from gateway.exam.running import Wish, run_exam

    keys = [one.partition("=") for one in key or ()]
    if wrong := next(("".join(one) for one in keys if not one[0] or not one[2]), ""):
        raise SettingsError(f"--key {wrong} makes no sense: write LABEL=VARIABLE")
    wish = Wish(
        examination=name,
        arms=[*(parse_arm(one) for one in arm or ()), *(parse_arm(one, "teacher") for one in teacher or ())],
        adapter=adapter,
        prompt=prompt,
        keys={label: variable for label, _, variable in keys},
        at_once=at_once,
        timed=timed,
        max_tokens=max_tokens,
        seconds=seconds,
        fresh=fresh,
    )
    loaded = settings.load(config, profile)
    home = settings.make_home(settings.home(loaded))
    arguments = [*(["--config", str(config)] if config else []), *(["--profile", profile] if profile else [])]
    try:
        result = asyncio.run(run_exam(wish, loaded, home, arguments, Console()))
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on from here", err=True)
        raise typer.Exit(130) from None
    if not any(one.scored for one in result.arms):
        raise typer.Exit(1)
