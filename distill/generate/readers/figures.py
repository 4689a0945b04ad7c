"""What two numbers say together, and a name in capitals."""

from __future__ import annotations

import re
from typing import Any

from distill.generate.readers.reader import Reader, Row
from distill.generate.readers.results import count, matches


def both(result: str, known: dict[str, Any]) -> list[Row]:
    """The number of this result with the `first` one: sum, difference, and `longer`, which of `path` and `other` has
    the greater."""
    rows = []
    for row in count(result, known):
        first, second = known["first"], row["count"]
        longer = known["one"] if first > second else known["other"]
        rows.append(row | {"sum": first + second, "difference": abs(first - second), "longer": longer})
    return rows


def capitals(result: str, known: dict[str, Any]) -> list[Row]:
    """A name in capitals: upper."""
    return [{"upper": result.upper()}]


def added(result: str, known: dict[str, Any]) -> list[Row]:
    """The sum of all numbers."""
    return [{"sum": sum(map(int, re.findall(r"\d+", result)))}]


def same_path(result: str, known: dict[str, Any]) -> list[Row]:
    """Matches in the file that is known as `first`."""
    return [row for row in matches(result, known) if row["path"] == known["first"]]


ALL: tuple[Reader, ...] = (both, capitals, added, same_path)
