"""The exploring agent against endpoints that misbehave. It meets the expert in tests/gateway/test_expert_http.py."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from openai import AsyncOpenAI

from distill.agent import SYSTEM, Conversation, explore, explore_all
from distill.tools import Toolbox


@asynccontextmanager
async def endpoint(*bodies: bytes, status: str = "200 OK") -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """A loopback endpoint that answers one body after the other, then the last for ever; and what it was sent."""
    heard: list[dict[str, Any]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        heard.append({"head": head, "body": json.loads(await reader.readexactly(length))})
        body = bodies[min(len(heard), len(bodies)) - 1]
        extra = "x-nightschool-served-by: student\r\nx-nightschool-reason: verified\r\n"
        frame = f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n{extra}\r\n"
        writer.write(f"HTTP/1.1 {status}\r\n{frame}".encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", heard


def body(message: dict[str, Any], finish: str = "stop") -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": finish}
    return json.dumps(
        {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    ).encode()


def call(name: str, arguments: str) -> bytes:
    function = {"name": name, "arguments": arguments}
    return body({"tool_calls": [{"id": "c1", "type": "function", "function": function}]}, "tool_calls")


@pytest.fixture
def toolbox(tmp_path: Path) -> Toolbox:
    (tmp_path / "a.py").write_text("class A: ...\n")
    return Toolbox(tmp_path)


async def run(url: str, toolbox: Toolbox, **options: Any) -> Conversation:
    async with AsyncOpenAI(base_url=url, api_key="none", max_retries=0, timeout=5) as client:
        return await explore(client, "student", "What is there?", toolbox, **options)


async def test_a_call_is_made_and_its_result_sent_back(toolbox: Toolbox) -> None:
    async with endpoint(call("list_files", "{}"), body({"content": "a.py"})) as (url, heard):
        done = await run(url, toolbox, conversation="c-1")
    assert (done.end, done.answer, done.error) == ("answered", "a.py", "")
    assert [(made.name, made.arguments) for made in done.calls] == [("list_files", "{}")]
    assert [(turn.served_by, turn.reason) for turn in done.turns] == [("student", "verified")] * 2
    assert "x-nightschool-conversation: c-1" in heard[0]["head"]
    assert heard[0]["body"]["messages"][0] == {"role": "system", "content": SYSTEM}
    assert heard[0]["body"]["temperature"] == 0
    assert heard[1]["body"]["messages"][-1] == {"role": "tool", "content": "a.py", "tool_call_id": "c1"}


async def test_a_repeated_call_ends_the_conversation(toolbox: Toolbox) -> None:
    async with endpoint(call("list_files", "{}")) as (url, heard):
        done = await run(url, toolbox)
    assert done.end == "repeated"
    assert len(heard) == 2


async def test_there_is_a_limit_to_the_calls(toolbox: Toolbox) -> None:
    bodies = [call("read_file", json.dumps({"path": "a.py", "start": number})) for number in range(1, 9)]
    async with endpoint(*bodies) as (url, _):
        done = await run(url, toolbox, max_calls=3)
    assert (done.end, len(done.calls)) == ("too_many_calls", 3)


async def test_a_call_that_makes_no_sense_gets_an_error_text(toolbox: Toolbox) -> None:
    async with endpoint(call("launch", "{{"), body({"content": "Sorry."})) as (url, heard):
        done = await run(url, toolbox)
    assert done.end == "answered"
    assert heard[1]["body"]["messages"][-1]["content"].startswith("error:")


@pytest.mark.parametrize(
    ("reply", "end"),
    [
        (body({"content": ""}), "empty"),
        (body({"content": "Half a sen"}, "length"), "cut"),
        (b"{}", "error"),
        (b"not json", "error"),
        (b"", "error"),
        (b'{"id": "x", "created": 1, "model": "\xff\xfe", "choices": []}', "error"),
        (b'{"id": "x", "created": 1, "model": "m", "choices": []}', "error"),
        (body({"tool_calls": [{"id": "c", "type": "function", "function": {"name": "x", "arguments": {}}}]}), "error"),
    ],
)
async def test_an_odd_reply_is_a_value_not_an_exception(toolbox: Toolbox, reply: bytes, end: str) -> None:
    async with endpoint(reply) as (url, _):
        done = await run(url, toolbox)
    assert done.end == end
    assert bool(done.error) == (end == "error")


async def test_a_refusal_and_a_dead_server_are_values(toolbox: Toolbox) -> None:
    async with endpoint(b'{"error": {"message": "no such model"}}', status="404 Not Found") as (url, _):
        done = await run(url, toolbox)
    assert done.end == "error"
    assert "no such model" in done.error
    dead = await run(url, toolbox)
    assert (dead.end, dead.answer) == ("error", "")
    assert "Connection" in dead.error


async def test_many_conversations_keep_their_order(toolbox: Toolbox) -> None:
    tasks = [(f"c-{number}", f"Is it {number}?", toolbox) for number in range(12)]
    async with (
        endpoint(body({"content": "Yes."})) as (url, heard),
        AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client,
    ):
        done = await explore_all(client, "student", tasks, at_once=4)
    assert [conversation.question for conversation in done] == [question for _, question, _ in tasks]
    assert len(heard) == 12


@respx.mock
async def test_an_endpoint_that_takes_too_long_to_connect_is_an_error_not_an_exception(toolbox: Toolbox) -> None:
    """A time-out at connecting cannot be had on loopback, so this one is at the HTTP edge."""
    route = respx.post("http://endpoint.invalid/v1/chat/completions").mock(side_effect=httpx.ConnectTimeout)
    async with httpx.AsyncClient() as transport:
        client = AsyncOpenAI(
            base_url="http://endpoint.invalid/v1",
            api_key="none",
            max_retries=0,
            http_client=transport,  # type: ignore[arg-type]  # its own kind by now, and yet httpx's is taken
        )
        done = await explore(client, "m", "What is x?", toolbox)
    assert route.called
    assert (done.end, done.answer) == ("error", "")
    assert "Timeout" in done.error
