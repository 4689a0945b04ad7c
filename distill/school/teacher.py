"""The teacher as the school asks it. Owns the names of its conversations, and how the gateway is told that an answer is
not to be learnt. Knows nothing of sets, of checks or of waiting.
"""

from __future__ import annotations

import contextlib

from openai import AsyncOpenAI, NotFoundError, OpenAIError

from distill.errors import DistillError
from distill.generate.question import Question
from distill.school.asked import Asked, Limits, Traces

_SET_ASIDE = -1.0  # the score of what is not to be learnt


class NotTold(DistillError):
    """The gateway could not be told which answers are not to be learnt."""


class Teacher(Asked):
    """`model` is what the gateway calls it."""

    def __init__(self, client: AsyncOpenAI, model: str, limits: Limits, traces: Traces) -> None:
        super().__init__(client, model, "teacher", limits, traces)

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
