"""The arguments of `nightschool why`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer


def why(
    trace: Annotated[str, typer.Argument(help="The trace, as x-nightschool-trace names it.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    config: Annotated[Path | None, typer.Option(help="Settings file; default ./nightschool.toml.")] = None,
) -> None:
    """Tell why a request was answered by whom it was, with the numbers, and decide it once more."""
    import msgspec

    from distill.store.store import TraceStore
    from distill.trace import Trace
    from gateway import settings
    from gateway.answering.routing import Routing
    from gateway.errors import StartError
    from gateway.why import why as explain

    home = settings.home(settings.load(config))

    async def found() -> Trace | None:
        async with await TraceStore.open_to_read(home.data / "traces.db") as store:
            return await store.get(trace)

    if not (home.data / "traces.db").exists():
        raise StartError(f"there are no traces in {home.data}")
    one = asyncio.run(found())
    if one is None:
        raise StartError(f"there is no trace '{trace}'; `nightschool traces list` shows the newest")
    told = explain(one, Routing(home).gates)
    if as_json:
        typer.echo(msgspec.json.encode({"decision": one.decision, **msgspec.to_builtins(told)}).decode())
    else:
        typer.echo("\n".join(told.said))
