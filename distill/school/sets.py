"""Sets of questions: drawn once from repositories and templates, kept in a folder named by what went into them.

Owns the folder's name and that a set is there whole or not at all. Knows nothing of who answers.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from distill.digest import combined_digest, file_digest
from distill.errors import QuestionError
from distill.facts import Facts, collect
from distill.generate.drawing import draw
from distill.generate.question import Question
from distill.generate.questions import SHARES
from distill.generate.templates import Template, load_templates
from distill.school.copies import Repository
from distill.school.failures import Failure, weights_of
from distill.unfinished import unfinished
from distill.vocabularies import load_vocabularies
from distill.vocabularies.choosing import with_vocabularies

QUESTIONS = "questions.jsonl"
_INPUTS = "set.json"
_VERSION = 1  # of how a set is drawn: another one makes other sets
_NAME = 16  # hex digits
_QUESTION = msgspec.json.Decoder(Question)


class Inputs(msgspec.Struct, frozen=True):
    """What a set is made from: the repositories by name and digest, the templates' digest, how many questions, the seed
    that draws them; the tool vocabularies by name and digest, and the share that is asked in the exploring agent's own;
    the templates that are wanted with their weights (none named: all, by their own); the student that tries first."""

    repositories: dict[str, str]
    templates: str
    total: int
    seed: int
    vocabularies: dict[str, str]
    explore: float = 0.5
    weights: dict[str, int] = {}
    version: int = _VERSION
    student: str = ""

    @property
    def name(self) -> str:
        told = msgspec.json.encode(self, order="deterministic")
        if not self.student:  # so that sets of before there were such keep their names
            told = told.removesuffix(b',"student":""}') + b"}"
        return hashlib.sha256(told).hexdigest()[:_NAME]


class QuestionSet(msgspec.Struct, frozen=True):
    """A set's folder, name and questions."""

    folder: Path
    name: str
    questions: list[Question]


class Sources(msgspec.Struct, frozen=True):
    """The folders that questions come from."""

    templates: Path
    vocabularies: Path


def inputs_of(
    repositories: Sequence[Repository], sources: Sources, total: int, seed: int, failures: Sequence[Failure] = ()
) -> Inputs:
    """What a set is made from that asks of everything, or of what failed: then the templates that did, in the
    vocabularies that did. Raises QuestionError."""
    digests = {one.name: one.digest for one in repositories}
    templates = combined_digest(f"{path.name} {file_digest(path)}" for path in sorted(sources.templates.glob("*.toml")))
    spoken = {path.stem: file_digest(path) for path in sorted(sources.vocabularies.glob("*.toml"))}
    if not failures:
        return Inputs(digests, templates, total, seed, spoken)
    weights = weights_of(failures, load_templates(sources.templates))
    failed = {name: content for name, content in spoken.items() if any(one.vocabulary == name for one in failures)}
    explore = sum(one.vocabulary not in failed for one in failures) / len(failures)
    return Inputs(digests, templates, total, seed, failed, round(explore, 2), weights)


async def opened(
    inputs: Inputs,
    repositories: Sequence[Repository],
    sources: Sources,
    sets: Path,
    progress: Callable[[], None] = lambda: None,
    facts_of: Callable[[Path], Facts] = collect,
) -> QuestionSet:
    """The set of these inputs below `sets`, drawn where it is not there yet, from a copy's facts that `facts_of` gives;
    `progress` is called after each question that is found.

    Raises QuestionError for templates or a set that are damaged, and where the repositories offer no question.
    """
    folder = sets / inputs.name
    if not (folder / QUESTIONS).exists():
        drawn = await _drawn(inputs, repositories, sources, progress, facts_of)
        if not drawn:
            raise QuestionError("these repositories offer no question: they have no code that the templates ask about")
        _write(folder, inputs, drawn)
    return QuestionSet(folder, inputs.name, _read(folder / QUESTIONS))


async def _drawn(
    inputs: Inputs,
    repositories: Sequence[Repository],
    sources: Sources,
    progress: Callable[[], None],
    facts_of: Callable[[Path], Facts],
) -> list[Question]:
    loaded = load_templates(sources.templates)
    wanted = [_weighted(one, inputs.weights) for one in loaded if not inputs.weights or one.name in inputs.weights]
    roots = [one.root for one in repositories]
    shares = _shares(wanted, inputs)
    found = await draw(roots, wanted, inputs.total, inputs.seed, shares=shares, progress=progress, facts_of=facts_of)
    known = load_vocabularies(sources.vocabularies)
    spoken = {name: one for name, one in known.items() if name in inputs.vocabularies}
    return with_vocabularies(found, spoken, inputs.seed, inputs.explore)


def _shares(templates: Sequence[Template], inputs: Inputs) -> dict[str, int]:
    """How the total is spread over categories: as always, or as the templates' weights are."""
    if not inputs.weights:
        return SHARES
    shares = dict.fromkeys(SHARES, 0)
    for template in templates:
        shares[template.category] += inputs.weights[template.name]
    return {category: share for category, share in shares.items() if share}


def _weighted(template: Template, weights: Mapping[str, int]) -> Template:
    return msgspec.structs.replace(template, weight=float(weights.get(template.name, template.weight)))


def _write(folder: Path, inputs: Inputs, questions: Sequence[Question]) -> None:
    """All at once: whoever sees the folder sees the whole set."""
    with unfinished(folder.parent) as work:
        made = work / folder.name
        made.mkdir(mode=0o700)
        (made / _INPUTS).write_bytes(msgspec.json.format(msgspec.json.encode(inputs), indent=2) + b"\n")
        with (made / QUESTIONS).open("wb") as file:
            file.writelines(msgspec.json.encode(question) + b"\n" for question in questions)
            file.flush()
            os.fsync(file.fileno())
        made.rename(folder)


def _read(path: Path) -> list[Question]:
    try:
        return [_QUESTION.decode(line) for line in path.read_bytes().splitlines()]
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise QuestionError(f"{path} is damaged ({error}): delete its folder to draw it again") from error
