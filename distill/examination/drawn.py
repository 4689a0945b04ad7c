"""Drawn examinations: their definition, and the questions that it draws from installed packages.

Owns how an examination is made. Knows nothing of adapters, promotion or who answers.
"""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from distill.errors import QuestionError
from distill.examination.items import Item, offered
from distill.facts import collect
from distill.generate.expert import Expert
from distill.generate.question import Question
from distill.generate.questions import generate
from distill.generate.repositories import digest, snapshot
from distill.generate.templates import Template, load_templates
from distill.tools import Toolbox
from distill.vocabularies import EXPLORE
from router.chat import Message

_OWN = {EXPLORE.name: EXPLORE}


class DrawnExamination(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """data/examinations/<name>.toml: the repositories (installed packages) that are asked about, how many questions
    altogether, the seed that draws them, and the kinds of questions (templates by name; none named: all). `history` is
    how many answered questions about the same repository stand before each: a long conversation. Nothing about these
    repositories is ever trained on."""

    name: str
    version: int
    repositories: list[str]
    questions: int
    seed: int
    kinds: list[str] = []
    history: int = 0
    result_limit: int = 200
    max_tokens: int = 72


def read_drawn(path: Path) -> DrawnExamination:
    """Raises QuestionError saying what is wrong with the file."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), DrawnExamination)
    except (OSError, ValueError) as error:
        raise QuestionError(f"{path}: {error}") from error


async def set_drawn(
    examination: DrawnExamination, templates: Path, work: Path, exclude: frozenset[str] = frozenset()
) -> list[Item]:
    """The examination's questions, the same for the same repositories, with snapshots of these under `work`.

    `exclude` holds question texts that were trained on. Each repository gives an equal share.
    """
    loaded = _chosen(load_templates(templates), examination.kinds)
    expert = Expert(loaded)
    counts = _spread(examination.questions, len(examination.repositories))
    items: list[Item] = []
    for name, count in zip(examination.repositories, counts, strict=True):
        root = await asyncio.to_thread(snapshot, name, work)
        toolbox = Toolbox(root, version=await asyncio.to_thread(digest, root))
        asked = exclude | {item.question.text for item in items}
        facts = collect(root, name)
        limit = examination.result_limit
        wanted = count + examination.history
        drawn = await generate(facts, loaded, toolbox, wanted, examination.seed, limit=limit, exclude=asked)
        said = [await recited(one, offered(one, toolbox, _OWN), expert) for one in drawn[count:]]
        earlier = tuple(message for exchange in said for message in exchange)
        items += [Item(one, offered(one, toolbox, _OWN), earlier) for one in drawn[:count]]
    return items


async def recited(question: Question, toolbox: Toolbox, expert: Expert) -> list[Message]:
    """The question as the stand-in teacher answers it, with what the tools say."""
    messages = [Message("user", question.text)]
    while True:
        turn = expert.answer(messages, toolbox.specs)
        messages.append(Message("assistant", turn.content, turn.tool_calls))
        if not turn.tool_calls:
            return messages
        for call in turn.tool_calls:
            result = await toolbox.call(call.function.name, call.function.arguments)
            messages.append(Message("tool", result, tool_call_id=call.id))


def _chosen(templates: list[Template], kinds: Sequence[str]) -> list[Template]:
    """Raises QuestionError for a kind that no template has."""
    known = {template.name for template in templates}
    if unknown := sorted(set(kinds) - known):
        raise QuestionError(f"no template is called {unknown[0]!r}")
    return [template for template in templates if not kinds or template.name in kinds]


def _spread(total: int, parts: int) -> list[int]:
    return [total // parts + (index < total % parts) for index in range(parts)]
