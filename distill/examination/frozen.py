"""Frozen examinations: a folder with `examination.toml`, which a person writes, and `items.jsonl`, which is made of it.

Owns both forms, and that an item is only asked about the very files that it was made from. Items carry their
question, plan and oracle in full, and the vocabularies that they are asked in stand beside them, so that templates and
vocabularies may change afterwards. Knows nothing of who answers, or of how items are made.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from distill.digest import combined_digest, file_digest
from distill.errors import QuestionError
from distill.examination.archives import Archive, open_archive
from distill.examination.items import Item, offered
from distill.generate.question import Question
from distill.tools import Toolbox
from distill.vocabularies import EXPLORE, Vocabulary, load_vocabularies
from router.chat import Message

FORMAT = 1
DEFINITION, ITEMS, VOCABULARIES = "examination.toml", "items.jsonl", "vocabularies"


class Drawing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How items are drawn when the examination is frozen: how many altogether, the seed, and the characters of tool
    results that a question may need."""

    questions: int
    seed: int
    result_limit: int = 2000


class Definition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """examination.toml. `version` goes up whenever the items change: marks of two versions are not compared. Items
    are drawn as `drawn` says, and written by hand as `written.toml` has them."""

    name: str
    version: int
    max_tokens: Annotated[int, msgspec.Meta(gt=0)]
    archive: list[Archive]
    drawn: Drawing | None = None


class FrozenItem(msgspec.Struct, frozen=True):
    """A line of items.jsonl. `tree` is the digest of the files that the question is about."""

    question: Question
    tree: str
    earlier: tuple[Message, ...] = ()


class FrozenExamination(msgspec.Struct, frozen=True):
    """`vocabularies` are those that its items were frozen with, as they were then."""

    definition: Definition
    items: tuple[FrozenItem, ...]
    vocabularies: dict[str, Vocabulary]

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def version(self) -> int:
        return self.definition.version

    @property
    def max_tokens(self) -> int:
        return self.definition.max_tokens

    @property
    def repositories(self) -> list[str]:
        """The names of what is asked about: nothing of these is ever trained on."""
        return [archive.name for archive in self.definition.archive]


class _Head(msgspec.Struct, frozen=True):
    """The first line of items.jsonl. `sha256` is that of the lines after it and of the vocabularies' files."""

    format: int
    examination: str
    version: int
    items: int
    sha256: str


def read_definition(folder: Path) -> Definition:
    """Raises QuestionError saying what is wrong with the file."""
    path = folder / DEFINITION
    try:
        definition = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Definition)
    except (OSError, ValueError) as error:
        raise QuestionError(f"{path}: {error}") from error
    if twice := _twice(archive.name for archive in definition.archive):
        raise QuestionError(f"{path}: there are two archives called {twice!r}")
    return definition


def read_frozen(folder: Path) -> FrozenExamination:
    """Raises QuestionError where the folder's files are damaged, do not belong together, or have a later format."""
    definition = read_definition(folder)
    path = folder / ITEMS
    try:
        first, _, rest = path.read_bytes().partition(b"\n")
        head = msgspec.json.decode(first, type=_Head)
        if head.format != FORMAT:
            raise QuestionError(f"{path}: format {head.format} is not known; this version reads format {FORMAT}")
        items = tuple(msgspec.json.decode(line, type=FrozenItem) for line in rest.splitlines())
    except (OSError, ValueError, RecursionError) as error:
        raise QuestionError(f"{path}: {error}") from error
    if head.items != len(items) or head.sha256 != _digest(folder, rest):
        raise QuestionError(f"{path}: it or a vocabulary was changed after it was made; it is made again, not edited")
    vocabularies = load_vocabularies(folder / VOCABULARIES)
    if fault := _fault(definition, head, items) or _unsayable(items, vocabularies):
        raise QuestionError(f"{path}: {fault}")
    return FrozenExamination(definition, items, vocabularies)


def write_items(folder: Path, definition: Definition, items: Sequence[FrozenItem], vocabularies: Path) -> None:
    """Write items.jsonl, whole or not at all, and beside it those of the folder `vocabularies` that the items use."""
    used = {item.question.vocabulary for item in items} - {EXPLORE.name}
    shutil.rmtree(folder / VOCABULARIES, ignore_errors=True)
    for name in sorted(used):
        (folder / VOCABULARIES).mkdir(exist_ok=True)
        shutil.copyfile(vocabularies / f"{name}.toml", folder / VOCABULARIES / f"{name}.toml")
    rest = b"".join(msgspec.json.encode(item, order="deterministic") + b"\n" for item in items)
    head = _Head(FORMAT, definition.name, definition.version, len(items), _digest(folder, rest))
    partial = folder / f"{ITEMS}.partial"
    partial.write_bytes(msgspec.json.encode(head) + b"\n" + rest)
    partial.rename(folder / ITEMS)


async def set_frozen(examination: FrozenExamination, repositories: Path) -> list[Item]:
    """The items with their tools, on repositories that are fetched and unpacked under `repositories` when they are not
    there yet. Raises ArchiveError where one cannot be had or is another than the items were made from."""
    known = examination.vocabularies
    roots = await open_all(examination.definition.archive, repositories)
    tools = {name: Toolbox(root, version=root.parent.name) for name, root in roots.items()}
    return [
        Item(item.question, offered(item.question, tools[item.question.repository], known), item.earlier)
        for item in examination.items
    ]


async def open_all(archives: Iterable[Archive], repositories: Path) -> dict[str, Path]:
    """Each archive's folder by its repository's name, one after the other: pip is asked for one at a time."""
    return {archive.name: await asyncio.to_thread(open_archive, archive, repositories) for archive in archives}


def _digest(folder: Path, lines: bytes) -> str:
    files = sorted((folder / VOCABULARIES).glob("*.toml"))
    return combined_digest([hashlib.sha256(lines).hexdigest(), *(f"{file.name} {file_digest(file)}" for file in files)])


def _fault(definition: Definition, head: _Head, items: Sequence[FrozenItem]) -> str:
    """What is wrong with items that could be read, or ''."""
    if (head.examination, head.version) != (definition.name, definition.version):
        return f"it is {head.examination} {head.version}, {DEFINITION} is {definition.name} {definition.version}"
    if not items:
        return "there are no items"
    if twice := _twice(item.question.id for item in items):
        return f"two items have the id {twice!r}"
    trees = {archive.name: archive.tree for archive in definition.archive}
    for item in items:
        name = item.question.repository
        if name not in trees:
            return f"item {item.question.id} is about {name!r}, of which there is no archive"
        if trees[name] != item.tree:
            return f"item {item.question.id} was made from other files of {name} than {DEFINITION} names"
    return ""


def _unsayable(items: Sequence[FrozenItem], vocabularies: Mapping[str, Vocabulary]) -> str:
    """An item in a vocabulary that is not there, or in which its plan cannot be said."""
    for item in items:
        question = item.question
        if question.vocabulary not in vocabularies:
            return f"item {question.id} is asked in {question.vocabulary!r}, of which there is no vocabulary"
        if any(vocabularies[question.vocabulary].spoken(call) is None for call in question.plan):
            return f"item {question.id} has a plan that cannot be said in {question.vocabulary!r}"
    return ""


def _twice(names: Iterable[str]) -> str:
    return next((name for name, times in Counter(names).items() if times > 1), "")
