"""LangChain: its agent on ChatOpenAI, by chat completions and by responses."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.tools import StructuredTool, ToolException
from langchain_openai import ChatOpenAI
from openai import DefaultAsyncHttpx2Client, DefaultHttpx2Client

from tests.clients.loop import Loop, read_file


def tool(path: str) -> str:
    """Read a file."""
    try:
        return read_file(path)
    except FileNotFoundError as error:
        raise ToolException(str(error)) from error


def agent_on(loop: Loop, wire: str, **clients: Any) -> Any:
    model = ChatOpenAI(
        model=loop.model,
        base_url=loop.url + "/v1",
        api_key="none",  # type: ignore[arg-type]
        max_retries=0,
        stream_usage=True,
        use_responses_api=wire == "responses",
        **clients,
    )
    return create_agent(model, [StructuredTool.from_function(tool, name="read_file", handle_tool_error=True)])


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def converse(loop: Loop, wire: str) -> tuple[list[Any], list[Any]]:
    """All messages after the first question, and after the second."""
    with DefaultHttpx2Client() as client:
        agent = agent_on(loop, wire, http_client=client)
        first = agent.invoke({"messages": [user(loop.question)]})["messages"]
        return first, agent.invoke({"messages": [*first, user(loop.follow_up)]})["messages"]


async def converse_streamed(loop: Loop, wire: str) -> tuple[list[Any], list[Any]]:
    async with DefaultAsyncHttpx2Client() as client:
        agent = agent_on(loop, wire, http_async_client=client)
        first = await streamed(agent, [user(loop.question)])
        return first, await streamed(agent, [*first, user(loop.follow_up)])


async def streamed(agent: Any, said: list[Any]) -> list[Any]:
    """Tokens as they come, and the messages that they add up to."""
    tokens, messages = "", said
    async for mode, event in agent.astream({"messages": said}, stream_mode=["messages", "values"]):
        if mode == "values":
            messages = event["messages"]
        elif isinstance(event[0], AIMessageChunk):
            tokens += event[0].text
    assert tokens == messages[-1].text
    return messages


@pytest.mark.parametrize("way", ["whole", "streamed"])
@pytest.mark.parametrize("wire", ["chat", "responses"])
def test_an_agent(loop: Loop, wire: str, way: str) -> None:
    first, second = converse(loop, wire) if way == "whole" else asyncio.run(converse_streamed(loop, wire))
    used = [message.usage_metadata for message in second if isinstance(message, AIMessage)]
    usage = sum(one["input_tokens"] for one in used if one), sum(one["output_tokens"] for one in used if one)
    loop.check(first[-1].text, second[-1].text, wire=wire, usage=usage)
