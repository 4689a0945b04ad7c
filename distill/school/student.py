"""The student, let try first, so that the teacher can go on from where it went wrong.

What a student does by itself leads to states that a teacher, which errs less, never shows it; a teacher's answer from
there, checked, is what it lacks (DAgger, Ross, Gordon and Bagnell 2011; with tools and several turns only guided like
this). Owns the attempt and how much of it is kept; knows nothing of how answers are checked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from openai import AsyncOpenAI

from distill.agent import Conversation, Recall, Said
from distill.generate.question import Question
from distill.school.asked import Asked, Limits, Traces
from distill.school.recall import from_turns
from distill.tools import Toolbox


class Student(Asked):
    """`model` is what the gateway calls it."""

    def __init__(self, client: AsyncOpenAI, model: str, limits: Limits, traces: Traces) -> None:
        super().__init__(client, model, "student", limits, traces)

    async def attempt(self, question: Question, toolbox: Toolbox, conversation: str) -> Conversation:
        """How it answers by itself, beside the teacher's conversation. Raises nothing for what its endpoint does."""
        name = f"{conversation}/student"
        return await self.ask(question, toolbox, name, 0, await self.known(name))

    def state(self, question: Question, attempt: Conversation, before: Recall) -> Recall:
        """The attempt as the beginning of the teacher's answer; else what `before` knows.

        How many of its turns are kept is drawn by the question, from one to all whose calls were answered, as far as
        enough calls are left for the teacher. A student that never called leaves the teacher the question alone.
        """
        turns = _answered(attempt.said, self._limits.max_calls - len(question.plan))
        if not turns:
            return before
        drawn = int.from_bytes(hashlib.blake2b(question.id.encode(), digest_size=4).digest())
        return from_turns(attempt.messages, turns[: 1 + drawn % len(turns)], before)


def _answered(said: Sequence[Said], most: int) -> list[Said]:
    """The turns with calls that a tool has answered, up to so many calls; the last turn of an attempt ended it."""
    kept: list[Said] = []
    calls = 0
    for turn in said[:-1]:
        calls += len(turn.message.tool_calls or ())
        if calls > most:
            break
        kept.append(turn)
    return kept
