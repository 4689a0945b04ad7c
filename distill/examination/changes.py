"""Two examinations question by question: which answers changed between them.

Owns how a night's answers (examination-*.jsonl in an adapter's folder) are read back, and what counts as a change.
Knows nothing of how they are shown. Fields of other versions are passed over.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from distill.errors import ExaminationError

BASE = "base"  # what an adapter's own base is called beside it

Kind = Literal["gained", "lost", "differently wrong", "differently right", "same"]
KINDS: tuple[Kind, ...] = ("gained", "lost", "differently wrong", "differently right", "same")


class Call(msgspec.Struct, frozen=True):
    """A tool call as the model wrote it."""

    name: str
    arguments: str


class Marks(msgspec.Struct, frozen=True):
    """What is shown of an answer's mark."""

    exact: bool
    right: bool
    end: str = ""


class Given(msgspec.Struct, frozen=True):
    """What one of the two said to a question."""

    marks: Marks
    calls: tuple[Call, ...]
    answer: str


class Change(msgspec.Struct, frozen=True):
    """One question. `kind` is what the second made of it: it `gained` what it answers right and the first does not, or,
    where both answers are right or both wrong, calls as exactly as planned; it `lost` the other way round."""

    id: str
    question: str
    category: str
    kind: Kind
    first: Given
    second: Given


class Changes(msgspec.Struct, frozen=True):
    """What both were asked, in the first one's order; how many questions only one of them was; lines of either that
    nobody can read."""

    changes: tuple[Change, ...]
    only_first: int
    only_second: int
    unreadable: int

    @property
    def counts(self) -> dict[Kind, int]:
        return {kind: sum(one.kind == kind for one in self.changes) for kind in KINDS}

    def turned(self, mark: Literal["exact", "right"]) -> tuple[int, int]:
        """Of how many questions the second has a mark and the first has not, and the other way round."""
        marks = [(getattr(one.first.marks, mark), getattr(one.second.marks, mark)) for one in self.changes]
        return marks.count((False, True)), marks.count((True, False))


class _Question(msgspec.Struct, frozen=True):
    id: str
    text: str
    category: str = ""


class _Function(msgspec.Struct, frozen=True):
    name: str = ""
    arguments: str = ""


class _ToolCall(msgspec.Struct, frozen=True):
    function: _Function


class _Message(msgspec.Struct, frozen=True):
    role: str
    content: str | list[dict[str, object]] | None = None
    tool_calls: list[_ToolCall] | None = None


class _Line(msgspec.Struct, frozen=True):
    """What distill.night writes of an answer."""

    question: _Question
    mark: Marks
    messages: list[_Message] = []


def changes(first: Path, second: Path) -> Changes:
    """Of two files of answers. Raises ExaminationError where one cannot be read, or nothing was asked of both."""
    one, bad_one = _read(first)
    two, bad_two = _read(second)
    both = [name for name in one if name in two]
    if not both:
        raise ExaminationError(
            f"{first} and {second} have no question in common: they were examined by different examinations"
        )
    return Changes(
        tuple(_change(one[name], two[name]) for name in both),
        only_first=len(one) - len(both),
        only_second=len(two) - len(both),
        unreadable=bad_one + bad_two,
    )


def answers_of(folder: Path, arm: str) -> Path:
    """The file of an arm's answers, `adapter` or `base`, in an adapter's folder. Raises ExaminationError."""
    path = folder / f"examination-{arm}.jsonl"
    if not path.is_file():
        raise ExaminationError(f"{folder.name} was not examined by a night: it has no {path.name}")
    return path


def _read(path: Path) -> tuple[dict[str, _Line], int]:
    """The answers by question, and how many lines make no sense."""
    found: dict[str, _Line] = {}
    bad = 0
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ExaminationError(f"{path} cannot be read: {error}") from error
    for line in lines:
        try:
            read = msgspec.json.decode(line, type=_Line)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            bad += 1
            continue
        found[read.question.id] = read
    return found, bad


def _change(first: _Line, second: _Line) -> Change:
    one, two = _given(first), _given(second)
    asked = first.question
    return Change(asked.id, asked.text, asked.category, _kind(one, two), one, two)


def _kind(one: Given, two: Given) -> Kind:
    """By the answer first: it is what was asked for."""
    before, after = (one.marks.right, one.marks.exact), (two.marks.right, two.marks.exact)
    if before != after:
        return "gained" if after > before else "lost"
    if (one.calls, one.answer) == (two.calls, two.answer):
        return "same"
    return "differently right" if one.marks.right else "differently wrong"


def _given(line: _Line) -> Given:
    """What was said after the question; messages before it are those of an earlier conversation."""
    asked = [at for at, message in enumerate(line.messages) if message.role == "user"]
    said = [one for one in line.messages[asked[-1] + 1 if asked else 0 :] if one.role == "assistant"]
    calls = [Call(call.function.name, call.function.arguments) for one in said for call in one.tool_calls or ()]
    last = said[-1] if said else None
    return Given(line.mark, tuple(calls), _text(last.content) if last is not None and not last.tool_calls else "")


def _text(content: str | Iterable[dict[str, object]] | None) -> str:
    if content is None or isinstance(content, str):
        return (content or "").strip()
    return "".join(str(part.get("text") or "") for part in content).strip()
