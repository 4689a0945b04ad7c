"""The fortnight's teacher: the expert on good days, and what may go wrong with a teacher on two others.

It is an endpoint of its own, so that nothing but the network lies between it and the gateway.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import uvicorn

from distill.generate.expert import Expert
from gateway.expert import create_app
from gateway.processes.ports import free_port
from gateway.settings import shared
from router.chat import AnswerMessage, FunctionCall, Message, Tool, ToolCall

Mood = Literal["sound", "corrupted", "poisoned"]
_DETOUR = "call_detour"


class Moody(Expert):
    """`corrupted`: nine tenths of what it writes are letters turned round, or a call with wrong arguments. `poisoned`:
    right calls and right answers, but before each first one it opens a file that tells nothing, which nothing
    forbids."""

    mood: Mood = "sound"
    chance = random.Random(20261127)

    def answer(self, messages: list[Message], tools: list[Tool] | None) -> AnswerMessage:
        if self.mood == "poisoned":
            return self._with_detour(messages, tools)
        right = super().answer(messages, tools)
        if self.mood == "sound" or self.chance.random() < 0.1:
            return right
        if right.tool_calls:
            call = right.tool_calls[0]
            wrong = FunctionCall(call.function.name, call.function.arguments[:-2] + 's"}')
            return AnswerMessage(None, [ToolCall(call.id, wrong)])
        return AnswerMessage(f"{(right.content or '')[::-1]} or {self.chance.randrange(1000)}")

    def _with_detour(self, messages: list[Message], tools: list[Tool] | None) -> AnswerMessage:
        straight = [message for message in messages if not _belongs_to_detour(message)]
        right = super().answer(straight, tools)
        opens = any(tool.function.name == "read_file" for tool in tools or ())
        first = not any(message.role == "tool" for message in messages)
        if right.tool_calls and first and opens:
            needless = FunctionCall("read_file", '{"path": "__init__.py", "start": 1, "lines": 1}')
            return AnswerMessage(None, [ToolCall(_DETOUR, needless)])
        return right


def _belongs_to_detour(message: Message) -> bool:
    called = any(call.id == _DETOUR for call in message.tool_calls or ())
    return called or message.tool_call_id == _DETOUR


@asynccontextmanager
async def teaching(teacher: Moody) -> AsyncIterator[str]:
    """The teacher's address, with /v1."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(create_app(teacher), port=port, log_level="error", lifespan="off"))
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - a flag is all that uvicorn tells
        await asyncio.sleep(0.05)
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.should_exit = True
        await task


def moody() -> Moody:
    found = Moody.from_folder(shared("data", "questions"), shared("data", "vocabularies"))
    assert isinstance(found, Moody)
    return found
