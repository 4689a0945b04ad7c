"""`nightschool adapters list`: the adapters that there are, what is known of each, and which of them serve.

Owns what is listed and how it is told. The folders are read; a gateway that runs is asked what it has loaded.
Nothing is changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from distill.cards import Card, Part, card, cards
from gateway.answering.pinning import serving
from gateway.settings import Home
from gateway.watching.status import ask, object_in


class Listed(msgspec.Struct, frozen=True):
    """An adapter. `canary` and `loaded` are None where no gateway tells it; `exact_calls` and `right_answers` are those
    of its examination, and None, as `passed` is, where there was none that can be read."""

    name: str
    base: str
    made: str
    dataset: str
    run: str
    source: str
    passed: bool | None
    reasons: list[str]
    exact_calls: Part | None
    right_answers: Part | None
    live: bool
    previous: bool
    pinned: bool
    canary: bool | None
    loaded: bool | None
    troubles: tuple[str, ...]


class Shelf(msgspec.Struct, frozen=True):
    """What `adapters list --json` prints. `live` is the adapter that serves and `pinned` the one that is, "" the base,
    None nothing; `note` is what could not be found out."""

    up: bool
    note: str
    live: str
    pinned: str | None
    adapters: list[Listed]


class _Roles(msgspec.Struct, frozen=True):
    """Adapters by what they do, with the folders that are known of them."""

    live: str
    previous: str
    pinned: str | None
    canary: str | None
    loaded: frozenset[str] | None
    folders: dict[str, str]
    note: str = ""


async def shelf(url: str, home: Home) -> Shelf:
    """Read the folders, and ask the gateway."""
    told, note = await ask(url, home.data)
    roles = _roles(told, home.models)
    known = {one.name: one for one in cards(home.models / "adapters")}
    for name in [roles.live, roles.previous, roles.pinned, roles.canary, *sorted(roles.loaded or ())]:
        if name and name not in known:
            known[name] = _elsewhere(name, roles.folders.get(name, ""))
    listed = [_listed(one, roles) for one in known.values()]
    return Shelf(bool(told), "; ".join(filter(None, (note, roles.note))), roles.live, roles.pinned, listed)


def _roles(told: dict[str, Any], models: Path) -> _Roles:
    """From the gateway, or from the files that it left."""
    files = {path.stem: object_in(path) for path in (models / "live.json", models / "pin.json") if path.exists()}
    found = told or files
    damaged = [f"{models / name}.json cannot be read" for name, read in files.items() if read is None]
    live, pin, canary = _part(found, "live"), _part(found, "pin"), _part(found, "canary")
    previous, loaded = _part(live, "previous"), _part(told, "adapters")
    paths = {str(one["adapter"]): str(one.get("path", "")) for one in (live, previous) if one.get("adapter")}
    return _Roles(
        live=str(live.get("adapter", "")),
        previous=str(previous.get("adapter", "")),
        pinned=str(pin["adapter"]) if "adapter" in pin else None,
        canary=(str(canary["experiment"]["arms"][1]["adapter"]) if canary else "") if told else None,
        loaded=frozenset(loaded) if told else None,
        folders=paths | {name: str(path) for name, path in loaded.items()},
        note="; ".join(damaged),
    )


def _part(of: dict[str, Any], name: str) -> dict[str, Any]:
    """An object within another; empty where it is none."""
    found = of.get(name)
    return found if isinstance(found, dict) else {}


def _elsewhere(name: str, folder: str) -> Card:
    """An adapter that lies elsewhere, or does not lie anywhere any more."""
    if folder and Path(folder).is_dir():
        return msgspec.structs.replace(card(Path(folder)), name=name)
    return Card(name, troubles=("its folder is gone",))


def _listed(one: Card, roles: _Roles) -> Listed:
    verdict = one.verdict
    marks = verdict.adapter if verdict is not None else None
    return Listed(
        name=one.name,
        base=one.base,
        made=one.made,
        dataset=one.dataset,
        run=one.run,
        source=one.source,
        passed=verdict.passed if verdict is not None else None,
        reasons=verdict.reasons if verdict is not None else [],
        exact_calls=marks.exact_calls if marks is not None else None,
        right_answers=marks.right_answers if marks is not None else None,
        live=one.name == roles.live,
        previous=one.name == roles.previous,
        pinned=one.name == roles.pinned,
        canary=None if roles.canary is None else one.name == roles.canary,
        loaded=None if roles.loaded is None else one.name in roles.loaded,
        troubles=one.troubles,
    )


def tell(found: Shelf, console: Console) -> None:
    """For a person."""
    if not found.up:
        console.print(Text(f"No gateway tells what is loaded: {found.note}", "yellow"))
    if found.adapters:
        console.print(_table(found.adapters))
    else:
        console.print("There is no adapter yet: `nightschool night` makes one.")
    for one in found.adapters:
        for trouble in one.troubles:
            console.print(Text(f"{one.name}: {trouble}", "yellow"))
    pin = "" if found.pinned is None else f"; {serving(found.pinned)} is pinned"
    console.print(Text(f"Live: {serving(found.live)}{pin}"))


def _table(listed: list[Listed]) -> Table:
    table = Table("adapter", "base", "made", "from", "verdict", "exact calls", "right answers", "now", box=None)
    for one in listed:
        cells = (one.name, one.base or "?", one.made[:16].replace("T", " ") or "?", _from(one), _verdict(one))
        shares = (_share(one.exact_calls), _share(one.right_answers))
        table.add_row(*(Text(cell) for cell in (*cells, *shares, _now(one))))
    return table


def _from(one: Listed) -> str:
    if one.source:
        return f"import of {one.source}"
    return ", ".join(filter(None, (one.dataset and f"dataset {one.dataset}", one.run and f"run {one.run}"))) or "?"


def _verdict(one: Listed) -> str:
    if one.passed is None:
        return "not known" if one.troubles else "not examined"
    return "passed" if one.passed else f"did not pass: {'; '.join(one.reasons)}"


def _share(part: Part | None) -> str:
    return "-" if part is None or not part.of else f"{part.hits / part.of:.0%} ({part.hits} of {part.of})"


def _now(one: Listed) -> str:
    return ", ".join(role for role in ("live", "previous", "canary", "pinned", "loaded") if getattr(one, role)) or "-"
