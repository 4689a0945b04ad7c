"""Items written by hand: `written.toml` beside an examination's definition.

Owns their form, and that the calls a person planned show what the oracle wants. Knows nothing of facts: a test compares
the oracles with these.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from distill.errors import QuestionError
from distill.generate.expert import arguments_text
from distill.generate.question import Oracle, Question
from distill.generate.templates import CATEGORIES, Call
from distill.tools import ERROR, NOTHING, Toolbox

WRITTEN = "written.toml"


class Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question in a person's words. `name` stands where a drawn question has its template's."""

    name: str
    repository: str
    category: str
    text: str
    oracle: Oracle
    plan: list[Call] = msgspec.field(default_factory=list)
    withheld: tuple[str, ...] = ()


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    item: list[Written]


async def written_questions(folder: Path, toolboxes: Mapping[str, Toolbox]) -> list[Question]:
    """The questions of the folder's file, none where there is no file; `toolboxes` by repository.

    Raises QuestionError for a file that makes no sense, and for a question whose calls do not show its answer.
    """
    path = folder / WRITTEN
    if not path.exists():
        return []
    try:
        found = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _File)
    except (OSError, ValueError) as error:
        raise QuestionError(f"{path}: {error}") from error
    questions: list[Question] = []
    for item in found.item:
        if item.repository not in toolboxes:
            raise QuestionError(f"{path}: {item.name}: there is no archive of {item.repository!r}")
        if item.category not in CATEGORIES or (item.category == "negative") == bool(item.plan):
            raise QuestionError(f"{path}: {item.name}: a negative has no plan, and every other category has one")
        question = _question(item)
        if item.plan and not shows(question.oracle, await _run(question, toolboxes[item.repository])):
            raise QuestionError(f"{path}: {item.name}: the planned calls do not show the answer")
        questions.append(question)
    return questions


def shows(oracle: Oracle, results: Sequence[str]) -> bool:
    """Whether tool results hold what an answer must say: its words, its places, its number (which may be that of the
    last result's lines), or, where the answer is that there is nothing, nothing."""
    text = "\n".join(results)
    if oracle.kind == "absent":
        return any(result == NOTHING or result.startswith(ERROR) for result in results)
    if oracle.kind == "number":
        (wanted,) = oracle.value
        return re.search(rf"(?<![\w.]){wanted}(?!\w)", text) is not None or str(_lines(results)) == wanted
    if oracle.kind == "places":
        return all(place in text or _numbered(place, text) for place in oracle.value)
    if oracle.kind in ("yes", "no", "unable", "refusal"):
        return True
    if oracle.kind == "words":
        return any(word in text for word in oracle.value)
    return all(value.lstrip("*") in text for value in oracle.value)


def _numbered(place: str, text: str) -> bool:
    """Whether a result has the number as lines of one file have it, without the path, or as counts of files have it."""
    path, _, number = place.rpartition(":")
    return re.search(rf"^{number}(?:[:-]| {re.escape(path)}$)", text, re.MULTILINE) is not None


def _lines(results: Sequence[str]) -> int:
    return len(results[-1].splitlines()) if results and results[-1] != NOTHING else 0


async def _run(question: Question, toolbox: Toolbox) -> list[str]:
    return [await toolbox.call(call.name, arguments_text(call.arguments)) for call in question.plan]


def _question(item: Written) -> Question:
    identity = hashlib.sha256(f"{item.repository}\0{item.text}".encode()).hexdigest()[:12]
    return Question(
        id=identity,
        repository=item.repository,
        category=item.category,
        template=item.name,
        text=item.text,
        plan=item.plan,
        oracle=item.oracle,
        withheld=item.withheld,
    )
