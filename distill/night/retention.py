"""Retention: what nights leave and nobody needs any more. Owns what may go, and when.

Never goes: an adapter that passed, that serves, served before or is pinned; a dataset, by whose manifest an adapter is
traced to its traces; the diary.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from distill.naming import is_one
from distill.night.examining import SHEETS
from distill.publishing import CARD

_DAY = 86_400.0
_GONE = ".gone"


def make_room(data: Path, models: Path, days: float, now: float) -> list[Path]:
    """Delete what was last changed more than so many days ago, 0: nothing; what was deleted."""
    if not days:
        return []
    cards = {path.parent.name: _read(path) for path in (models / "adapters").glob(f"*/{CARD}")}
    named = _named(models)
    old = [path for path in _candidates(data, models, cards, named) if now - _changed(path, now) > days * _DAY]
    for left in (*models.glob(f"*/.*{_GONE}"), *(data / SHEETS).glob(f".*{_GONE}")):
        shutil.rmtree(left, ignore_errors=True)
    for path in old:
        gone = path.with_name(f".{path.name}{_GONE}")
        with suppress(OSError):
            path.rename(gone)  # at once: half a folder would be taken for a whole one
        shutil.rmtree(gone, ignore_errors=True)
    return old


def _candidates(data: Path, models: Path, cards: dict[str, dict[str, Any]], named: set[str]) -> Iterator[Path]:
    """Runs whose adapters have folders of their own; adapters that did not pass; answers to questions."""
    for name in {str(card.get("run")) for card in cards.values()} - named:
        if is_one(name) and (models / "runs" / name).is_dir():
            yield models / "runs" / name
    for name, card in cards.items():
        verdict = card.get("verdict")
        refused = isinstance(verdict, dict) and verdict.get("passed") is False
        if refused and name not in named and not any(other.get("parent") == name for other in cards.values()):
            yield models / "adapters" / name
    yield from (data / SHEETS).glob("[!.]*")


def _named(models: Path) -> set[str]:
    """Adapters and runs that the gateway's own files name."""
    live, pin = _read(models / "live.json"), _read(models / "pin.json")
    previous = live.get("previous")
    found = [live, pin, previous if isinstance(previous, dict) else {}]
    paths = [Path(str(one.get("path", ""))) for one in found]
    return {str(one.get("adapter")) for one in found} | {part for path in paths for part in path.parts}


def _changed(folder: Path, now: float) -> float:
    """When anything in it was last written, in Unix seconds; now, where that cannot be told."""
    try:
        return max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))
    except OSError:
        return now


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
