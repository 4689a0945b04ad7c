"""Manifest: where a dataset comes from and what became of everything that was looked at. Owns its form."""

from __future__ import annotations

import hashlib
from collections import Counter
from importlib import metadata
from typing import Any

import msgspec
import numpy as np

from distill.dataset.category import category_of
from distill.dataset.example import Example

FORM = 1
METHOD = "dataset-1"  # the version of how examples are chosen: a change of any rule or constant changes it


class Tally:
    """Counts what goes into a dataset."""

    def __init__(self) -> None:
        self._traces: list[str] = []
        self._anew: set[str] = set()
        self._shares: dict[str, Counter[str]] = {
            name: Counter() for name in ("categories", "clients", "models", "repositories")
        }

    def add(self, example: Example) -> None:
        self._traces += example.traces
        self._anew.update(example.anew)
        self._shares["categories"][category_of(example).name] += 1
        self._shares["clients"][example.client] += 1
        self._shares["models"][example.model] += 1
        self._shares["repositories"][example.repository] += 1

    def told(self) -> dict[str, Any]:
        counted = {name: dict(sorted(counts.items())) for name, counts in self._shares.items()}
        return {**counted, "traces": sorted(set(self._traces)), "rendered_anew": sorted(self._anew)}


def inputs_of(records: np.ndarray) -> dict[str, dict[str, Any]]:
    """How many examples came, new ones and replayed ones, and a digest of each kind that no order changes."""
    return {
        name: {
            "examples": int(np.count_nonzero(mine)),
            "digest": hashlib.sha256(np.sort(records["key"][mine]).astype(">u8").tobytes()).hexdigest(),
        }
        for name, mine in (("new", ~records["replayed"]), ("replayed", records["replayed"]))
    }


def versions(filters: str) -> dict[str, str]:
    """By which programs the examples were chosen."""
    return {"dataset": METHOD, "filters": filters, "rensa": metadata.version("rensa")}


def encoded(manifest: dict[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2)
