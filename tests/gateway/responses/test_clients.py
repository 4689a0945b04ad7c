"""The openai package through real sockets: a tool loop to its end, in both arms, stateless and chained."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from gateway.backends.scripted import Act
from tests.gateway.running import READ_FILE, Running, Script

TOOL: Any = {"type": "function", **READ_FILE["function"]}  # type: ignore[dict-item]
QUESTION: Any = {"role": "user", "content": "What is in a.py and b.py?"}
CALLS = Act(text="I look.", calls=[("read_file", '{"path": "a.py"}'), ("read_file", '{"path": "b.py"}')])
END = "Both are empty."


@pytest.fixture(params=["nightschool", "teacher"])
def arm(request: pytest.FixtureRequest, student: Script, teacher: Script) -> str:
    for script in (student, teacher):
        script.play(CALLS, Act(text=END))
    return str(request.param)


def outputs(response: Any) -> list[Any]:
    calls = [item for item in response.output if item.type == "function_call"]
    assert [call.arguments for call in calls] == ['{"path": "a.py"}', '{"path": "b.py"}']
    return [{"type": "function_call_output", "call_id": call.call_id, "output": ""} for call in calls]


def check_history(arm: str, student: Script, teacher: Script) -> None:
    asked = (student if arm == "nightschool" else teacher).asked[-1].body["messages"]
    assert [message["role"] for message in asked] == ["user", "assistant", "tool", "tool"]
    called = [call["id"] for call in asked[1]["tool_calls"]]
    assert called == [message["tool_call_id"] for message in asked[2:]]
    assert asked[1]["content"] == "I look."


@pytest.mark.parametrize("chained", [False, True])
def test_the_sync_client_runs_a_loop(
    gateway: Running, student: Script, teacher: Script, arm: str, chained: bool
) -> None:
    with OpenAI(base_url=gateway.url + "/v1", api_key="none", max_retries=0) as client:
        first = client.responses.create(model=arm, input=[QUESTION], tools=[TOOL], store=chained)
        history: Any = [] if chained else [QUESTION, *first.output]
        more: Any = {"previous_response_id": first.id} if chained else {"store": False}
        last = client.responses.create(model=arm, input=[*history, *outputs(first)], tools=[TOOL], **more)
        assert last.output_text == END
        assert last.usage is not None
    check_history(arm, student, teacher)


@pytest.mark.parametrize("chained", [False, True])
async def test_the_async_client_streams_a_loop(
    gateway: Running, student: Script, teacher: Script, arm: str, chained: bool
) -> None:
    async with AsyncOpenAI(base_url=gateway.url + "/v1", api_key="none", max_retries=0) as client:
        events = await client.responses.create(model=arm, input=[QUESTION], tools=[TOOL], store=chained, stream=True)
        first: Any = [event async for event in events][-1]
        assert first.type == "response.completed"
        history: Any = [] if chained else [QUESTION, *first.response.output]
        more: Any = {"previous_response_id": first.response.id} if chained else {"store": False}
        given = [*history, *outputs(first.response)]
        stream = await client.responses.create(model=arm, input=given, tools=[TOOL], stream=True, **more)
        texts = [event.delta async for event in stream if event.type == "response.output_text.delta"]
        assert "".join(texts) == END
    check_history(arm, student, teacher)


def test_the_stream_helper_puts_it_together(gateway: Running, student: Script, teacher: Script, arm: str) -> None:
    with OpenAI(base_url=gateway.url + "/v1", api_key="none", max_retries=0) as client:
        with client.responses.stream(model=arm, input=[QUESTION], tools=[TOOL]) as stream:
            grown = [event.snapshot for event in stream if event.type == "response.function_call_arguments.delta"]
            first = stream.get_final_response()
        assert grown == ['{"path": "a.py"}', '{"path": "b.py"}']
        with client.responses.stream(model=arm, input=outputs(first), previous_response_id=first.id) as stream:
            assert stream.get_final_response().output_text == END
    check_history(arm, student, teacher)


async def test_the_async_stream_helper_survives_waiting(gateway: Running, teacher: Script) -> None:
    teacher.play(Act(text=END, thoughts="Hm.", delay=1.0, pause=0.4))
    async with AsyncOpenAI(base_url=gateway.url + "/v1", api_key="none", max_retries=0) as client:
        async with client.responses.stream(model="teacher", input="Hi") as stream:
            final = await stream.get_final_response()
        assert [item.type for item in final.output] == ["reasoning", "message"]
        assert final.output_text == END


class Answer(BaseModel):
    path: str


def test_structured_answers_are_parsed(gateway: Running, teacher: Script) -> None:
    teacher.play(Act(text='{"path": "a.py"}'))
    with OpenAI(base_url=gateway.url + "/v1", api_key="none", max_retries=0) as client:
        parsed = client.responses.parse(model="nightschool", input="Where?", text_format=Answer)
    assert parsed.output_parsed == Answer(path="a.py")
    assert teacher.asked[-1].body["response_format"]["json_schema"]["strict"] is True


def test_the_client_raises_its_own_errors(gateway: Running, teacher: Script) -> None:
    with OpenAI(base_url=gateway.url + "/v1", api_key="none", max_retries=0) as client:
        with pytest.raises(openai.NotFoundError):
            client.responses.create(model="none", input="Hi")
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve("resp_nobody")
        with pytest.raises(openai.BadRequestError) as refused:
            client.responses.create(model="teacher", input="Hi", previous_response_id="resp_nobody")
        assert refused.value.code == "previous_response_not_found"
        teacher.play(Act(text="twenty characters here", pieces=4, cut=500))
        events = list(client.responses.create(model="teacher", input="Hi", stream=True))
        assert events[-1].type == "response.failed"
        assert events[-1].response.error is not None


def test_tokens_are_counted_for_the_client(gateway: Running) -> None:
    with OpenAI(base_url=gateway.url + "/v1", api_key="none", max_retries=0) as client:
        short = client.responses.input_tokens.count(model="nightschool", input="Hi")
        long = client.responses.input_tokens.count(input=[QUESTION], instructions="Be brief. " * 50, tools=[TOOL])
        assert 0 < short.input_tokens < long.input_tokens
        raw = client.responses.input_tokens.with_raw_response.count(input="Hi")
        assert raw.headers["x-nightschool-estimated"] == "1"  # two strangers' endpoints: nobody to ask
