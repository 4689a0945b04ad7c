"""The agents' load: conversations that share a prompt with three tools and go on for some turns, all at the same time.

Owns what is asked, how it is sent, and the least number of prompt tokens that any server would have to compute for it.
Every text is the same in every run; tool results are lines of a module of Python's own, as read_file shows them.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import aiohttp
import msgspec

from distill.agent import SYSTEM
from distill.render import Renderer
from distill.tools import SPECS
from tests.bench import wire
from tests.bench.servers import Server
from tests.bench.wire import Answer

TOOLS = msgspec.to_builtins(SPECS)
GUIDE = (
    SYSTEM + " Read the lines around a match before you say what the code does, name the file and the line you rely "
    "on, and say that you do not know when the tools show nothing. Never guess a path: list a directory first. Keep "
    "the answer to a few sentences."
)
QUESTIONS = (
    "Where are the option strings of a parser sorted into short and long ones, and which function does it?",
    "How does the help formatter decide how wide the column of argument names may become?",
    "What happens when a positional argument with nargs='*' receives nothing at all on the command line?",
    "Which class raises the error that is shown when two mutually exclusive options are given together?",
    "Explain the steps by which a namespace is filled with the default values before anything is parsed.",
    "Why are arguments that look like negative numbers treated apart from options, and where is that decided?",
    "List the actions that can be registered by name and describe the two that store a constant.",
    "Describe how sub-commands are dispatched once the name of the sub-parser has been recognised.",
)
_RESULT_TOKENS = 200
_LINES = 14  # of a tool result; cut to the tokens wanted


@dataclass(frozen=True)
class Shape:
    """How large a load is. `output` tokens are asked for in each turn."""

    conversations: int = 8
    turns: int = 4
    output: int = 24


@dataclass
class Outcome:
    """What one run of a load gave: `answers` by conversation and turn, `asked` the messages each was an answer to,
    `warm` the answer before them all. A conversation ends with its first failure; `failed` says what they were."""

    warm: Answer
    wall: float = 0.0
    asked: list[list[list[dict[str, Any]]]] = field(default_factory=list)
    answers: list[list[Answer]] = field(default_factory=list)

    @property
    def failed(self) -> list[str]:
        return [f"{answer.status}: {answer.error}" for answer in self.all if answer.error]

    def whole(self) -> Outcome:
        """Itself. Raises BrokenAnswerError when a request failed."""
        if self.failed:
            raise wire.BrokenAnswerError(self.failed[0])
        return self

    @property
    def all(self) -> list[Answer]:
        return [answer for turns in self.answers for answer in turns]

    @property
    def prompt_tokens(self) -> int:
        return sum(answer.prompt_tokens for answer in self.all)

    @property
    def computed(self) -> int:
        """Prompt tokens the server says it did not have."""
        return sum(answer.prompt_tokens - answer.cached_tokens for answer in self.all)

    @property
    def output_tokens(self) -> int:
        return sum(answer.output_tokens for answer in self.all)

    def first(self, turn: int) -> float:
        """Median seconds to the first piece of the answers of one turn, counted from 1."""
        return statistics.median(turns[turn - 1].first for turns in self.answers)


def conversation(number: int) -> list[dict[str, Any]]:
    """How conversation `number` begins."""
    question = QUESTIONS[number % len(QUESTIONS)]
    again = number // len(QUESTIONS)
    return [
        {"role": "system", "content": GUIDE},
        {"role": "user", "content": question + (f" (Asked for the {again + 1}. time.)" if again else "")},
    ]


def tool_result(renderer: Renderer, number: int, turn: int) -> dict[str, Any]:
    """The result that follows the answer to `turn` of a conversation: about 200 tokens that no other one holds."""
    text = excerpt(renderer, _LINES * (number * 7 + turn), _RESULT_TOKENS)
    return {"role": "tool", "tool_call_id": f"call_{number}_{turn}", "name": "read_file", "content": text}


def excerpt(renderer: Renderer, start: int, tokens: int) -> str:
    """About so many tokens of source text, from a line of it on; past its end it goes on from its beginning."""
    lines = _source()
    numbered = [f"{i % len(lines) + 1}: {lines[i % len(lines)]}" for i in range(start, start + tokens // 4)]
    return renderer.decode(renderer.encode("\n".join(numbered))[:tokens])


def request(server: Server, messages: list[dict[str, Any]], output: int, **more: Any) -> dict[str, Any]:
    return {
        "model": server.model,
        "messages": messages,
        "tools": TOOLS,
        "max_tokens": output,
        "temperature": 0,
        "stream": True,
        **more,
    }


async def run(server: Server, renderer: Renderer, shape: Shape, models: Sequence[str] = (), **more: Any) -> Outcome:
    """Every conversation at once, the turns of one after each other, each answer repeated as the server gave it.

    `models` are dealt out to the conversations in turn; `more` goes into every request.
    """
    results = [[tool_result(renderer, n, t) for t in range(shape.turns)] for n in range(shape.conversations)]
    async with wire.session() as http:
        outcome = Outcome(await _warm_up(http, server, more))
        start = time.perf_counter()
        done = await asyncio.gather(
            *[
                _converse(http, server, number, results[number], shape, {**more, **_dealt(models, number)})
                for number in range(shape.conversations)
            ]
        )
        outcome.wall = time.perf_counter() - start
    outcome.asked = [asked for asked, _ in done]
    outcome.answers = [answers for _, answers in done]
    return outcome


async def _converse(
    http: aiohttp.ClientSession,
    server: Server,
    number: int,
    results: list[dict[str, Any]],
    shape: Shape,
    more: dict[str, Any],
) -> tuple[list[list[dict[str, Any]]], list[Answer]]:
    messages = conversation(number)
    asked, answers = [], []
    for turn in range(shape.turns):
        asked.append(list(messages))
        answers.append(await wire.ask(http, server.url, request(server, messages, shape.output, **more)))
        if answers[-1].error:
            break
        messages += [answers[-1].message, _belonging(results[turn], answers[-1])]
    return asked, answers


def _belonging(result: dict[str, Any], answer: Answer) -> dict[str, Any]:
    return {**result, "tool_call_id": answer.calls[0]["id"]} if answer.calls else result


def _dealt(models: Sequence[str], number: int) -> dict[str, str]:
    return {"model": models[number % len(models)]} if models else {}


async def _warm_up(http: aiohttp.ClientSession, server: Server, more: dict[str, Any]) -> Answer:
    """One short request without system prompt or tools, so that nobody's first one pays for what is lazy."""
    body = {"model": server.model, "messages": [{"role": "user", "content": "Hello."}], "max_tokens": 4}
    return await wire.must(http, server.url, {**body, **more})


def least_possible(warm: Answer, answers: Iterable[Answer]) -> int:
    """The fewest prompt tokens a server must compute for these requests, taken in this order after the `warm` one.

    Token-exact: of each prompt as the engine rendered it, all that no earlier prompt with its whole answer begins with,
    and at least the last one, without which nothing can be generated. Wants answers with prompt and token ids.
    """
    known = [warm.prompt_ids + warm.token_ids]
    total = 0
    for answer in answers:
        prompt = answer.prompt_ids
        shared = max((common(prompt, one) for one in known), default=0)
        total += max(1, len(prompt) - shared)
        known.append(prompt + answer.token_ids)
    return total


def by_turn(outcome: Outcome) -> list[Answer]:
    """All first turns, then all second ones: the order in which as much as possible is known before it is needed."""
    return [answer for turn in zip(*outcome.answers, strict=True) for answer in turn]


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two lists begin with alike."""
    for index, (mine, yours) in enumerate(zip(one, other, strict=False)):
        if mine != yours:
            return index
    return min(len(one), len(other))


@cache
def _source() -> list[str]:
    return [line.rstrip() for line in inspect.getsource(argparse).splitlines() if line.strip()]
