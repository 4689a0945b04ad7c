"""What import lines say: modules, and the file of the own package that one names."""

from __future__ import annotations

import re
from typing import Any

from distill.generate.readers.reader import Reader, Row
from distill.generate.readers.results import matches, numbered

_FROM = re.compile(r"\s*from (?P<module>[\w.]+) import\b")
_IMPORT = re.compile(r"\s*import (?P<modules>[\w., ]+)")
_OWN = re.compile(r"from \.+(?:\w+\.)*(?P<module>\w+) import\b")


def modules(result: str, known: dict[str, Any]) -> list[Row]:
    """Each module that import lines name."""
    rows: list[Row] = []
    for row in matches(result, known) or numbered(result, known):
        if match := _FROM.match(row["text"]):
            rows.append(row | {"module": match["module"]})
        elif match := _IMPORT.match(row["text"]):
            names = [part.split(" as ")[0].strip() for part in match["modules"].split(",")]
            rows += [row | {"module": name} for name in names]
    return rows


def own_modules(result: str, known: dict[str, Any]) -> list[Row]:
    """The last part of each module that is imported relative to the file: what its file is called."""
    found = ((row, _OWN.match(row["text"])) for row in matches(result, known) or numbered(result, known))
    return [row | {"module": match["module"]} for row, match in found if match]


ALL: tuple[Reader, ...] = (modules, own_modules)
