"""Two examinations side by side, question by question: in a terminal, as JSON, and as a page.

Owns how changes are told. What models said is escaped wherever it is written, and cut where it is long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from distill.examination.changes import KINDS, Change, Changes, Given
from gateway.reports.pieces import cut, figure, page
from gateway.reports.plots import plain


class Sides(msgspec.Struct, frozen=True):
    """The names of the two."""

    first: str
    second: str


def shown(found: Changes, everything: bool) -> list[Change]:
    """The questions that are told: what changed, or all."""
    return [one for one in found.changes if everything or one.kind != "same"]


def sentences(found: Changes, sides: Sides) -> list[str]:
    """What changed in all, and what could not be compared."""
    counts = found.counts
    right, exact = found.turned("right"), found.turned("exact")
    lines = [
        f"{sides.second} beside {sides.first}, on the {len(found.changes)} questions that both were asked: "
        + ", ".join(f"{count} {kind}" for kind, count in counts.items()),
        f"Right answers: {right[0]} with {sides.second} only, {right[1]} with {sides.first} only. "
        f"Exact calls: {exact[0]} with {sides.second} only, {exact[1]} with {sides.first} only.",
    ]
    alone = ((found.only_first, sides.first), (found.only_second, sides.second))
    lines += [
        f"Put to {name} only, and left out, since the examinations differ: {count}." for count, name in alone if count
    ]
    if found.unreadable:
        lines.append(f"Lines that cannot be read, and are left out: {found.unreadable}.")
    return lines


def as_json(found: Changes, sides: Sides, everything: bool) -> bytes:
    """One JSON object."""
    turned = {mark: found.turned(mark) for mark in ("right", "exact")}
    told: dict[str, Any] = {
        "first": sides.first,
        "second": sides.second,
        "counts": found.counts,
        **{mark: {"gained": gained, "lost": lost} for mark, (gained, lost) in turned.items()},
        "only_first": found.only_first,
        "only_second": found.only_second,
        "unreadable": found.unreadable,
        "questions": shown(found, everything),
    }
    return msgspec.json.encode(told)


def tell(found: Changes, sides: Sides, everything: bool, console: Console) -> None:
    """For a person at a terminal."""
    for line in sentences(found, sides):
        console.print(Text(line))
    for one in shown(found, everything):
        console.print(Text(f"\n[{one.kind}] {_safe(one.question)}", "bold"))
        table = Table(sides.first, sides.second, box=None, expand=True)
        table.columns[0].ratio = table.columns[1].ratio = 1
        table.add_row(_said(one.first), _said(one.second))
        console.print(table)


def _said(given: Given) -> RenderableType:
    calls = [Text(_safe(f"{call.name} {call.arguments}"), "cyan") for call in given.calls] or [Text("no tool call")]
    return Group(Text(_marks(given), "dim"), *calls, Text(_safe(given.answer) or "no answer"))


def _marks(given: Given) -> str:
    end = "" if given.marks.end in ("", "answered") else f", {given.marks.end.replace('_', ' ')}"
    return f"{'right' if given.marks.right else 'wrong'}, {'exact' if given.marks.exact else 'other'} calls{end}"


def _safe(text: str) -> str:
    """What a model said, without what a terminal takes for an order."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "\ufffd" for sign in cut(text))


def render(found: Changes, sides: Sides, everything: bool) -> str:
    """The page: no scripts, nothing fetched."""
    told = shown(found, everything)
    figures = [figure(kind, str(count)) for kind, count in found.counts.items()]
    heading = f"{plain(sides.second)} beside {plain(sides.first)}"
    lines = "".join(f"<p>{plain(line)}</p>" for line in sentences(found, sides))
    head = (
        f'<header><p class="brand">Nightschool</p><h1>{heading}</h1>{lines}'
        f'<div class="figures">{"".join(figures)}</div></header>'
    )
    return page(f"Nightschool: {sides.second} beside {sides.first}", [head, *_sections(told, sides)])


def _sections(told: Sequence[Change], sides: Sides) -> list[str]:
    found = {kind: "".join(_article(one, sides) for one in told if one.kind == kind) for kind in KINDS}
    return [f"<section><h2>{plain(kind)}</h2>{articles}</section>" for kind, articles in found.items() if articles]


def _article(one: Change, sides: Sides) -> str:
    columns = _column(sides.first, one.first) + _column(sides.second, one.second)
    return (
        f'<article><h3>{plain(cut(one.question))}</h3><p class="small">{plain(one.category.replace("_", " "))}</p>'
        f'<div class="three">{columns}</div></article>'
    )


def _column(name: str, given: Given) -> str:
    css = "met" if given.marks.right else "missed"
    calls = "".join(f"<pre>{plain(cut(f'{call.name} {call.arguments}'))}</pre>" for call in given.calls)
    text = f"<p>{plain(cut(given.answer))}</p>" if given.answer else '<p class="small">no answer</p>'
    head = f'<h4>{plain(name)} <span class="{css}">{plain(_marks(given))}</span></h4>'
    return f"<div>{head}{calls or '<p class=small>no tool call</p>'}{text}</div>"
