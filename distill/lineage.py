"""Which adapters saw a trace: from the manifests of datasets and the cards of adapters.

Owns how the two are followed. Knows nothing of SQL; a dataset or a card that is damaged is passed over.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any


def adapters_that_saw(traces: Collection[str], data: Path, models: Path) -> dict[str, int]:
    """The adapters that were made from any of these traces, by name, with how many of them; one that was trained
    further saw what the one before it did."""
    wanted = set(traces)
    seen: dict[str, int] = {}
    for path in sorted((data / "datasets").glob("*/manifest.json")):
        if count := len(wanted.intersection(_field(path, "traces", []))):
            seen[path.parent.name] = count
    cards = sorted((models / "adapters").glob("*/card.json"))
    found = {path.parent.name: seen.get(str(_field(path, "dataset", "")), 0) for path in cards}
    parents = {path.parent.name: str(_field(path, "parent", "")) for path in cards}
    return {name: count for name in found if (count := max(found.get(one, 0) for one in _line(name, parents)))}


def _line(name: str, parents: dict[str, str]) -> list[str]:
    """An adapter and those before it."""
    line = [name]
    while (before := parents.get(line[-1])) and before not in line:
        line.append(before)
    return line


def _field(path: Path, name: str, otherwise: Any) -> Any:
    try:
        return json.loads(path.read_text()).get(name, otherwise)
    except (OSError, ValueError, AttributeError):
        return otherwise
