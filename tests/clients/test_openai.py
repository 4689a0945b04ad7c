"""The openai package: chat completions and responses; sync, async and the stream helpers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI

from tests.clients.loop import DESCRIPTION, SCHEMA, Loop, read_file

FUNCTION = {"name": "read_file", "description": DESCRIPTION, "parameters": SCHEMA}
OPTIONS: dict[str, Any] = {"api_key": "none", "max_retries": 0}

Ask = Callable[[dict[str, Any]], Any]  # one request: its body to its answer


def run(arguments: str) -> str:
    try:
        return read_file(**json.loads(arguments))
    except FileNotFoundError as error:
        return f"error: {error}"


class Chat:
    """An agent's loop on chat completions."""

    def __init__(self, model: str) -> None:
        self.request: dict[str, Any] = {"model": model, "tools": [{"type": "function", "function": FUNCTION}]}
        self.messages: list[Any] = []
        self.usage = (0, 0)

    def answer(self, question: str, ask: Ask) -> str:
        self.messages.append({"role": "user", "content": question})
        while True:
            completion = ask({**self.request, "messages": self.messages})
            message = completion.choices[0].message
            self.usage = (
                self.usage[0] + completion.usage.prompt_tokens,
                self.usage[1] + completion.usage.completion_tokens,
            )
            self.messages.append(message)
            if not message.tool_calls:
                assert completion.choices[0].finish_reason == "stop"
                return str(message.content)
            for call in message.tool_calls:
                result = run(call.function.arguments)
                self.messages.append({"role": "tool", "tool_call_id": call.id, "content": result})


class Responses:
    """An agent's loop on responses; `chained`: each request says only what is new."""

    def __init__(self, model: str, *, chained: bool) -> None:
        self.request: dict[str, Any] = {"model": model, "tools": [{"type": "function", **FUNCTION}], "store": chained}
        self.chained = chained
        self.items: list[Any] = []
        self.usage = (0, 0)

    def answer(self, question: str, ask: Ask) -> str:
        self.items.append({"role": "user", "content": question})
        while True:
            response = ask({**self.request, "input": self.items})
            self.usage = (
                self.usage[0] + response.usage.input_tokens,
                self.usage[1] + response.usage.output_tokens,
            )
            if self.chained:
                self.request["previous_response_id"] = response.id
                self.items.clear()
            else:
                self.items += response.output
            calls = [item for item in response.output if item.type == "function_call"]
            if not calls:
                assert response.status == "completed"
                return str(response.output_text)
            for call in calls:
                output = run(call.arguments)
                self.items.append({"type": "function_call_output", "call_id": call.call_id, "output": output})


def streamed(client: OpenAI) -> Ask:
    def ask(body: dict[str, Any]) -> Any:
        with client.chat.completions.stream(**body, stream_options={"include_usage": True}) as events:
            return events.get_final_completion()

    return ask


def streamed_response(client: OpenAI) -> Ask:
    def ask(body: dict[str, Any]) -> Any:
        with client.responses.stream(**body) as events:
            return events.get_final_response()

    return ask


@pytest.mark.parametrize("way", ["whole", "streamed"])
def test_the_sync_client_on_chat(loop: Loop, way: str) -> None:
    chat = Chat(loop.model)
    with OpenAI(base_url=loop.url + "/v1", **OPTIONS) as client:
        ask = streamed(client) if way == "streamed" else lambda body: client.chat.completions.create(**body)
        answers = chat.answer(loop.question, ask), chat.answer(loop.follow_up, ask)
    loop.check(*answers, wire="chat", usage=chat.usage)


@pytest.mark.parametrize("way", ["whole", "streamed"])
def test_the_async_client_on_chat(loop: Loop, way: str) -> None:
    chat = Chat(loop.model)

    async def once(body: dict[str, Any]) -> Any:
        async with AsyncOpenAI(base_url=loop.url + "/v1", **OPTIONS) as client:
            if way == "whole":
                return await client.chat.completions.create(**body)
            async with client.chat.completions.stream(**body, stream_options={"include_usage": True}) as events:
                return await events.get_final_completion()

    def ask(body: dict[str, Any]) -> Any:
        return asyncio.run(once(body))

    answers = chat.answer(loop.question, ask), chat.answer(loop.follow_up, ask)
    loop.check(*answers, wire="chat", usage=chat.usage)


@pytest.mark.parametrize("chained", [False, True])
@pytest.mark.parametrize("way", ["whole", "streamed"])
def test_the_sync_client_on_responses(loop: Loop, way: str, chained: bool) -> None:
    responses = Responses(loop.model, chained=chained)
    with OpenAI(base_url=loop.url + "/v1", **OPTIONS) as client:
        ask = streamed_response(client) if way == "streamed" else lambda body: client.responses.create(**body)
        answers = responses.answer(loop.question, ask), responses.answer(loop.follow_up, ask)
    loop.check(*answers, wire="responses", usage=responses.usage)


@pytest.mark.parametrize("way", ["whole", "streamed"])
def test_the_async_client_on_responses(loop: Loop, way: str) -> None:
    responses = Responses(loop.model, chained=True)

    async def once(body: dict[str, Any]) -> Any:
        async with AsyncOpenAI(base_url=loop.url + "/v1", **OPTIONS) as client:
            if way == "whole":
                return await client.responses.create(**body)
            async with client.responses.stream(**body) as events:
                return await events.get_final_response()

    def ask(body: dict[str, Any]) -> Any:
        return asyncio.run(once(body))

    answers = responses.answer(loop.question, ask), responses.answer(loop.follow_up, ask)
    loop.check(*answers, wire="responses", usage=responses.usage)


def test_the_headers_name_the_arm_and_the_trace_of_each_answer(loop: Loop) -> None:
    chat = Chat(loop.model)
    told: list[tuple[str, str, str]] = []

    def ask(body: dict[str, Any]) -> Any:
        raw = client.chat.completions.with_raw_response.create(**body)
        told.append(tuple(raw.headers[f"x-nightschool-{name}"] for name in ("trace", "served-by", "reason")))  # type: ignore[arg-type]
        return raw.parse()

    with OpenAI(base_url=loop.url + "/v1", **OPTIONS) as client:
        answers = chat.answer(loop.question, ask), chat.answer(loop.follow_up, ask)
    traces = loop.check(*answers, wire="chat", usage=chat.usage)
    assert told == [(trace.id, trace.decision.arm, trace.decision.reason) for trace in traces]


def test_a_conversation_keeps_the_name_that_the_client_gives(loop: Loop) -> None:
    chat = Chat(loop.model)
    chat.request["extra_headers"] = {"x-nightschool-conversation": "mine"}
    with OpenAI(base_url=loop.url + "/v1", **OPTIONS) as client:
        answers = [
            chat.answer(text, lambda body: client.chat.completions.create(**body))
            for text in (loop.question, loop.follow_up)
        ]
    traces = loop.check(*answers, wire="chat", usage=chat.usage)
    assert {trace.conversation for trace in traces} == {"mine"}
