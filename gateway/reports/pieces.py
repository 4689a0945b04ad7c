"""Pieces of a report's page: the page itself, tables, legends, lists of facts. Owns HTML and nothing else: no scripts,
nothing fetched, and everything that comes from data is escaped here.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.reports.plots import percent, plain
from gateway.reports.style import STYLE

NONE = "–"
_LIMIT = 600  # characters of an answer or call that is shown


def page(title: str, sections: Sequence[str]) -> str:
    """A whole page; empty sections are left out."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{plain(title)}</title>\n<style>{STYLE}</style></head>\n<body><main>\n"
        + "\n".join(section for section in sections if section)
        + "\n</main></body></html>\n"
    )


def figure(words: str, value: str) -> str:
    return f"<div><b>{plain(value)}</b><span>{plain(words)}</span></div>"


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """Of (css class, name) pairs."""
    keys = "".join(f'<span><i class="key {css}"></i>{plain(name)}</span>' for css, name in entries)
    return f'<p class="legend">{keys}</p>'


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    return f"<dl>{''.join(f'<dt>{plain(name)}</dt><dd>{plain(value)}</dd>' for name, value in pairs)}</dl>"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{plain(name)}</th>' for name in heads)
    body = "".join(
        f'<tr><th scope="row">{plain(row[0])}</th>{"".join(f"<td>{plain(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return f'<div class="plot"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def shown(value: float | None, unit: str, digits: int = 2) -> str:
    """A number with its unit; "%" takes a share of 1."""
    if value is None:
        return NONE
    if unit == "%":
        return percent(value)
    return f"{value:,.{digits}f} {unit}".rstrip()


def cut(text: object) -> str:
    """A sample's text, short enough to be looked at."""
    whole = str(text)
    if len(whole) <= _LIMIT:
        return whole
    return f"{whole[:_LIMIT]} … ({len(whole) - _LIMIT} more characters)"
