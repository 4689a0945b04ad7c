"""The openai-agents package: its runner on responses, which is its default, and on chat completions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    function_tool,
)
from openai import AsyncOpenAI

from tests.clients.loop import Loop, read_file

MODELS: dict[str, Any] = {"responses": OpenAIResponsesModel, "chat": OpenAIChatCompletionsModel}
PRIVATE = RunConfig(tracing_disabled=True)  # else conversations are exported to OpenAI


async def run(agent: Agent[Any], said: Any, way: str, **options: Any) -> Any:
    if way == "whole":
        return await Runner.run(agent, said, run_config=PRIVATE, **options)
    result = Runner.run_streamed(agent, said, run_config=PRIVATE, **options)
    texts = [event.data.delta async for event in result.stream_events() if _is_text(event)]
    assert "".join(texts) == result.final_output
    return result


def _is_text(event: Any) -> bool:
    return event.type == "raw_response_event" and event.data.type == "response.output_text.delta"


def agent_on(client: AsyncOpenAI, loop: Loop, wire: str) -> Agent[Any]:
    model = MODELS[wire](model=loop.model, openai_client=client)
    settings = ModelSettings(include_usage=True, parallel_tool_calls=True)
    tool = function_tool(read_file, failure_error_function=lambda _, error: str(error))
    return Agent("reader", instructions="Read.", model=model, tools=[tool], model_settings=settings)


def counted(*results: Any) -> tuple[int, int]:
    used = [result.context_wrapper.usage for result in results]
    return sum(one.input_tokens for one in used), sum(one.output_tokens for one in used)


@pytest.mark.parametrize("way", ["whole", "streamed"])
@pytest.mark.parametrize("wire", ["responses", "chat"])
def test_the_runner(loop: Loop, wire: str, way: str) -> None:
    async def converse() -> tuple[Any, Any]:
        async with AsyncOpenAI(base_url=loop.url + "/v1", api_key="none", max_retries=0) as client:
            agent = agent_on(client, loop, wire)
            first = await run(agent, loop.question, way)
            history = [*first.to_input_list(), {"role": "user", "content": loop.follow_up}]
            return first, await run(agent, history, way)

    first, second = asyncio.run(converse())
    loop.check(first.final_output, second.final_output, wire=wire, usage=counted(first, second))


@pytest.mark.parametrize("way", ["whole", "streamed"])
def test_the_runner_that_leaves_the_conversation_to_the_gateway(loop: Loop, way: str) -> None:
    async def converse() -> tuple[Any, Any]:
        async with AsyncOpenAI(base_url=loop.url + "/v1", api_key="none", max_retries=0) as client:
            agent = agent_on(client, loop, "responses")
            first = await run(agent, loop.question, way, auto_previous_response_id=True)
            before = first.last_response_id
            return first, await run(agent, loop.follow_up, way, previous_response_id=before)

    first, second = asyncio.run(converse())
    loop.check(first.final_output, second.final_output, wire="responses", usage=counted(first, second))
