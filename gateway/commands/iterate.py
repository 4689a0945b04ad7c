"""The arguments of `nightschool mve`, `nightschool scale` and `nightschool refine`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

RepoOption = Annotated[
    list[str], typer.Option("--repo", help="A folder, or an installed package; again for more. NAME=FOLDER names it.")
]
TotalOption = Annotated[int, typer.Option("--total", min=1, help="How many questions the teacher answers.")]
ConcurrencyOption = Annotated[int, typer.Option("--concurrency", min=1, max=256, help="Questions at the same time.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Draws the questions.")]
FailuresOption = Annotated[
    Path | None,
    typer.Option("--for-failures", help="The examination's folder; default: the newest of the nights', or a new one."),
]
TokensOption = Annotated[
    int, typer.Option("--max-tokens", min=0, help="Of one turn in the examination; 0: as it says.")
]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="Settings file; default ./nightschool.toml.")]
ProfileOption = Annotated[str, typer.Option("--profile", help="embedded, mac32, mac32-pair or remote.")]


def mve(
    repo: RepoOption,
    total: TotalOption = 1000,
    concurrency: ConcurrencyOption = 16,
    seed: SeedOption = 1,
    max_tokens: TokensOption = 0,
    config: ConfigOption = None,
    profile: ProfileOption = "",
) -> None:
    """The minimal viable experiment: a thousand examples, a night, five tasks, and whether to scale up or to pivot."""
    _iterate("mve", repo, total, concurrency, seed, max_tokens, None, config, profile)


def scale(
    repo: RepoOption,
    total: TotalOption = 10_000,
    concurrency: ConcurrencyOption = 16,
    seed: SeedOption = 1,
    max_tokens: TokensOption = 0,
    config: ConfigOption = None,
    profile: ProfileOption = "",
) -> None:
    """The second iteration: ten thousand examples, a night, the twelve autonomous tasks, and what follows."""
    _iterate("scale", repo, total, concurrency, seed, max_tokens, None, config, profile)


def refine(
    repo: RepoOption,
    total: TotalOption = 1000,
    concurrency: ConcurrencyOption = 16,
    seed: SeedOption = 1,
    max_tokens: TokensOption = 0,
    for_failures: FailuresOption = None,
    config: ConfigOption = None,
    profile: ProfileOption = "",
) -> None:
    """The third iteration: examples of the kinds that failed, a night, the twelve tasks again, and what follows."""
    _iterate("refine", repo, total, concurrency, seed, max_tokens, for_failures, config, profile)


def _iterate(
    name: str,
    repositories: list[str],
    total: int,
    concurrency: int,
    seed: int,
    max_tokens: int,
    failures: Path | None,
    config: Path | None,
    profile: str,
) -> None:
    from rich.console import Console

    from gateway import settings
    from gateway.generating import Order
    from gateway.iterations.running import run_iteration
    from gateway.iterations.steps import ITERATIONS

    chosen = settings.check_servable(settings.load(config, profile))
    home = settings.make_home(settings.home(chosen))
    arguments = [*(["--config", str(config)] if config else []), *(["--profile", profile] if profile else [])]
    order = Order(
        repositories=repositories,
        total=total,
        seed=seed,
        at_once=concurrency,
        samples=1,
        max_calls=6,
        max_tokens=2048,
        seconds=300.0,
        minutes=0.0,
        until="",
        max_cost=0.0,
        dry_run=False,
        failures=failures,
        url="",
        model="teacher",
        api_key="",
    )
    iteration = next(one for one in ITERATIONS.values() if one.name == name)
    try:
        asyncio.run(run_iteration(iteration, order, max_tokens, chosen, home, arguments, Console()))
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on from here", err=True)
        raise typer.Exit(130) from None
