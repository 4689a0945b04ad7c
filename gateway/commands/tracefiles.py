"""`nightschool traces export`, `import` and `take`, and `dataset explain`. Owns arguments and what is printed."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from gateway.commands.traces import ConfigOption, home_of, read_store, traces
from gateway.errors import SettingsError, StartError

if TYPE_CHECKING:
    from distill.filters import Explanation
    from distill.store.store import TraceStore

dataset = typer.Typer(help="What nights learn from.", no_args_is_help=True)


@traces.command("export")
def export(
    config: ConfigOption = None,
    form: Annotated[str, typer.Option("--format", help="traces, openai, trl or plan.")] = "traces",
    out: Annotated[Path | None, typer.Option(help="The new file; default: standard output.")] = None,
) -> None:
    """Write all traces as lines of JSON: one a trace, or one a conversation for training elsewhere."""
    from gateway.transfers import WRITERS, lines_of

    if form not in WRITERS:
        raise SettingsError(f"there is no format '{form}'; there are {', '.join(WRITERS)}")

    async def write(store: TraceStore, file: BinaryIO) -> int:
        count = 0
        async for line in lines_of(store, form):
            file.write(line)
            count += 1
        return count

    if out is None:
        read_store(config, lambda store: write(store, sys.stdout.buffer))
        return
    with _new_file(out) as file:
        count = read_store(config, lambda store: write(store, file))
    typer.echo(f"{out} holds {count} lines")


@traces.command("import")
def take_in(
    source: Annotated[Path, typer.Argument(help="A file, or the folder where an agent keeps its sessions.")],
    config: ConfigOption = None,
    form: Annotated[str, typer.Option("--format", help="What it is; default: found out.")] = "",
) -> None:
    """Read traces, training files or the transcripts of agents. Nothing of it is learnt before `traces take`."""
    from distill.formats import find
    from gateway.transfers import Imported
    from gateway.transfers import take_in as read

    if form and form not in find.FORMATS:
        raise SettingsError(f"there is no format '{form}'; there are {', '.join(find.FORMATS)}")
    if not source.exists():
        raise SettingsError(f"there is no '{source}'")

    def tell(done: Imported) -> None:
        if sys.stderr.isatty():
            typer.echo(f"\r{done.read:,} traces", err=True, nl=False)

    try:
        done = asyncio.run(read(source, form, home_of(config, make=True).data, tell))
    except sqlite3.Error as error:
        raise StartError(f"the trace store cannot take them: {error}; try again") from error
    for bad in done.shown:
        typer.echo(f"{bad.file}, line {bad.line}: {bad.reason}", err=True)
    if done.bad > len(done.shown):
        typer.echo(f"and {done.bad - len(done.shown)} more lines", err=True)
    typer.echo(f"{done.read} traces were read, {done.new} of them new; {done.bad} lines were left out")


@traces.command("take")
def take(
    trace_ids: Annotated[list[str] | None, typer.Argument(help="Ids of traces.")] = None,
    config: ConfigOption = None,
    conversation: Annotated[str, typer.Option(help="All of this conversation.")] = "",
    imported: Annotated[str, typer.Option(help="All that were imported from this format.")] = "",
    may_leave_machine: Annotated[
        bool | None,
        typer.Option(
            "--may-leave-machine/--stays-here",
            help="Whether models on other machines may be shown them; default: as before, and imports stay here.",
        ),
    ] = None,
) -> None:
    """Let nights learn from traces that were imported, or recorded with a key that may not teach."""
    from distill.store.listing import Wanted
    from distill.store.store import TraceStore as Store

    if not (trace_ids or conversation or imported):
        raise SettingsError("say which: ids of traces, --conversation or --imported")

    async def let(path: Path) -> int:
        async with await Store.open(path) as store:
            names = list(trace_ids or [])
            if conversation or imported:
                wanted = Wanted(conversation=conversation, client=f"import:{imported}" if imported else None)
                names += [found.id for found in await store.listed(wanted, 2**31)]
            if may_leave_machine is not None:
                await store.let_leave(names, may_leave_machine)
            return await store.let_teach(names)

    path = home_of(config).data / "traces.db"
    if not path.exists():
        raise StartError(f"there are no traces yet in {path.parent}")
    typer.echo(f"{asyncio.run(let(path))} more traces may be learnt from")


@dataset.command("explain")
def explain(
    trace_id: Annotated[str, typer.Argument(help="A trace's id, or an answer's as the client saw it.")],
    config: ConfigOption = None,
) -> None:
    """Say why a trace's conversation is learnt from or not: every check with what it found."""
    from distill.collecting import Collector
    from distill.facts import Cache
    from distill.filters import Rules
    from distill.filters import explain as explained
    from distill.generate.answers import Answers
    from gateway import nightly, settings

    chosen = settings.load(config)
    home = settings.home(chosen)
    rules = Rules(confirm=chosen.night.confirm)
    reserved = nightly.reserved_by(nightly.examination_named(chosen.night.examination))
    shared = settings.shared
    kept = Cache.of_data(home.data)
    answers = Answers.from_folder(shared("data", "questions"), shared("data", "vocabularies"), kept.facts)

    async def look(store: TraceStore) -> Explanation:
        trace = await store.get(trace_id)
        if trace is None:
            raise SettingsError(f"there is no trace '{trace_id}'; nightschool traces list shows the newest")
        found = await store.conversation(trace.conversation, trace.client)
        files = nightly.snapshots(chosen, home)
        collector = Collector(store, home.data, rules, reserved, files, chosen.night.judge, answers)
        told = await collector.told(found)
        return explained(found, told)

    from gateway.commands.explaining import print_explanation

    print_explanation(read_store(config, look))


def _new_file(path: Path) -> BinaryIO:
    """A file that was not there, for its owner's eyes only."""
    try:
        path.touch(mode=0o600, exist_ok=False)
    except FileExistsError as error:
        raise SettingsError(f"{path} is there already: choose another name") from error
    return path.open("wb")
