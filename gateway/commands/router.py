"""The arguments of `nightschool router`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

router = typer.Typer(help="What the router has learnt, and what the student has proven.", no_args_is_help=True)


@router.command("learn")
def learn(
    adapter: Annotated[str, typer.Option(help="An adapter of models/adapters; default: what serves now.")] = "",
    requests: Annotated[int, typer.Option(min=1, help="How many requests the student is asked again at most.")] = 1000,
    at_once: Annotated[int, typer.Option(min=1, help="Requests under way at the same time.")] = 4,
    config: Annotated[Path | None, typer.Option(help="Settings file; default ./nightschool.toml.")] = None,
    profile: Annotated[str, typer.Option(help="embedded, mac32, mac32-pair or remote.")] = "",
) -> None:
    """Ask the student again what the teacher answered; certify what it does no worse, or say what is missing."""
    from rich.console import Console

    from distill.routing.replaying import Limits
    from gateway import settings
    from gateway.learning import run_learning

    loaded = settings.load(config, profile)
    home = settings.make_home(settings.home(loaded))
    arguments = [*(["--config", str(config)] if config else []), *(["--profile", profile] if profile else [])]
    try:
        asyncio.run(run_learning(loaded, home, arguments, adapter, Limits(requests, at_once), Console()))
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on from here", err=True)
        raise typer.Exit(130) from None


@router.command("compare")
def compare(
    adapter: Annotated[str, typer.Argument(help="An adapter that `router learn --adapter` has asked.")],
    beside: Annotated[str, typer.Option("--with", help="Another; default: the base of the student.")] = "",
    config: Annotated[Path | None, typer.Option(help="Settings file; default ./nightschool.toml.")] = None,
) -> None:
    """Tell which of two students is worse than the teacher more rarely, by their drafts for the same requests."""
    from distill.routing.pairing import Pairs, paired
    from distill.store.store import TraceStore
    from gateway import settings
    from gateway.errors import StartError

    home = settings.home(settings.load(config))

    async def found() -> Pairs:
        async with await TraceStore.open_to_read(home.data / "traces.db") as store:
            return await paired(store, await store.watermark(), adapter, beside or "student")

    if not (home.data / "traces.db").exists():
        raise StartError(f"there are no traces in {home.data}")
    pairs = asyncio.run(found())
    if not pairs.requests:
        raise StartError("there is no request that both drafted: `nightschool router learn --adapter NAME` asks each")
    typer.echo(
        f"{pairs.requests} requests of {pairs.conversations} conversations were drafted by both. {adapter} was worse "
        f"than the teacher in {pairs.lost} where {beside or 'the base'} was not, and the other way round in "
        f"{pairs.won}: {pairs.verdict}."
    )
