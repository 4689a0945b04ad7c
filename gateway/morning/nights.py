"""The nights: the diary's records with what datasets, cards and examinations say of them.

Owns what of a night is read, and that what is damaged is passed over and noted. Knows nothing of what it means.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from distill.examination.marking import Mark
from distill.examination.scores import Score, score
from distill.gate import Verdict
from distill.naming import is_one
from distill.night.diary import Candidate, Diary, Record
from distill.publishing import CARD
from gateway.morning.morning import Diversity, Examined, Night
from gateway.settings import Home

_DAMAGED = (OSError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError, ValueError)
_JUDGED = ("promoted", "canary", "refused")
_TURNS = {"0": 0.0, "1": 1.0, "2-3": 2.5, "4-7": 5.5, "8+": 8.0}  # a category's depth, as turns that call something

_Read = TypeVar("_Read")


class Nights(NamedTuple):
    """The last one, those since a moment, the newest first, and how many of the newest that came to a verdict were
    refused in a row."""

    last: Night | None
    since: list[Night]
    refused: int


class _Manifest(msgspec.Struct, frozen=True):
    """What is read of a dataset's manifest."""

    train: int
    categories: dict[str, int] = {}


class _Line(msgspec.Struct, frozen=True):
    """What is read of an answer that lies beside an adapter."""

    mark: Mark


def nights_of(home: Home, since: float, now: float, notes: list[str]) -> Nights:
    """One that was given up for another is none of them. What cannot be read is added to `notes`."""
    diary = Diary(home.data / "nights")
    read = list(diary.newest_first())
    _note_damaged(diary.nights, {one.name for one in read}, notes)
    records = [one for one in read if one.outcome != "abandoned" and one.began <= now]
    found = []
    for number, record in enumerate(records):
        if number and record.began < since:
            break
        goes_on = not number and diary.resumable(record, record.inputs, now)
        found.append(_night(home, record, records[number + 1 :], goes_on, last=not number, notes=notes))
    judged = (one.outcome for one in records if one.outcome in _JUDGED)
    return Nights(
        found[0] if found else None,
        [one for one in found if one.record.began >= since],
        sum(1 for _ in itertools.takewhile(lambda outcome: outcome == "refused", judged)),
    )


def read_object(path: Path, kind: type[_Read], notes: list[str]) -> _Read | None:
    """A small JSON file; None where it is not there, or is damaged, which is noted."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except _DAMAGED as error:
        notes.append(f"{path} cannot be read and was passed over: {error}")
        return None


def card_of(home: Home, adapter: str, notes: list[str]) -> Mapping[str, Any]:
    """An adapter's card; empty where there is none."""
    if not is_one(adapter):
        return {}
    return read_object(home.models / "adapters" / adapter / CARD, dict[str, Any], notes) or {}


def _note_damaged(nights: Path, read: set[str], notes: list[str]) -> None:
    for folder in sorted(nights.glob("[!.]*")):
        if folder.is_dir() and folder.name not in read:
            notes.append(f"the record of the night {folder.name} cannot be read and was passed over")


def _night(
    home: Home, record: Record, older: Sequence[Record], goes_on: bool, *, last: bool, notes: list[str]
) -> Night:
    before = older[0] if older else None
    learnt = _manifest(home, record.datasets.get("whole", ""), notes) if last else None
    earlier = next((one.datasets["whole"] for one in older if "whole" in one.datasets), "")
    return Night(
        record,
        max(0, record.watermark - before.watermark) if before is not None else None,
        goes_on,
        [_examined(home, record, one, last, notes) for one in record.candidates],
        _diversity(learnt),
        _diversity(_manifest(home, earlier, notes)) if last else None,
    )


def _examined(home: Home, record: Record, made: Candidate, last: bool, notes: list[str]) -> Examined:
    """Only of the last night is read what others answered: these files are large."""
    dataset = _manifest(home, made.dataset, notes) if last else None
    sat = home.models / "adapters" / made.adapter if last and is_one(made.adapter) else None
    return Examined(
        made.adapter,
        made.parent,
        made.steps,
        made.dataset == record.datasets.get("fresh"),
        dataset.train if dataset is not None else None,
        _verdict(home, record, made, notes),
        _score(sat, "served", notes),
        _score(sat, "teacher", notes),
    )


def _verdict(home: Home, record: Record, made: Candidate, notes: list[str]) -> Verdict | None:
    """As the diary has it; where it has none, as the card has."""
    told = made.verdict
    if told is None:
        card = card_of(home, made.adapter, notes)
        told = card.get("verdict") if card.get("run") == made.run else None
    if told is None:
        return None
    try:
        return msgspec.convert(told, Verdict)
    except msgspec.ValidationError as error:
        notes.append(f"the verdict on {made.adapter} in the night {record.name} cannot be read: {error}")
        return None


def _score(folder: Path | None, arm: str, notes: list[str]) -> Score | None:
    """How an arm did, by the answers that lie beside an adapter."""
    if folder is None:
        return None
    path = folder / f"examination-{arm}.jsonl"
    decode = msgspec.json.Decoder(_Line).decode
    try:
        with path.open("rb") as lines:
            return score([decode(line).mark for line in lines])
    except FileNotFoundError:
        return None
    except _DAMAGED as error:
        notes.append(f"{path} cannot be read and was passed over: {error}")
        return None


def _manifest(home: Home, dataset: str, notes: list[str]) -> _Manifest | None:
    if not is_one(dataset):
        return None
    return read_object(home.data / "datasets" / dataset / "manifest.json", _Manifest, notes)


def _diversity(manifest: _Manifest | None) -> Diversity | None:
    if manifest is None or not sum(manifest.categories.values()):
        return None
    depths = [(_depth(name), count) for name, count in manifest.categories.items()]
    of = sum(count for _, count in depths)
    calls = sum(_TURNS.get(depth, 0.0) * count for depth, count in depths)
    return Diversity(of, calls / of, sum(count for depth, count in depths if depth == "0") / of)


def _depth(category: str) -> str:
    """Out of a category's name, tool/depth/answer; a tool may have any name."""
    return category.rsplit("/", 2)[-2] if category.count("/") > 1 else ""
