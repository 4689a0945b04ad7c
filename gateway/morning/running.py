"""`nightschool morning`: what the command asks for, printed or written. Owns which form it takes; reads nothing itself.

A night that ends may print the line alone: `line`.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
from rich.console import Console

from gateway.morning.alarms import alarms
from gateway.morning.gathering import gather
from gateway.morning.morning import Morning
from gateway.morning.page import render
from gateway.morning.sentences import headline
from gateway.morning.tables import tell
from gateway.settings import Home

_DAYS = 14


class Wish(msgspec.Struct, frozen=True):
    """What is asked of the report. `line`: only the line; `html` is a file for the page, None: none is written."""

    days: int = _DAYS
    line: bool = False
    as_json: bool = False
    html: Path | None = None


async def run_morning(home: Home, url: str, wish: Wish, console: Console) -> None:
    """Tell the morning as it is wished for. Raises OSError where the page cannot be written."""
    morning = await gather(home, url, wish.days, time.time())
    if wish.html is not None:
        wish.html.write_text(render(morning), encoding="utf-8")
    if wish.as_json:
        console.file.write(as_json(morning) + "\n")
    elif wish.line:
        console.file.write(headline(morning) + "\n")
    elif wish.html is None:
        tell(morning, console)
    else:
        console.print(f"{headline(morning)}\n{wish.html}", markup=False, highlight=False, soft_wrap=True)


async def line(home: Home) -> str:
    """The morning in one line, by what the folders tell."""
    return headline(await gather(home, "", 2, time.time()))


def as_json(morning: Morning) -> str:
    """One JSON object, for programs; its keys are always the same."""
    told = {"line": headline(morning), "alarms": alarms(morning), **msgspec.to_builtins(morning)}
    return msgspec.json.encode(told).decode()
