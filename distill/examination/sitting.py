"""Sitting: questions put to any endpoint by the exploring agent. Knows nothing of who answers there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

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


async def examine(
    client: AsyncOpenAI,
    model: str,
    items: Sequence[Item],
    *,
    at_once: int,
    max_tokens: int,
    prefix: str = "exam",
    done: Callable[[], None] = lambda: None,
) -> list[tuple[Mark, Conversation]]:
    """Every question put to `model`, `at_once` of them at a time; `done` is called after each."""
    free = asyncio.Semaphore(at_once)

    async def one(item: Item) -> tuple[Mark, Conversation]:
        async with free:
            found = await _put(client, model, item, f"{prefix}/{model}", max_tokens)
            done()
            return found

    return await asyncio.gather(*(one(item) for item in items))


async def sit(
    client: AsyncOpenAI,
    arm: Arm,
    items: Sequence[Item],
    keep: Callable[[Answered], None],
    *,
    at_once: int,
    max_tokens: int,
) -> None:
    """These questions put to an arm; `keep` gets each answer when it is there.

    An endpoint that fails more than a tenth of them, and more than four, is asked nothing more: what is left stays
    unanswered.
    """
    free = asyncio.Semaphore(at_once)
    most = max(_FEW, FAILURES * len(items))
    failures = 0

    async def one(item: Item) -> None:
        nonlocal failures
        async with free:
            if failures > most:
                return
            done = await _answer(client, arm, item, max_tokens)
            failures += done.failed
            keep(done)

    await asyncio.gather(*(one(item) for item in items))


async def _answer(client: AsyncOpenAI, arm: Arm, item: Item, max_tokens: int) -> Answered:
    shown = arm.prompt.messages(item.toolbox.vocabulary or EXPLORE, item.toolbox.specs) if arm.prompt else []
    prompted = msgspec.structs.replace(item, earlier=(*shown, *item.earlier))
    system = arm.prompt.system.strip() if arm.prompt else SYSTEM
    made, conversation = await _put(client, arm.model, prompted, f"exam/{arm.label}", max_tokens, system)
    return answered(item, made, conversation, 1 + len(prompted.earlier))


async def _put(
    client: AsyncOpenAI, model: str, item: Item, name: str, max_tokens: int, system: str = SYSTEM
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
    return await marked(item.question, conversation, item.toolbox), conversation
