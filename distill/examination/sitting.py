"""Sitting: questions put to any endpoint by the exploring agent. Knows nothing of who answers there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import msgspec
from openai import AsyncOpenAI

from distill.agent import SYSTEM, Conversation, explore
from distill.examination.answers import Answered, answered
from distill.examination.arms import Arm
from distill.examination.items import Item
from distill.examination.marking import Mark
from distill.examination.matching import marked
from distill.vocabularies import EXPLORE

FAILURES = 0.1  # the share of questions that an endpoint may fail to answer before its arm has no scores
_FEW = 4  # failures that stop no arm, however short the examination is


class Pace(NamedTuple):
    """How questions are put: the `alone` ones first, one after the other, then the others, `at_once` at a time."""

    at_once: int
    alone: frozenset[str] = frozenset()  # their ids


def pace(items: Sequence[Item], at_once: int, timed: int) -> Pace:
    """So that the seconds of `timed` questions, spread over all of them, are those of somebody who asks alone."""
    count = len(items) if at_once == 1 else min(timed, len(items))
    return Pace(at_once, frozenset(items[place * len(items) // count].question.id for place in range(count)))


async def examine(
    client: AsyncOpenAI,
    model: str,
    items: Sequence[Item],
    *,
    pace: Pace,
    max_tokens: int,
    prefix: str = "exam",
    done: Callable[[], None] = lambda: None,
) -> list[tuple[Mark, Conversation]]:
    """Every question put to `model`; `done` is called after each."""
    found: dict[str, tuple[Mark, Conversation]] = {}

    async def one(item: Item, alone: bool) -> None:
        found[item.question.id] = await _put(client, model, item, f"{prefix}/{model}", max_tokens, alone=alone)
        done()

    await _paced(items, pace, one)
    return [found[item.question.id] for item in items]


async def sit(
    client: AsyncOpenAI,
    arm: Arm,
    items: Sequence[Item],
    keep: Callable[[Answered], None],
    *,
    pace: Pace,
    max_tokens: int,
) -> None:
    """These questions put to an arm; `keep` gets each answer when it is there.

    An endpoint that fails more than a tenth of them, and more than four, is asked nothing more: what is left stays
    unanswered.
    """
    most = max(_FEW, FAILURES * len(items))
    failures = 0

    async def one(item: Item, alone: bool) -> None:
        nonlocal failures
        if failures > most:
            return
        done = await _answer(client, arm, item, max_tokens, alone)
        failures += done.failed
        keep(done)

    await _paced(items, pace, one)


async def _paced(items: Sequence[Item], pace: Pace, one: Callable[[Item, bool], Awaitable[None]]) -> None:
    free = asyncio.Semaphore(pace.at_once)

    async def among_others(item: Item) -> None:
        async with free:
            await one(item, False)

    for item in items:
        if item.question.id in pace.alone:
            await one(item, True)
    await asyncio.gather(*(among_others(item) for item in items if item.question.id not in pace.alone))


async def _answer(client: AsyncOpenAI, arm: Arm, item: Item, max_tokens: int, alone: bool) -> Answered:
    shown = arm.prompt.messages(item.toolbox.vocabulary or EXPLORE, item.toolbox.specs) if arm.prompt else []
    prompted = msgspec.structs.replace(item, earlier=(*shown, *item.earlier))
    system = arm.prompt.system.strip() if arm.prompt else SYSTEM
    made, conversation = await _put(client, arm.model, prompted, f"exam/{arm.label}", max_tokens, system, alone=alone)
    return answered(item, made, conversation, 1 + len(prompted.earlier))


async def _put(
    client: AsyncOpenAI, model: str, item: Item, name: str, max_tokens: int, system: str = SYSTEM, *, alone: bool
) -> tuple[Mark, Conversation]:
    """One question put to a model, in a conversation that is called after `name`."""
    conversation = await explore(
        client,
        model,
        item.question.text,
        item.toolbox,
        earlier=item.earlier,
        conversation=f"{name}/{item.question.id}",
        max_tokens=max_tokens,
        system=system,
    )
    made = await marked(item.question, conversation, item.toolbox)
    return msgspec.structs.replace(made, alone=alone), conversation
