"""`nightschool adapters`: which there are, what changed from one to another, and adapters out into the forms of other
programs and in from them. Owns arguments and what is printed; where MLX is needed it is loaded in the command's own
process, and only once the arguments are right."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Literal

import typer

adapters = typer.Typer(help="Which adapters there are, and adapters in other programs' forms.", no_args_is_help=True)

Form = Literal["peft", "gguf", "fused"]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="Settings file; default ./nightschool.toml.")]
BaseOption = Annotated[str, typer.Option(help="The base: a name of the catalogue or under models/, or a folder.")]


@adapters.command("list")
def list_adapters(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
    url: Annotated[str, typer.Option(help="The gateway's address; default: that of the settings.")] = "",
    config: ConfigOption = None,
) -> None:
    """The adapters under models/adapters: where they come from, their verdicts, and which of them serve."""
    import msgspec
    from rich.console import Console

    from gateway import listing, settings
    from gateway.agents.presence import address

    chosen = settings.load(config)
    found = asyncio.run(listing.shelf(address(url or settings.gateway_url(chosen)), settings.home(chosen)))
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
    else:
        listing.tell(found, Console())


@adapters.command("diff")
def diff(
    first: Annotated[str, typer.Argument(help="A name under models/adapters, or a folder.")],
    second: Annotated[str, typer.Argument(help="Another one; or base: the first one's own base, as it was examined.")],
    everything: Annotated[bool, typer.Option("--all", help="Also questions that both answered the same.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page into this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
    config: ConfigOption = None,
) -> None:
    """Which questions of the examination two adapters answered otherwise, with both answers side by side."""
    from rich.console import Console

    from distill.atomic import write_atomically
    from distill.examination.changes import BASE, answers_of, changes
    from gateway import settings
    from gateway.exam import differing
    from gateway.machine.adapters import adapter_folder

    models = settings.home(settings.load(config)).models
    one = adapter_folder(first, models)
    two, arm = (one, "base") if second == BASE else (adapter_folder(second, models), "adapter")
    found = changes(answers_of(one, "adapter"), answers_of(two, arm))
    sides = differing.Sides(one.name, BASE if second == BASE else two.name)
    if html is not None:
        write_atomically(html.absolute(), differing.render(found, sides, everything).encode("utf-8", "replace"))
    if as_json:
        typer.echo(differing.as_json(found, sides, everything).decode())
    elif html is not None:
        typer.echo("\n".join([*differing.sentences(found, sides), f"{html} is written"]))
    else:
        differing.tell(found, sides, everything, Console())


@adapters.command("export")
def export(
    adapter: Annotated[str, typer.Argument(help="A name under models/adapters, or a folder.")],
    to: Annotated[Form, typer.Option(help="peft for vLLM, gguf for llama.cpp, fused for a model of its own.")],
    out: Annotated[Path, typer.Option(help="The new folder.")],
    base: BaseOption = "",
    config: ConfigOption = None,
) -> None:
    """Write an adapter in the form of another program, or merge it into a model of its own."""
    from gateway import settings
    from gateway.machine.adapters import adapter_folder, base_folder

    chosen = settings.load(config)
    home = settings.make_home(settings.home(chosen))
    folder = adapter_folder(adapter, home.models)
    model = _ready(base_folder(base, folder, chosen.student.model, home))
    from distill.mlx.adapters.exchange import export as write

    typer.echo(f"{write(folder, model, to, out.absolute())} is ready")


@adapters.command("import")
def take(
    source: Annotated[Path, typer.Argument(help="A folder in PEFT's or mlx-lm's form, or a GGUF adapter.")],
    base: BaseOption = "",
    name: Annotated[str, typer.Option(help="The new folder under models/adapters; default: as the source.")] = "",
    config: ConfigOption = None,
) -> None:
    """Take over an adapter that another program made, into models/adapters."""
    from gateway import settings
    from gateway.errors import StartError
    from gateway.machine.adapters import base_folder, new_adapter

    if not source.exists():
        raise StartError(f"there is no folder or file {source}")
    chosen = settings.load(config)
    home = settings.make_home(settings.home(chosen))
    target = new_adapter(name or (source.stem if source.is_file() else source.resolve().name), home.models)
    model = _ready(base_folder(base, source, chosen.student.model, home))
    from distill.mlx.adapters.exchange import take as read
    from distill.publishing import CARD

    card = json.loads((read(source.resolve(), model, target) / CARD).read_text())
    if made_for := card["made_for"]:
        typer.echo(f"It says that it was made for {made_for!r}; it was taken for {model.name}, whose shapes it fits.")
    examined = f"`nightschool exam --adapter {target.name}` examines it"
    fused = "it is DoRA, which is served as a model of its own: `nightschool adapters export --to fused` makes one"
    typer.echo(f"{target} is ready; {fused if card['kind'] == 'dora' else examined}")


def _ready(model: Path) -> Path:
    """The model folder, made first where it comes from a package; after this MLX may be imported."""
    from distill.mlx import blas
    from gateway import settings

    blas.prepare(1)  # before anything imports MLX
    entry = settings.catalog().get(model.name, {})
    if "package" in entry and not (model / "config.json").is_file():
        from distill.mlx.embedded import ensure_embedded

        ensure_embedded(entry, model)
    return model
