"""What two numbers say together, and what can be told of a name by looking at it."""

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


def spelling(result: str, known: dict[str, Any]) -> list[Row]:
    """A name in capitals, and in snake case."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", result).lower()
    return [{"upper": result.upper(), "snake": snake}]


def added(result: str, known: dict[str, Any]) -> list[Row]:
    """The sum of all numbers."""
    return [{"sum": sum(map(int, re.findall(r"\d+", result)))}]


def same_path(result: str, known: dict[str, Any]) -> list[Row]:
    """Matches in the file that is known as `first`."""
    return [row for row in matches(result, known) if row["path"] == known["first"]]


ALL: tuple[Reader, ...] = (both, spelling, added, same_path)
