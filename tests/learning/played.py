"""Questions about installed packages as the stand-in teacher answers them, whole conversations with what the tools
said; and such as a teacher spoils. Knows nothing of stores, filters or training."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from distill.agent import SYSTEM
from distill.examination.drawn import DrawnExamination, recited, set_drawn
from distill.examination.items import Item
from distill.generate.expert import Expert
from distill.generate.question import Question
from router.chat import FunctionCall, Message, Tool

SPOILT = ("another's answer", "another's work", "a guess")


@dataclass(frozen=True)
class Played:
    """`messages` with the system prompt first; `version` is the digest of the repository's copy; `spoilt` says how,
    or is ''."""

    question: Question
    messages: list[Message]
    tools: list[Tool]
    version: str
    spoilt: str = ""


async def played(examination: DrawnExamination, templates: Path, work: Path) -> list[Played]:
    """Every question of a drawn examination, answered by the expert; copies of the repositories lie in `work` then."""
    expert = Expert.from_folder(templates)
    return [await _one(item, expert) for item in await set_drawn(examination, templates, work)]


async def _one(item: Item, expert: Expert) -> Played:
    said = await recited(item.question, item.toolbox, expert)
    return Played(item.question, [Message("system", SYSTEM), *said], item.toolbox.specs, item.toolbox.version)


def thinking(one: Played) -> Played:
    """The same conversation by a teacher who says before each call what it is for."""
    said = [
        msgspec.structs.replace(message, content=_thought(message.tool_calls[0].function))
        if message.tool_calls
        else message
        for message in one.messages
    ]
    return replace(one, messages=said)


def _thought(call: FunctionCall) -> str:
    wanted = json.loads(call.arguments)
    match call.name:
        case "run_command":
            return f"The answer is in the code: I search it with {wanted['command'].split()[0]}."
        case "read_file":
            return f"I read {wanted['path']} to see it."
        case _:
            return "I look what files there are."


def spoil(these: Sequence[Played], share: float, chance: random.Random) -> list[Played]:
    """The same conversations, so many of them as a teacher leaves them that is wrong and sure of itself: with the
    answer of another question of the kind, with another question's calls and answer, or answered without looking."""
    bad = set(chance.sample(range(len(these)), round(share * len(these))))
    return [_spoilt(one, these, chance) if at in bad else one for at, one in enumerate(these)]


def _spoilt(one: Played, these: Sequence[Played], chance: random.Random) -> Played:
    mine = one.question
    alike = [other for other in these if other.question.template == mine.template and _said(other) != _said(one)]
    near = [other for other in these if other.question.repository == mine.repository and _said(other) != _said(one)]
    how = chance.choice(SPOILT if alike else SPOILT[1:2])
    if how == "another's work":
        return replace(one, messages=[*one.messages[:2], *chance.choice(near).messages[2:]], spoilt=how)
    wrong = msgspec.structs.replace(one.messages[-1], content=_said(chance.choice(alike)))
    kept = one.messages[:-1] if how == "another's answer" else one.messages[:2]
    return replace(one, messages=[*kept, wrong], spoilt=how)


def _said(one: Played) -> str:
    return one.messages[-1].text
