"""The anthropic package: sync, async, the stream helper and the tool runner."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from anthropic import Anthropic, AsyncAnthropic, beta_tool

from tests.clients.loop import DESCRIPTION, SCHEMA, Loop, read_file

TOOL = {"name": "read_file", "description": DESCRIPTION, "input_schema": SCHEMA}
OPTIONS: dict[str, Any] = {"api_key": "none", "max_retries": 0}

Ask = Callable[[dict[str, Any]], Any]  # one request: its body to its answer


def run(call: Any) -> dict[str, Any]:
    result = {"type": "tool_result", "tool_use_id": call.id}
    try:
        return {**result, "content": read_file(**call.input)}
    except FileNotFoundError as error:
        return {**result, "content": str(error), "is_error": True}


class Messages:
    """An agent's loop on messages."""

    def __init__(self, model: str) -> None:
        self.request: dict[str, Any] = {"model": model, "max_tokens": 500, "tools": [TOOL]}
        self.messages: list[Any] = []
        self.usage = (0, 0)

    def answer(self, question: str, ask: Ask) -> str:
        self.messages.append({"role": "user", "content": question})
        while True:
            message = ask({**self.request, "messages": self.messages})
            self.count(message)
            self.messages.append({"role": "assistant", "content": message.content})
            if message.stop_reason == "end_turn":
                return str(message.content[0].text)
            calls = [block for block in message.content if block.type == "tool_use"]
            self.messages.append({"role": "user", "content": [run(call) for call in calls]})

    def count(self, message: Any) -> None:
        self.usage = (self.usage[0] + message.usage.input_tokens, self.usage[1] + message.usage.output_tokens)


@pytest.mark.parametrize("way", ["whole", "streamed"])
def test_the_sync_client(loop: Loop, way: str) -> None:
    messages = Messages(loop.model)

    def ask(body: dict[str, Any]) -> Any:
        if way == "whole":
            return client.messages.create(**body)
        with client.messages.stream(**body) as stream:
            return stream.get_final_message()

    with Anthropic(base_url=loop.url, **OPTIONS) as client:
        answers = messages.answer(loop.question, ask), messages.answer(loop.follow_up, ask)
    loop.check(*answers, wire="messages", usage=messages.usage)


@pytest.mark.parametrize("way", ["whole", "streamed"])
def test_the_async_client(loop: Loop, way: str) -> None:
    messages = Messages(loop.model)

    async def once(body: dict[str, Any]) -> Any:
        async with AsyncAnthropic(base_url=loop.url, **OPTIONS) as client:
            if way == "whole":
                return await client.messages.create(**body)
            async with client.messages.stream(**body) as stream:
                return await stream.get_final_message()

    def ask(body: dict[str, Any]) -> Any:
        return asyncio.run(once(body))

    answers = messages.answer(loop.question, ask), messages.answer(loop.follow_up, ask)
    loop.check(*answers, wire="messages", usage=messages.usage)


@pytest.mark.parametrize("way", ["whole", "streamed"])
def test_the_tool_runner(loop: Loop, way: str) -> None:
    messages = Messages(loop.model)
    tool = beta_tool(read_file)

    def answer(question: str) -> str:
        messages.messages.append({"role": "user", "content": question})
        request: dict[str, Any] = {**messages.request, "tools": [tool], "messages": list(messages.messages)}
        runner: Any = client.beta.messages.tool_runner(**request, stream=way == "streamed")
        for step in runner:
            message = step.get_final_message() if way == "streamed" else step
            messages.count(message)
            messages.messages.append({"role": "assistant", "content": message.content})
            results = runner.generate_tool_call_response()
            messages.messages += [results] if results else []
        return str(message.content[0].text)

    with Anthropic(base_url=loop.url, **OPTIONS) as client:
        answers = answer(loop.question), answer(loop.follow_up)
    loop.check(*answers, wire="messages", usage=messages.usage)
