"""The command `nightschool`. Owns arguments and how an error is told; each command's work is imported when it runs."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer

from gateway.commands.adapters import adapters
from gateway.commands.exam import exam
from gateway.commands.experiment import experiment
from gateway.commands.generate import generate
from gateway.commands.handles import pause_learning, pin, resume_learning, rollback, trust
from gateway.commands.iterate import mve, refine, scale
from gateway.commands.keys import keys
from gateway.commands.launch import launch
from gateway.commands.morning import morning
from gateway.commands.night import night
from gateway.commands.router import router
from gateway.commands.schedule import schedule
from gateway.commands.service import service
from gateway.commands.status import status
from gateway.commands.tracefiles import dataset
from gateway.commands.traces import traces
from gateway.commands.train import train
from gateway.commands.why import why
from gateway.sections import Settings

app = typer.Typer(
    help="A local gateway whose small model learns at night from the big one that teaches it by day.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

models = typer.Typer(help="What models there are; fetch one, or convert one.", no_args_is_help=True)
app.add_typer(models, name="models")
app.add_typer(adapters, name="adapters")
app.add_typer(keys, name="keys")
app.add_typer(traces, name="traces")
app.add_typer(dataset, name="dataset")
app.add_typer(service, name="service")
app.add_typer(schedule, name="schedule")
app.add_typer(router, name="router")
app.add_typer(experiment, name="experiment")
app.command()(launch)
app.command()(status)
app.command()(exam)
app.command()(generate)
app.command()(morning)
app.command()(mve)
app.command()(night)
app.command()(refine)
app.command()(scale)
app.command()(train)
app.command()(why)
app.command()(rollback)
app.command()(pin)
app.command()(pause_learning)
app.command()(resume_learning)
app.command()(trust)

_HOST = "127.0.0.1"

ConfigOption = Annotated[Path | None, typer.Option("--config", help="Settings file; default ./nightschool.toml.")]
ProfileOption = Annotated[str, typer.Option("--profile", help="embedded, mac32, mac32-pair or remote.")]
ParentOption = Annotated[int, typer.Option("--parent", help="Leave when this process is gone.", hidden=True)]


@app.command()
def serve(
    config: ConfigOption = None,
    profile: ProfileOption = "",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 0,
    server: Annotated[str, typer.Option(help="uvicorn or granian.")] = "",
    parent: ParentOption = 0,
) -> None:
    """Run the gateway: one OpenAI-compatible endpoint for student and teacher."""
    from gateway import settings

    given = {key: value for key, value in {"host": host, "port": port, "server": server}.items() if value}

    def read() -> Settings:
        return settings.check_servable(settings.load(config, profile, overrides={"gateway": given}))

    chosen = read()
    from gateway.app import serve as run  # after the settings, so that what is wrong with them is told at once
    from gateway.processes.parent import follow
    from gateway.service import Gateway
    from gateway.watching import logs

    gateway = Gateway(chosen, settings.make_home(settings.home(chosen)), read)
    if parent:
        follow(parent, lambda: os.kill(os.getpid(), signal.SIGTERM))
    form = logs.configure_gateway(chosen.gateway)
    _serve(run(gateway, _announce_json if form == "json" else _announce))


@app.command()
def engine(
    model: Annotated[str, typer.Option(help="A name of the catalogue or under models/, or a folder.")],
    adapter: Annotated[Path | None, typer.Option(help="An adapter folder to load at start.")] = None,
    socket: Annotated[Path | None, typer.Option(help="Listen on this Unix socket, and nowhere else.")] = None,
    host: Annotated[str, typer.Option(help="Listen on this address; others than this machine's want a key.")] = _HOST,
    port: Annotated[int, typer.Option(help="Listen on this port.")] = 8901,
    api_key_env: Annotated[str, typer.Option(help="The environment variable with the key that callers send.")] = "",
    home: Annotated[Path | None, typer.Option(help="Where data/ and models/ are; default as for serve.")] = None,
    threads: Annotated[int, typer.Option(help="Threads of the BLAS on a CPU; 0: one for each core.")] = 0,
    speculate: Annotated[
        bool, typer.Option(help="On a CPU, guess tokens from the text so far and check them together.")
    ] = True,
    batch: Annotated[int, typer.Option(help="Requests decoded together; the weights are read once for all.")] = 16,
    queue: Annotated[int, typer.Option(help="Requests that may wait; further ones get 503 and Retry-After.")] = 64,
    prefill_step: Annotated[int, typer.Option(help="Prompt tokens computed in one piece at most.")] = 256,
    memory_gb: Annotated[float | None, typer.Option(help="Memory to use; default: what the machine allows.")] = None,
    cache_gb: Annotated[float, typer.Option(help="Memory of that for prompts kept for the next turn.")] = 1.0,
    max_kv_size: Annotated[
        int | None, typer.Option(help="Tokens of context kept for each request: less memory, older text forgotten.")
    ] = None,
    prefix_disk_gb: Annotated[
        float, typer.Option(help="Disk for system prompts and tools that survive a restart; 0: none are written.")
    ] = 1.0,
    idle_unload: Annotated[
        float, typer.Option(help="Seconds without a request after which the model leaves memory; 0: it stays.")
    ] = 0.0,
    warmup: Annotated[bool, typer.Option(help="Generate a little before listening, so the first is as fast.")] = True,
    drain: Annotated[float, typer.Option(help="Seconds that open answers get to end after SIGTERM.")] = 10.0,
    stalled: Annotated[float, typer.Option(help="Seconds without a step after which /health says 503.")] = 120.0,
    parent: ParentOption = 0,
) -> None:
    """Run one local model on MLX as an OpenAI-compatible endpoint."""
    from distill.mlx import blas
    from gateway import settings

    blas.prepare(threads or 1)  # before anything imports MLX
    given = {"gateway": {"home": str(home)}} if home else None
    folders = settings.make_home(settings.home(settings.load(overrides=given)))
    folder = settings.require_model(model, folders)
    entry = settings.catalog().get(folder.name, {})
    if "package" in entry:
        from distill.mlx.embedded import ensure_embedded

        ensure_embedded(entry, folder)
    from gateway.engine.server import EngineSettings, run_engine

    chosen = EngineSettings(
        model=folder,
        adapter=adapter,
        adapters_root=folders.models,
        socket=socket,
        host=host,
        port=port,
        api_key=settings.api_key(api_key_env),
        threads=threads,
        speculate=speculate,
        batch=batch,
        queue=queue,
        prefill_step=prefill_step,
        memory_gb=memory_gb,
        cache_bytes=round(cache_gb * 1e9),
        max_kv_size=max_kv_size,
        prefix_disk=folders.data / "prefixes" if prefix_disk_gb > 0 else None,
        prefix_disk_bytes=round(prefix_disk_gb * 1e9),
        idle_unload=idle_unload,
        warmup=warmup,
        drain=drain,
        stalled=stalled,
        parent=parent or None,
    )
    _serve(run_engine(chosen))


@app.command()
def expert(
    host: Annotated[str, typer.Option(help="Listen on this address.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Listen on this port.")] = 9000,
    parent: ParentOption = 0,
) -> None:
    """Run the stand-in teacher: a deterministic program that answers the templated code questions."""
    from gateway import expert as stand_in

    _serve(stand_in.run(host, port, parent=parent or None))


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="A question about the code.")],
    repo: Annotated[Path, typer.Option(help="The repository to explore.")] = Path(),
    base_url: Annotated[str, typer.Option(help="The endpoint to ask.")] = "http://127.0.0.1:8787/v1",
    model: Annotated[str, typer.Option(help="The model to ask for.")] = "nightschool",
    max_calls: Annotated[int, typer.Option(help="Give up after so many tool calls.")] = 6,
    api_key_env: Annotated[str, typer.Option(help="The environment variable with the key that is sent.")] = "",
) -> None:
    """Ask a question about a repository; the agent explores it with read-only tools."""
    from gateway import settings
    from gateway.asking import answer_question

    _run(answer_question(question, repo, base_url, settings.api_key(api_key_env), model, max_calls))


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where the report and all that the demo makes go.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Draws the questions.")] = 20261123,
) -> None:
    """Show it all: a day with the teacher, a night, a day with the student; ends with a table and report.html."""
    from rich.console import Console

    from gateway.demo.story import Lessons, run_demo

    out.mkdir(parents=True, exist_ok=True)
    _run(run_demo(out.resolve(), seed, Lessons(), Console()))


@app.command()
def init(
    path: Annotated[Path, typer.Option(help="Where to write the settings.")] = Path("nightschool.toml"),
    profile: ProfileOption = "",
    force: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
) -> None:
    """Write a commented settings file, with the profile that suits this machine."""
    from gateway.machine.proposal import propose_settings

    typer.echo(propose_settings(path, profile, force=force))


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
    measure: Annotated[bool, typer.Option("--measure", help="Time loading, prompts and answers of a model.")] = False,
    model: Annotated[str, typer.Option(help="What to measure: a name of the catalogue or a folder.")] = "embedded",
    threads: Annotated[int, typer.Option(help="Threads of the BLAS while measuring; 0: one for each core.")] = 0,
) -> None:
    """Say what this machine has, which models fit, and what to install. Exit code 1 if none can serve here."""
    from rich.console import Console

    from gateway import settings
    from gateway.machine.doctor import examine

    home = settings.home(settings.load())
    measured = settings.require_model(model, home) if measure else None
    if not asyncio.run(examine(home, Console(), as_json=as_json, measured=measured, threads=threads)):
        raise typer.Exit(1)


@models.command("list")
def list_models() -> None:
    """The models of the catalogue and those on disk: size, licence, and whether they fit this machine."""
    from rich.console import Console

    from gateway import settings
    from gateway.machine import doctor

    doctor.tell_models(settings.home(settings.load()).models, Console())


@models.command("pull")
def pull_model(
    name: Annotated[str, typer.Argument(help="A name of the catalogue.")],
    revision: Annotated[str, typer.Option(help="A commit, branch or tag; default: the catalogue's, else newest.")] = "",
) -> None:
    """Fetch a model of the catalogue into models/NAME; every file is checked before the folder appears."""
    from gateway import settings
    from gateway.machine.models import pull

    home = settings.make_home(settings.home(settings.load()))
    typer.echo(pull(name, home.models, revision))


@models.command("convert")
def convert_model(
    source: Annotated[str, typer.Argument(help="A model folder, a name under models/, or a GGUF file.")],
    name: Annotated[str, typer.Argument(help="The new folder under models/.")],
    bits: Annotated[int, typer.Option(help="Bits a weight: 2, 3, 4, 5, 6, 8, or 16 for float16.")] = 4,
    group_size: Annotated[int, typer.Option(help="Weights that share a scale: 32, 64 or 128.")] = 64,
) -> None:
    """Quantise a model folder or a GGUF file, or make it float16, into models/NAME."""
    from gateway import settings
    from gateway.machine.models import convertible, new_folder

    home = settings.make_home(settings.home(settings.load()))
    found, target = convertible(source, home.models), new_folder(name, home.models)
    from distill.mlx import blas

    blas.prepare(1)  # before anything imports MLX
    from distill.mlx.convert import convert

    typer.echo(f"{convert(found, target, bits=bits, group_size=group_size)} is ready")


def main() -> None:
    """The entry point: known errors become one line on stderr and exit code 1."""
    from distill.errors import DistillError
    from gateway.errors import GatewayError
    from gateway.watching import logs

    logs.configure()
    try:
        app()
    except (GatewayError, DistillError) as error:
        typer.echo(f"nightschool: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        typer.echo(f"nightschool: {error}", err=True)
        sys.exit(1)


def _announce(url: str) -> None:
    typer.echo(f"Nightschool serves {url}", err=True)


def _announce_json(url: str) -> None:
    structlog.get_logger("serve").info("serving", url=url)


def _run(work: Coroutine[Any, Any, object]) -> None:
    try:
        asyncio.run(work)
    except KeyboardInterrupt:
        sys.exit(130)


def _serve(work: Coroutine[Any, Any, object]) -> None:
    """Run a server to its orderly end, then leave at once: granian's threads, still there while the interpreter winds
    down, now and then abort the process (exit code 134)."""
    _run(work)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
