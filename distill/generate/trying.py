"""Trying: whether a question is answered by its plan in the repository that it is about.

Owns the trial: a pattern that matches too much or too little for the facts, and results that are too long, are found
out here. Most of what the tools say is read within this process; the rest by the tools themselves.
"""

from __future__ import annotations

import hashlib

import msgspec

from distill.generate.expert import UNABLE, arguments_text
from distill.generate.oracle import right
from distill.generate.plans import proceed
from distill.generate.question import Oracle, Question
from distill.generate.templates import Call, Recognised, Template
from distill.reading import Reader
from distill.tools import Toolbox


class Candidate(msgspec.Struct, frozen=True):
    """A question that nobody tried yet; `pair` is the id of the one that needs a tool."""

    template: Template
    recognised: Recognised
    text: str
    oracle: Oracle
    pair: str = ""


class Trial:
    """Trials in one repository, whose results may have `limit` characters together unless a template says otherwise."""

    def __init__(self, repository: str, toolbox: Toolbox, limit: int) -> None:
        self._repository = repository
        self._toolbox = toolbox
        self._reader = Reader(toolbox.root, toolbox.limits)
        self._limit = limit

    async def question(self, candidate: Candidate) -> Question | None:
        """The question with its plan; None where the plan does not lead to the right answer."""
        template = candidate.template
        calls: list[Call] = []
        answer = UNABLE if template.withheld else await self._walk(candidate, calls)
        if answer is None:
            return None
        question = Question(
            id=hashlib.sha256(f"{self._repository}\0{candidate.text}".encode()).hexdigest()[:12],
            repository=self._repository,
            category=template.category,
            template=template.name,
            text=candidate.text,
            plan=calls,
            oracle=candidate.oracle,
            withheld=template.withheld,
            pair=candidate.pair,
        )
        return question if right(question, answer) else None

    async def _walk(self, candidate: Candidate, calls: list[Call]) -> str | None:
        """The answer at the plan's end, with its calls added to `calls`; None where results are too long, or a call
        comes twice."""
        left = candidate.template.limit or self._limit
        results: list[str] = []
        while (outcome := proceed(candidate.recognised, results)).call is not None:
            if outcome.call in calls:
                return None
            calls.append(outcome.call)
            results.append(await self._result(outcome.call))
            left -= len(results[-1])
            if left < 0:
                return None
        return outcome.answer

    async def _result(self, call: Call) -> str:
        arguments = arguments_text(call.arguments)
        said = self._reader.answer(call.name, arguments)
        return await self._toolbox.call(call.name, arguments) if said is None else said
