"""What all forms of tool calls have in common: how a text is asked for its next call.

Owns the contract and the last step, from a decoded value to the FunctionCall. Knows no form.
"""

from __future__ import annotations

import json
from enum import Enum
from typing import Any, Protocol

import msgspec

from router.chat import FunctionCall


class Ending(Enum):
    """What may follow a text: more of it (OPEN), nothing (WHOLE), or nothing because a limit cut it off (CUT)."""

    OPEN = "open"
    WHOLE = "whole"
    CUT = "cut"


class Found(msgspec.Struct, frozen=True):
    """`text[start:end]` is these calls, tags included."""

    start: int
    end: int
    calls: list[FunctionCall]


class Form(Protocol):
    """One form of writing tool calls, for the tools of one request.

    `openings` begin a call and mean nothing else. Every complete call ends with one of `endings`, so until one of
    them comes there is no use in asking again.
    """

    @property
    def openings(self) -> tuple[str, ...]: ...

    @property
    def endings(self) -> tuple[str, ...]: ...

    def find(self, text: str, start: int, ending: Ending) -> Found | int:
        """The first call from `start` on, or the index up to which nothing is a call or can become part of one.

        What is found in an open text is found in every continuation of it too. A call that a limit cut off is none.
        """
        ...


class Broken(ValueError):
    """This is not a call; what made that certain is at the index `at`."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


class Unfinished(Broken):
    """This is not a call yet: the text ends first."""


def call_of(name: str, arguments: Any) -> FunctionCall:
    """A call from decoded arguments: an object, its JSON text, or nothing. Raises ValueError or TypeError otherwise."""
    if isinstance(arguments, str):
        arguments = json.loads(arguments, strict=False) if arguments.strip() else {}
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        raise TypeError("arguments must be an object")
    text = json.dumps(arguments, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair cannot leave the process as text
        text = json.dumps(arguments)
    return FunctionCall(name, text)


def begun(text: str, marks: tuple[str, ...]) -> int:
    """Where the end of `text` may be the beginning of a mark; its length if nowhere."""
    longest = max(len(mark) for mark in marks)
    for at in range(max(0, len(text) - longest + 1), len(text)):
        if any(mark.startswith(text[at:]) for mark in marks):
            return at
    return len(text)
