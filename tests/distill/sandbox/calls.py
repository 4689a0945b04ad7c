"""What a call of the tools that does harm is, and what must hold of its result. Owns the words that the tables use."""

from __future__ import annotations

import json
from typing import Literal, NamedTuple

Holds = Literal["refused", "contained", "shown"]


class Hostile(NamedTuple):
    """`holds`: refused, with a text that begins with "error:"; contained, whatever the result is; shown, which is
    `text`. Names in angles stand for places."""

    tool: str
    raw: str
    holds: Holds = "refused"
    text: str = ""

    def __str__(self) -> str:
        return f"{self.tool} {self.raw[:60]!r}"


def no(program: str, *args: str) -> Hostile:
    """A command that is refused."""
    return Hostile("run_command", json.dumps({"command": program, "args": args}))


def maybe(program: str, *args: str) -> Hostile:
    """A command that may be run, if nothing comes of it."""
    return no(program, *args)._replace(holds="contained")


def shows(text: str, program: str, *args: str) -> Hostile:
    """A command that does what it says, and no more."""
    return no(program, *args)._replace(holds="shown", text=text)


def no_file(path: str) -> Hostile:
    return Hostile("read_file", json.dumps({"path": path}))


def no_folder(path: str) -> Hostile:
    return Hostile("list_files", json.dumps({"path": path}))
