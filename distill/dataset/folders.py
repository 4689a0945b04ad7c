"""Datasets on disk: which are the newest, whose traces they hold, and how these are forgotten. Owns that the files stay
whole; knows nothing of the store.

The manifest goes on naming the traces, so that the adapters which saw them can be told; a folder that lost examples is
no longer what its name is the digest of, which its manifest then says.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from distill.dataset.example import Dataset
from distill.dataset.parts import DIGITS
from distill.dataset.unfinished import drop_unfinished
from distill.errors import DatasetError

_MANIFEST = "manifest.json"
_PARTS = ("train", "valid")


class Origin(msgspec.Struct):
    """What of an example tells where it comes from. `created`: Unix seconds, of its newest trace; 0: unknown."""

    traces: list[str]
    conversation: str = ""
    client: str = ""
    created: float = 0.0


class _Manifest(msgspec.Struct):
    """Of what is read of a manifest, the types."""

    traces: list[str] = []
    digest: str = ""
    left: str = ""
    train: int = 0
    valid: int = 0
    forgotten: int = 0


_DAMAGED = (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_origin = msgspec.json.Decoder(Origin).decode


def newest(datasets: Path, count: int, before: float = math.inf) -> list[Path]:
    """The folders of the datasets that were made last, the newest first; `before` then, in Unix seconds."""
    found = [(path.stat().st_mtime, path.parent) for path in datasets.glob(f"*/{_MANIFEST}")]
    return [folder for _, folder in sorted((one for one in found if one[0] < before), reverse=True)[:count]]


def traces_of(folders: Sequence[Path]) -> list[str]:
    """The ids of all traces in these datasets. Raises DatasetError naming a manifest that is damaged."""
    return sorted({name for folder in folders for name in _manifest(folder).get("traces", ())})


def described(folder: Path) -> Dataset:
    """A dataset that is there, as its manifest has it. Raises DatasetError."""
    manifest = _manifest(folder)
    try:
        return Dataset(str(folder), manifest["digest"], manifest["train"], manifest["valid"])
    except KeyError as error:
        raise DatasetError(f"{folder / _MANIFEST} says nothing of {error}") from error


def intact(folder: Path) -> bool:
    """Whether the files are what the name is the digest of, or what is left of that since some of it was forgotten.
    Raises DatasetError."""
    return _digest(folder) == str(_manifest(folder).get("left", folder.name))


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    try:
        for number, part in enumerate(_PARTS):
            digest.update(b"\0" * number)
            with (folder / f"{part}.jsonl").open("rb") as lines:
                while piece := lines.read(1 << 20):
                    digest.update(piece)
    except OSError as error:
        raise DatasetError(f"{folder} cannot be read: {error}") from error
    return digest.hexdigest()[:DIGITS]


def traces_where(datasets: Path, meant: Callable[[Origin], bool]) -> list[str]:
    """The traces of the examples that are meant, in all datasets below a folder; no line that nobody can read is."""
    found: dict[str, None] = {}
    for path in (path for part in _PARTS for path in sorted(datasets.glob(f"*/{part}.jsonl"))):
        with path.open("rb") as lines:
            for line in lines:
                with suppress(*_DAMAGED):
                    origin = _origin(line)
                    found |= dict.fromkeys(origin.traces if meant(origin) else ())
    return list(found)


def forget_in(datasets: Path, traces: Collection[str]) -> int:
    """Delete the examples of these traces from all datasets below a folder; how many lines there were.

    Lines that nobody can read go as well: they may hold one. So does what a night that was killed left. Raises OSError
    where a file cannot be written.
    """
    gone = frozenset(traces)
    drop_unfinished(datasets)
    return sum(_forget(path.parent, gone) for path in sorted(datasets.glob(f"*/{_MANIFEST}")))


def _forget(folder: Path, gone: frozenset[str]) -> int:
    manifest: dict[str, Any] | None = None
    with suppress(DatasetError):
        manifest = _manifest(folder)
        if gone.isdisjoint(manifest.get("traces", ())):
            return 0
    count = sum(_without(folder / f"{part}.jsonl", gone) for part in _PARTS)
    if count and manifest is not None:
        manifest["forgotten"] = manifest.get("forgotten", 0) + count
        with suppress(DatasetError):  # a part is missing: then it is not intact
            manifest["left"] = _digest(folder)
        made = (folder / _MANIFEST).stat().st_mtime_ns
        _replace(folder / _MANIFEST, [msgspec.json.format(msgspec.json.encode(manifest), indent=2)])
        os.utime(folder / _MANIFEST, ns=(made, made))  # it is no newer for that
    return count


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        decoded: dict[str, Any] = msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=dict)
        msgspec.convert(decoded, _Manifest)
    except _DAMAGED as error:
        raise DatasetError(f"{folder / _MANIFEST} cannot be read: {error}") from error
    return decoded


def _without(path: Path, gone: frozenset[str]) -> int:
    """The file without the examples of these traces; how many lines are gone."""
    if not path.exists():
        return 0
    lines = path.read_bytes().splitlines(keepends=True)
    stay = [line for line in lines if _has_none_of(line, gone)]
    if len(stay) < len(lines):
        _replace(path, stay)
    return len(lines) - len(stay)


def _has_none_of(line: bytes, gone: frozenset[str]) -> bool:
    try:
        return gone.isdisjoint(_origin(line).traces)
    except _DAMAGED:
        return False


def _replace(path: Path, lines: list[bytes]) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
