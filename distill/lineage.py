"""Which adapters saw a trace: from the manifests of datasets and the cards of adapters.

Owns how the two are followed. Knows nothing of SQL; a dataset or a card that is damaged is passed over.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any


def adapters_that_saw(traces: Collection[str], data: Path, models: Path) -> dict[str, int]:
    """The adapters that were made from any of these traces, by name, with how many of them."""
    wanted = set(traces)
    seen: dict[str, int] = {}
    for path in sorted((data / "datasets").glob("*/manifest.json")):
        if count := len(wanted.intersection(_field(path, "traces", []))):
            seen[path.parent.name] = count
    found = {}
    for path in sorted((models / "adapters").glob("*/card.json")):
        if count := seen.get(str(_field(path, "dataset", "")), 0):
            found[path.parent.name] = count
    return found


def _field(path: Path, name: str, otherwise: Any) -> Any:
    try:
        return json.loads(path.read_text()).get(name, otherwise)
    except (OSError, ValueError, AttributeError):
        return otherwise
