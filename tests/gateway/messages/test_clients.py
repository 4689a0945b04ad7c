"""The anthropic package's client against the gateway: sync, async and the stream helper, each through a tool loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic

from gateway.backends.scripted import Act
from tests.gateway.running import Running, Script

TOOL = {
    "name": "read_file",
    "description": "Read a file.",
    "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
}
FIRST = Act(text="I look.", calls=[("read_file", '{"path": "a.py"}'), ("read_file", '{"path": "b.py"}')])
SECOND = Act(calls=[("read_file", '{"path": "c.py"}')])
LAST = Act(text="All three are empty.", pieces=4)


class Loop:
    """An agent's loop without the asking: what is sent, and what comes of each answer."""

    def __init__(self, arm: str) -> None:
        self.messages: list[Any] = [{"role": "user", "content": "Look."}]
        self.request: dict[str, Any] = {
            "model": arm,
            "max_tokens": 99,
            "system": "You read files.",
            "tools": [TOOL],
            "messages": self.messages,
        }
        self.read: list[str] = []
        self.stops: list[str | None] = []

    def take(self, answer: Any) -> bool:
        """Run the calls of an answer; whether there is more to ask."""
        self.stops.append(answer.stop_reason)
        self.messages.append({"role": "assistant", "content": answer.content})
        calls = [block for block in answer.content if block.type == "tool_use"]
        self.read += [call.input["path"] for call in calls]
        results = [{"type": "tool_result", "tool_use_id": call.id, "content": "empty"} for call in calls]
        if results:
            self.messages.append({"role": "user", "content": results})
        return bool(results)

    def check(self, arm: Script, other: Script) -> None:
        assert self.stops == ["tool_use", "tool_use", "end_turn"]
        assert self.read == ["a.py", "b.py", "c.py"]
        assert self.messages[-1]["content"][0].text == "All three are empty."
        assert (len(arm.asked), len(other.asked)) == (3, 0)
        sent = arm.asked[-1].body["messages"]
        roles = ["system", "user", "assistant", "tool", "tool", "assistant", "tool"]
        assert [message["role"] for message in sent] == roles
        assert [call["id"] for call in sent[2]["tool_calls"]] == [sent[3]["tool_call_id"], sent[4]["tool_call_id"]]


@pytest.fixture(params=["nightschool", "teacher"])
def arms(request: pytest.FixtureRequest, student: Script, teacher: Script) -> tuple[str, Script, Script]:
    """The model to ask, the arm that answers and the one that is left alone."""
    for script in (student, teacher):
        script.play(FIRST, SECOND, LAST)
    return (request.param, student, teacher) if request.param == "nightschool" else (request.param, teacher, student)


@pytest.fixture
def client(gateway: Running) -> Iterator[Anthropic]:
    with Anthropic(base_url=gateway.url, api_key="none", max_retries=0) as made:
        yield made


def test_the_sync_client(client: Anthropic, arms: tuple[str, Script, Script]) -> None:
    loop = Loop(arms[0])
    while loop.take(client.messages.create(**loop.request)):
        pass
    loop.check(*arms[1:])


async def test_the_async_client(gateway: Running, arms: tuple[str, Script, Script]) -> None:
    loop = Loop(arms[0])
    async with AsyncAnthropic(base_url=gateway.url, api_key="none", max_retries=0) as client:
        while loop.take(await client.messages.create(**loop.request)):
            pass
    loop.check(*arms[1:])


def test_the_stream_helper(client: Anthropic, arms: tuple[str, Script, Script]) -> None:
    loop = Loop(arms[0])
    more, texts = True, []
    while more:
        with client.messages.stream(**loop.request) as stream:
            texts.append("".join(stream.text_stream))
            more = loop.take(stream.get_final_message())
    loop.check(*arms[1:])
    assert texts == ["I look.", "", "All three are empty."]


async def test_the_async_stream_helper(gateway: Running, arms: tuple[str, Script, Script]) -> None:
    loop = Loop(arms[0])
    more = True
    async with AsyncAnthropic(base_url=gateway.url, api_key="none", max_retries=0) as client:
        while more:
            async with client.messages.stream(**loop.request) as stream:
                kinds = [event.type async for event in stream]
                assert kinds[0] == "message_start"
                assert kinds[-1] == "message_stop"
                more = loop.take(await stream.get_final_message())
    loop.check(*arms[1:])


def test_raw_events_by_the_beta_api_too(client: Anthropic, arms: tuple[str, Script, Script]) -> None:
    loop = Loop(arms[0])
    stream = client.beta.messages.create(**loop.request, stream=True, betas=["fine-grained-tool-streaming-2025-05-14"])
    assert [event.type for event in stream][-1] == "message_stop"


def test_the_client_raises_its_own_errors(client: Anthropic, teacher: Script) -> None:
    asked: dict[str, Any] = {"max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    with pytest.raises(anthropic.NotFoundError, match="no model"):
        client.messages.create(model="none", **asked)
    with pytest.raises(anthropic.BadRequestError, match="'document'"):
        client.messages.create(
            model="teacher",
            max_tokens=9,
            messages=[{"role": "user", "content": [{"type": "document", "source": {}}]}],  # type: ignore[typeddict-item]
        )
    teacher.play(Act(status=429, headers={"retry-after": "60"}))
    with pytest.raises(anthropic.RateLimitError):
        client.messages.create(model="teacher", **asked)
    teacher.play(Act(text="twenty characters here", pieces=4, cut=600, pause=0.05))
    with (
        pytest.raises(anthropic.APIStatusError, match="cut off"),
        client.messages.stream(model="teacher", **asked) as stream,
    ):
        stream.get_final_message()


def test_the_client_counts(client: Anthropic) -> None:
    counted = client.messages.count_tokens(model="nightschool", messages=[{"role": "user", "content": "Hi"}])
    assert counted.input_tokens > 0
