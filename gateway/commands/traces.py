"""`nightschool traces`: see, search, check, copy and forget what was recorded. Owns arguments and what is printed."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
import typer

from gateway.errors import SettingsError, StartError

if TYPE_CHECKING:
    from distill.store.listing import Wanted
    from distill.store.store import TraceStore
    from gateway.settings import Home

traces = typer.Typer(help="What was recorded: list, show, search, check, copy, forget.", no_args_is_help=True)

T = TypeVar("T")

_UNITS = {"m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_LOOK_AGAIN = 0.5  # seconds between two looks of `follow`

ConfigOption = Annotated[Path | None, typer.Option("--config", help="Settings file; default ./nightschool.toml.")]
ArmOption = Annotated[str, typer.Option(help="Only those that this arm answered: student or teacher.")]
StateOption = Annotated[str, typer.Option(help="Only completed, failed or aborted ones.")]
ClientOption = Annotated[str | None, typer.Option(help="Only those of this client's key.")]
ConversationOption = Annotated[str, typer.Option(help="Only those of this conversation.")]
SinceOption = Annotated[str, typer.Option(help="Only those of the last 30m, 12h, 7d or 2w.")]
LimitOption = Annotated[int, typer.Option(min=1, help="How many at most.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")]


@traces.command("list")
def tell(
    config: ConfigOption = None,
    arm: ArmOption = "",
    state: StateOption = "",
    client: ClientOption = None,
    conversation: ConversationOption = "",
    since: SinceOption = "",
    limit: LimitOption = 20,
    as_json: JsonOption = False,
) -> None:
    """The newest traces, newest first."""
    from distill.store.listing import Wanted
    from gateway.commands.tracetables import print_summaries

    wanted = Wanted(arm=arm, state=state, client=client, conversation=conversation, since=_moment(since))
    print_summaries(read_store(config, lambda store: store.listed(wanted, limit)), as_json=as_json)


@traces.command("search")
def search(
    words: Annotated[
        str, typer.Argument(help='Words that all stand in it; "in quotes": together; a word may end in *.')
    ],
    config: ConfigOption = None,
    arm: ArmOption = "",
    client: ClientOption = None,
    conversation: ConversationOption = "",
    since: SinceOption = "",
    limit: LimitOption = 20,
    as_json: JsonOption = False,
) -> None:
    """The newest traces that brought a message with these words."""
    from distill.store.listing import Wanted
    from gateway.commands.tracetables import print_summaries

    wanted = Wanted(arm=arm, client=client, conversation=conversation, since=_moment(since))
    print_summaries(read_store(config, lambda store: store.search(words, wanted, limit)), as_json=as_json)


@traces.command("show")
def show(
    trace_id: Annotated[str, typer.Argument(help="A trace's id, or an answer's as the client saw it.")],
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="The trace as it is kept, as JSON.")] = False,
) -> None:
    """A trace: the conversation, who answered and why, what became of it."""
    from gateway.commands.tracetables import print_trace

    async def find(store: TraceStore) -> None:
        found = await store.get(trace_id)
        if found is None:
            raise SettingsError(f"there is no trace '{trace_id}'; nightschool traces list shows the newest")
        if as_json:
            typer.echo(msgspec.json.encode(found).decode())
        else:
            print_trace(found, await store.outcomes([found.id]))

    read_store(config, find)


@traces.command("follow")
def follow(config: ConfigOption = None, arm: ArmOption = "", client: ClientOption = None) -> None:
    """Traces as they come, until Ctrl-C."""
    from distill.store.listing import Wanted
    from gateway.commands.tracetables import line_of

    wanted = Wanted(arm=arm, client=client)

    async def look(store: TraceStore) -> None:
        last = await store.watermark()
        while True:
            for found in reversed(await store.listed(_after(wanted, last), 1000)):
                last = found.seq
                typer.echo(line_of(found))
            await asyncio.sleep(_LOOK_AGAIN)

    try:
        read_store(config, look)
    except KeyboardInterrupt:
        sys.exit(130)


@traces.command("stats")
def stats(
    config: ConfigOption = None,
    days: Annotated[int, typer.Option(min=1, help="How many days, today included (UTC).")] = 30,
    as_json: JsonOption = False,
) -> None:
    """How many traces there are, by day, arm and reason; seconds and tokens."""
    from gateway.commands.tracetables import print_sums

    first = int(time.time() // 86400) - days + 1

    async def count(store: TraceStore) -> None:
        print_sums(await store.sums(first), await store.size(), as_json=as_json)

    read_store(config, count)


@traces.command("verify")
def verify(config: ConfigOption = None) -> None:
    """Check the store: the file, its links, every text by its digest. Exit code 1 if something is wrong."""

    async def check(store: TraceStore) -> int:
        count = 0
        async for fault in store.faults():
            typer.echo(fault, err=True)
            count += 1
        return count

    found = read_store(config, check)
    typer.echo(f"{found} faults were found" if found else "the store is whole")
    if found:
        raise typer.Exit(1)


@traces.command("backup")
def backup(
    target: Annotated[Path, typer.Argument(help="The new file.")],
    config: ConfigOption = None,
) -> None:
    """Copy the store into a file, also while the gateway runs."""
    made = read_store(config, lambda store: store.backup(target.resolve()))
    typer.echo(f"{made} is a copy of the store, for its owner's eyes only")


@traces.command("forget")
def forget(
    trace_ids: Annotated[
        list[str] | None, typer.Argument(help="Ids of traces, or of answers as clients saw them.")
    ] = None,
    config: ConfigOption = None,
    conversation: Annotated[str, typer.Option(help="All of this conversation.")] = "",
    client: Annotated[str | None, typer.Option(help="All of this client.")] = None,
    older_than: Annotated[str, typer.Option(help="All that are older than 30d, 12w or the like.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Forget traces and those that go on from them, wherever they are kept; tells the adapters that saw them."""
    from distill.store.listing import Wanted
    from gateway.forgetting import chosen, forget_all

    home = home_of(config)
    until = time.time() - _seconds(older_than) if older_than else None
    wanted = Wanted(conversation=conversation, client=client, until=until)
    names = read_store(config, lambda store: chosen(store, home.data, trace_ids or [], wanted))
    if not names:
        raise SettingsError("there are no such traces")
    if not yes and not typer.confirm(f"Forget {len(names)} traces for good?"):
        raise typer.Exit(1)
    done = asyncio.run(forget_all(_settings_url(config), home, names))
    typer.echo(f"{done.traces} traces are forgotten")
    for name, count in done.adapters.items():
        typer.echo(f"the adapter {name} learnt from {count} of them: the next night makes another without them")


def home_of(config: Path | None, *, make: bool = False) -> Home:
    """The state folders; made, where `make` says so."""
    from gateway import settings

    home = settings.home(settings.load(config))
    return settings.make_home(home) if make else home


def _settings_url(config: Path | None) -> str:
    from gateway import settings

    return settings.gateway_url(settings.load(config))


def read_store(config: Path | None, work: Callable[[TraceStore], Awaitable[T]]) -> T:
    """Do something with the store, which is only read. Raises StartError where there is none."""
    return asyncio.run(_reading(home_of(config).data / "traces.db", work))


async def _reading(path: Path, work: Callable[[TraceStore], Awaitable[T]]) -> T:
    async with _opened(path) as store:
        return await work(store)


@asynccontextmanager
async def _opened(path: Path) -> AsyncIterator[TraceStore]:
    import sqlite3

    from distill.store.store import TraceStore

    if not _is_there(path):
        raise StartError(f"there are no traces yet in {path.parent}: they come with the first request")
    try:
        async with await TraceStore.open_to_read(path) as store:
            yield store
    except sqlite3.Error as error:
        raise StartError(f"the trace store {path} cannot be read: {error}") from error


def _is_there(path: Path) -> bool:
    return path.exists()


def _after(wanted: Wanted, last: int) -> Wanted:
    return msgspec.structs.replace(wanted, after=last)


def _moment(since: str) -> float | None:
    return time.time() - _seconds(since) if since else None


def _seconds(text: str) -> float:
    """30m, 12h, 7d or 2w in seconds. Raises SettingsError."""
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not number.replace(".", "", 1).isdigit():
        raise SettingsError(f"'{text}' is no time: say 30m, 12h, 7d or 2w")
    return float(number) * _UNITS[unit]
