"""A model as the school asks it: through a gateway, each answer in a conversation of its own.

Owns what goes along with a question, and how a conversation that was broken off is taken up. Knows nothing of sets, of
checks or of waiting.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from openai import AsyncOpenAI

from distill.agent import Conversation, Recall, explore
from distill.generate.question import Question
from distill.school.recall import from_traces
from distill.tools import Toolbox
from distill.trace import Trace

_WARMTH = 0.7  # temperature of an answer after the first: at 0 a model would only repeat itself

# The traces of a conversation, as far as they can be had.
Traces = Callable[[str], Awaitable[list[Trace]]]


class Limits(msgspec.Struct, frozen=True):
    """Of one answer: how many calls the agent makes, and how many tokens a turn may have."""

    max_calls: int = 6
    max_tokens: int = 2048


class Asked:
    """`model` is what the gateway calls it, `arm` what traces do. `traces` finds what was recorded of a conversation
    that an earlier run began."""

    def __init__(self, client: AsyncOpenAI, model: str, arm: str, limits: Limits, traces: Traces) -> None:
        self._client, self._model, self._arm, self._limits, self._traces = client, model, arm, limits, traces

    async def known(self, conversation: str) -> Recall:
        """What was said in a conversation already."""
        return from_traces(await self._traces(conversation), self._arm)

    async def ask(
        self, question: Question, toolbox: Toolbox, conversation: str, sample: int, recall: Recall
    ) -> Conversation:
        """One answer, the first at temperature 0. Raises nothing for what the endpoint does."""
        return await explore(
            self._client,
            self._model,
            question.text,
            toolbox,
            max_calls=self._limits.max_calls,
            conversation=conversation,
            max_tokens=self._limits.max_tokens,
            seed=sample,
            temperature=_WARMTH if sample else 0.0,
            metadata={"question": question.id},
            recall=recall,
        )
