"""Sitting: questions put to any endpoint by the exploring agent. Knows nothing of who answers there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from openai import AsyncOpenAI

from distill.agent import Conversation, explore
from distill.examination.items import Item
from distill.examination.marking import Mark
from distill.examination.matching import marked


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
            identity = f"{prefix}/{model}/{item.question.id}"
            conversation = await explore(
                client,
                model,
                item.question.text,
                item.toolbox,
                earlier=item.earlier,
                conversation=identity,
                max_tokens=max_tokens,
            )
            done()
            return await marked(item.question, conversation, item.toolbox), conversation

    return await asyncio.gather(*(one(item) for item in items))
