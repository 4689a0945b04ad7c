"""Adapters on disk, read back: what each folder under models/adapters is, and what its card tells of it.

Owns reading alone, and forgives everything: a card that is missing, damaged or another version's is told as a trouble.
Knows nothing of what serves.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from distill.publishing import CARD

WEIGHTS = "adapters.safetensors"


class Part(msgspec.Struct, frozen=True):
    """So many of so many questions."""

    hits: int
    of: int


class Marks(msgspec.Struct, frozen=True):
    """What is told of an adapter's examination."""

    exact_calls: Part
    right_answers: Part


class Verdict(msgspec.Struct, frozen=True):
    """Of a card's verdict what every version wrote."""

    passed: bool
    reasons: list[str] = []
    adapter: Marks | None = None
    base: Marks | None = None


class Card(msgspec.Struct, frozen=True):
    """An adapter's folder. `made` is when its weights came, local time; `source` is the file or folder that it was
    imported from; `verdict` is None where it was not examined, or nobody can tell; `troubles` are sentences."""

    name: str
    base: str = ""
    made: str = ""
    dataset: str = ""
    run: str = ""
    source: str = ""
    verdict: Verdict | None = None
    troubles: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return self.verdict is not None and self.verdict.passed


def cards(folder: Path) -> list[Card]:
    """All adapters of a models/adapters folder, the newest last."""
    try:
        found = [card(path) for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError:
        return []
    return sorted(found, key=lambda one: (one.made, one.name))


def card(folder: Path) -> Card:
    """One adapter, by its folder."""
    troubles = []
    try:
        made = (
            datetime.fromtimestamp((folder / WEIGHTS).stat().st_mtime, UTC).astimezone().isoformat(timespec="seconds")
        )
    except OSError:
        made = ""
        troubles.append(f"it has no weights ({WEIGHTS})")
    try:
        told = msgspec.json.decode((folder / CARD).read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        return Card(folder.name, made=made, troubles=(*troubles, f"it has no {CARD}"))
    except (OSError, ValueError, RecursionError) as error:
        return Card(folder.name, made=made, troubles=(*troubles, f"its {CARD} cannot be read: {error}"))
    verdict = None
    try:
        verdict = msgspec.convert(told.get("verdict"), Verdict | None)
    except msgspec.ValidationError as error:
        troubles.append(f"its verdict cannot be read, and may be another version's: {error}")
    words = {key: told[key] for key in ("base", "dataset", "run", "source") if isinstance(told.get(key), str)}
    if not words.get("base"):
        troubles.append(f"its {CARD} names no base")
    return Card(folder.name, **words, made=made, verdict=verdict, troubles=tuple(troubles))
