"""Sets of questions: drawn once from repositories and templates, kept in a folder named by what went into them.

Owns the folder's name and that a set is there whole or not at all. Knows nothing of who answers.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from distill.digest import combined_digest, file_digest
from distill.errors import QuestionError
from distill.facts import collect
from distill.generate.question import Question
from distill.generate.questions import generate
from distill.generate.templates import Template, load_templates
from distill.school.copies import Repository
from distill.tools import Toolbox

QUESTIONS = "questions.jsonl"
_INPUTS = "set.json"
_UNFINISHED = ".making-"
_VERSION = 1  # of how a set is drawn: another one makes other sets
_NAME = 16  # hex digits
_QUESTION = msgspec.json.Decoder(Question)


class Inputs(msgspec.Struct, frozen=True):
    """What a set is made from: the repositories by name and digest, the templates' digest, how many questions, the seed
    that draws them, and how much more than others some templates are wanted (none named: as they are)."""

    repositories: dict[str, str]
    templates: str
    total: int
    seed: int
    weights: dict[str, float] = {}
    version: int = _VERSION

    @property
    def name(self) -> str:
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:_NAME]


class QuestionSet(msgspec.Struct, frozen=True):
    """A set's folder, name and questions."""

    folder: Path
    name: str
    questions: list[Question]


def templates_digest(folder: Path) -> str:
    """A name for what the question templates say."""
    files = sorted(folder.glob("*.toml"))
    return combined_digest(f"{path.name} {file_digest(path)}" for path in files)


def inputs_of(
    repositories: Sequence[Repository], templates: Path, total: int, seed: int, weights: Mapping[str, float]
) -> Inputs:
    digests = {one.name: one.digest for one in repositories}
    return Inputs(digests, templates_digest(templates), total, seed, dict(weights))


async def opened(
    inputs: Inputs,
    repositories: Sequence[Repository],
    templates: Path,
    sets: Path,
    drawing: Callable[[], None] = lambda: None,
) -> QuestionSet:
    """The set of these inputs below `sets`, drawn where it is not there yet, of which `drawing` is told.

    Raises QuestionError for templates or a set that are damaged, and where the repositories offer no question.
    """
    folder = sets / inputs.name
    if not (folder / QUESTIONS).exists():
        drawing()
        drawn = await draw(repositories, load_templates(templates), inputs.total, inputs.seed, inputs.weights)
        if not drawn:
            raise QuestionError("these repositories offer no question: they have no code that the templates ask about")
        _write(folder, inputs, drawn)
    return QuestionSet(folder, inputs.name, _read(folder / QUESTIONS))


async def draw(
    repositories: Sequence[Repository],
    templates: Sequence[Template],
    total: int,
    seed: int,
    weights: Mapping[str, float],
) -> list[Question]:
    """Up to `total` questions, an equal share of each repository, each text once."""
    wanted = [_weighted(one, weights) for one in templates if not weights or one.name in weights]
    found: list[Question] = []
    for at, repository in enumerate(repositories):
        count = total // len(repositories) + (at < total % len(repositories))
        facts = await asyncio.to_thread(collect, repository.root, repository.name)
        toolbox = Toolbox(repository.root, version=repository.digest)
        asked = {question.text for question in found}
        found += await generate(facts, wanted, toolbox, count, seed, exclude=asked)
    return found


def _weighted(template: Template, weights: Mapping[str, float]) -> Template:
    return msgspec.structs.replace(template, weight=template.weight * weights.get(template.name, 1.0))


def _write(folder: Path, inputs: Inputs, questions: Sequence[Question]) -> None:
    """All at once: whoever sees the folder sees the whole set."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder.parent))
    try:
        (work / _INPUTS).write_bytes(msgspec.json.format(msgspec.json.encode(inputs), indent=2) + b"\n")
        with (work / QUESTIONS).open("wb") as file:
            file.writelines(msgspec.json.encode(question) + b"\n" for question in questions)
            file.flush()
            os.fsync(file.fileno())
        work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _read(path: Path) -> list[Question]:
    try:
        return [_QUESTION.decode(line) for line in path.read_bytes().splitlines()]
    except msgspec.MsgspecError as error:
        raise QuestionError(f"{path} is damaged ({error}): delete its folder to draw it again") from error
