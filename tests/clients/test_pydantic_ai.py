"""Pydantic AI: its models for responses, chat completions and messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pydantic_ai import Agent, ModelRetry
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from tests.clients.loop import Loop, read_file

MODELS: dict[str, Callable[[Loop], Any]] = {
    "responses": lambda loop: OpenAIResponsesModel(loop.model, provider=_openai(loop)),
    "chat": lambda loop: OpenAIChatModel(loop.model, provider=_openai(loop)),
    "messages": lambda loop: AnthropicModel(loop.model, provider=AnthropicProvider(base_url=loop.url, api_key="none")),
}


def _openai(loop: Loop) -> OpenAIProvider:
    return OpenAIProvider(base_url=loop.url + "/v1", api_key="none")


def tool(path: str) -> str:
    """Read a file."""
    try:
        return read_file(path)
    except FileNotFoundError as error:
        raise ModelRetry(str(error)) from error


async def ask(agent: Agent[Any, str], said: str, history: Any, way: str) -> Any:
    """The answer, all messages and the usage of one question."""
    if way == "whole":
        result = await agent.run(said, message_history=history)
        return result.output, result.all_messages(), result.usage
    async with agent.run_stream(said, message_history=history) as stream:
        *_, output = [text async for text in stream.stream_text(debounce_by=None)]
        return output, stream.all_messages(), stream.usage


@pytest.mark.parametrize("way", ["whole", "streamed"])
@pytest.mark.parametrize("wire", MODELS)
def test_an_agent(loop: Loop, wire: str, way: str) -> None:
    async def converse() -> list[Any]:
        agent: Agent[Any, str] = Agent(MODELS[wire](loop), instructions="Read.")
        agent.tool_plain(tool, name="read_file")
        async with agent:
            first, history, used = await ask(agent, loop.question, None, way)
            second, _, more = await ask(agent, loop.follow_up, history, way)
        return [first, second, (used.input_tokens + more.input_tokens, used.output_tokens + more.output_tokens)]

    first, second, usage = asyncio.run(converse())
    loop.check(first, second, wire=wire, usage=usage)
