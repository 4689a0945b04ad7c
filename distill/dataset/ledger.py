"""Ledger: what is noted of every example on the first pass, in a file, a few hundred bytes each.

Owns the notes and how they are made; texts are not kept. Notes are digests, so that what is decided by them depends on
what examples say and never on the order in which they came.
"""

from __future__ import annotations

import math
from collections.abc import Set
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
import numpy as np
from rensa import RMinHash

from distill.dataset.category import category_of
from distill.dataset.contamination import Guard
from distill.dataset.example import Example, line_of, short_digest
from distill.dataset.fates import FATE
from distill.dataset.mixture import Mixture
from distill.dataset.words import action, goal, shingles, words
from distill.trace import conversation_key
from router.chat import Message, ToolCall

PERMUTATIONS = 128
BANDS = 16

_NOTES = np.dtype(
    [
        ("key", np.uint64),  # the whole example
        ("said", np.uint64),  # states and actions, normalised
        ("conversation", np.uint64),
        ("repository", np.uint64),  # 0: not known
        ("client", np.uint64),
        ("category", np.uint64),
        ("class", np.uint64),  # tool and type of answer, within which near duplicates are sought
        ("day", np.int32),  # since 1970
        ("size", np.uint32),  # bytes of the line
        ("replayed", np.bool_),
        ("fate", np.uint8),
    ]
)
RECORD = np.dtype([*_NOTES.descr, ("bands", np.uint32, (BANDS,)), ("signature", np.uint8, (PERMUTATIONS,))])

_SEED = 20261126
_AT_ONCE = 200_000  # shingles that are held in memory; about 30 MB
_ROW = 10  # shingles that take as much as the notes of an example
_DAY = 86400
_MIX = np.array(
    [short_digest(bytes([row])) | 1 for row in range(PERMUTATIONS // BANDS)], dtype=np.uint64
)  # odd: no bit of a row is lost


class Ledger:
    """Notes of examples in the order in which they came. Use it as a context; then read `records`."""

    def __init__(self, file: Path, mixture: Mixture, guard: Guard, reserved: Set[str]) -> None:
        self._path = file
        self._mixture = mixture
        self._guard = guard
        self._reserved = reserved
        self._rows: list[tuple[Any, ...]] = []
        self._texts: list[set[str]] = []
        self._held = 0

    def __enter__(self) -> Ledger:
        self._file = self._path.open("wb")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self._flush()
        self._file.close()

    def add(self, example: Example, *, replayed: bool) -> None:
        row, text = self._note(example, replayed)
        self._rows.append(row)
        self._texts.append(text)
        self._held += len(text) + _ROW
        if self._held > _AT_ONCE:
            self._flush()

    def records(self) -> np.ndarray:
        """All notes, from the file and as far as they are looked at."""
        if not self._path.stat().st_size:
            return np.zeros(0, RECORD)
        return np.memmap(self._path, RECORD, mode="r")

    def _note(self, example: Example, replayed: bool) -> tuple[tuple[Any, ...], set[str]]:
        """The notes of an example, and the runs of words by which it is compared: none where it is dropped at once."""
        try:
            line = line_of(example)
        except (ValueError, OverflowError, RecursionError):
            return _dropped(0, 0, replayed, "unreadable"), set()
        if refusal := self._refusal(example, len(line)):
            return _dropped(short_digest(line), len(line), replayed, refusal), set()
        category = category_of(example)
        fate = self._guard.fault(example.messages) or "undecided"
        row = (
            short_digest(line),
            _said(example),
            _named(conversation_key(example.client, example.conversation)),
            _named(example.repository) if example.repository else 0,
            _named(example.client),
            _named(category.name),
            _named(f"{category.tool}/{category.answer}"),
            _day(example.created),
            len(line),
            replayed,
            FATE[fate],
        )
        return row, _compared(example.messages) if fate == "undecided" else set()

    def _refusal(self, example: Example, size: int) -> str:
        """Why an example is not even looked at; "" where it is."""
        if not math.isfinite(example.created):  # its line would hold null
            return "unreadable"
        if example.repository in self._reserved:
            return "reserved"
        return "too_large" if size > self._mixture.example_bytes else ""

    def _flush(self) -> None:
        if not self._rows:
            return
        notes = np.array(self._rows, dtype=_NOTES)
        block = np.zeros(len(notes), RECORD)
        for name in _NOTES.names or ():
            block[name] = notes[name]
        signatures = np.array([_signature(text) for text in self._texts], dtype=np.uint32)
        rows = signatures.reshape(len(notes), BANDS, -1).astype(np.uint64)
        block["bands"] = (rows * _MIX).sum(axis=2) >> np.uint64(32)
        block["signature"] = signatures.astype(np.uint8)  # the lowest byte tells two apart 255 times of 256
        self._file.write(block.tobytes())
        self._rows, self._texts, self._held = [], [], 0


def _dropped(key: int, size: int, replayed: bool, fate: str) -> tuple[Any, ...]:
    """The notes of an example that is dropped before it is looked at."""
    return (key, 0, 0, 0, 0, 0, 0, 0, min(size, 2**32 - 1), replayed, FATE[fate])


def _named(name: str) -> int:
    return short_digest(name.encode())


def _day(created: float) -> int:
    """Days since 1970. A clock that was never set, or is out of all bounds, gives day 0."""
    return int(created // _DAY) if 0 < created < 2**31 * _DAY else 0


def _compared(messages: list[Message]) -> set[str]:
    """Runs of words of what the user wanted and the assistant did; of a text without words the text."""
    acted = [action(message) for message in messages if message.role == "assistant"]
    text = "\n".join([goal(messages), *acted])
    return shingles(words(text)) or {text}


def _signature(text: set[str]) -> list[int]:
    """MinHash: the share of places at which two signatures agree is about the Jaccard similarity of their texts."""
    made = RMinHash(PERMUTATIONS, _SEED)
    made.update(list(text))
    return list(made.digest())


def _said(example: Example) -> int:
    """A digest of tools, system prompt, and each action with what was said since the one before it."""
    parts: list[Any] = [[tool.function for tool in example.tools]]
    parts += [(message.role, _plain(message.text), _calls(message.tool_calls)) for message in example.messages]
    return short_digest(msgspec.json.encode(parts, order="deterministic"))


def _plain(text: str) -> str:
    return " ".join(text.split())


def _calls(calls: list[ToolCall] | None) -> list[tuple[str, Any]]:
    """Names and arguments; not the identities, which are new each time."""
    return [(call.function.name, _arguments(call.function.arguments)) for call in calls or ()]


def _arguments(text: str) -> Any:
    """Arguments as one JSON text whatever their order and spaces; what is no JSON as it is."""
    try:
        return msgspec.json.encode(msgspec.json.decode(text), order="deterministic").decode()
    except (ValueError, OverflowError, RecursionError):
        return text
