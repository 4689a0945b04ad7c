"""The teacher as the school asks it: through a gateway, each answer in a conversation of its own.

Owns the conversations' names, what goes along with a question, and how the gateway is told that an answer is not to be
learnt. Knows nothing of sets, of checks or of waiting.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

import msgspec
from openai import AsyncOpenAI, NotFoundError, OpenAIError

from distill.agent import Conversation, Recall, explore
from distill.errors import DistillError
from distill.generate.question import Question
from distill.school.recall import from_traces
from distill.tools import Toolbox
from distill.trace import Trace

_WARMTH = 0.7  # temperature of an answer after the first: at 0 the teacher would only repeat itself
_SET_ASIDE = -1.0  # the score of what is not to be learnt

# The traces of a conversation, as far as they can be had.
Traces = Callable[[str], Awaitable[list[Trace]]]


class NotTold(DistillError):
    """The gateway could not be told which answers are not to be learnt."""


class Limits(msgspec.Struct, frozen=True):
    """Of one answer: how many calls the agent makes, and how many tokens a turn may have."""

    max_calls: int = 6
    max_tokens: int = 2048


class Teacher:
    """`traces` finds what was recorded of a conversation that an earlier run began."""

    def __init__(self, client: AsyncOpenAI, model: str, limits: Limits, traces: Traces) -> None:
        self._client = client
        self._model = model
        self._limits = limits
        self._traces = traces

    async def known(self, conversation: str) -> Recall:
        """What was said in a conversation already."""
        return from_traces(await self._traces(conversation))

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

    async def set_aside(self, trace: str, reason: str) -> None:
        """Have nights not learn the answer that ends in a trace. One that was forgotten needs it no more.

        Raises NotTold.
        """
        body = {"id": trace, "score": _SET_ASIDE, "comment": f"nightschool generate: {reason}"}
        try:
            with contextlib.suppress(NotFoundError):
                await self._client.post("/feedback", cast_to=object, body=body)
        except OpenAIError as error:
            raise NotTold(f"the gateway could not be told what is not to be learnt: {error}") from error


def conversation_of(set_name: str, question: Question, sample: int) -> str:
    """The name of a conversation: the same in every run of the same set."""
    return f"generate/{set_name}/{question.id}/{sample}"
