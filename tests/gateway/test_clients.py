"""Real clients against the gateway: the openai package, sync and async, streaming and not, with tools; and curl."""

from __future__ import annotations

import shutil
import subprocess

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from gateway.backends.scripted import Act
from tests.gateway.running import READ_FILE, Running, Script

CALL = Act(calls=[("read_file", '{"path": "a.py"}'), ("read_file", '{"path": "b.py"}')])
USER = [{"role": "user", "content": "Look."}]


@pytest.mark.parametrize("arm", ["nightschool", "teacher"])
def test_the_sync_client_gets_text_and_calls(gateway: Running, student: Script, teacher: Script, arm: str) -> None:
    with OpenAI(base_url=gateway.url + "/v1", api_key="none", max_retries=0) as client:
        plain = client.chat.completions.create(model=arm, messages=USER)  # type: ignore[arg-type]
        assert plain.choices[0].message.content in ("student", "teacher")
        student.play(CALL)
        teacher.play(CALL)
        called = client.chat.completions.create(model=arm, messages=USER, tools=[READ_FILE])  # type: ignore[arg-type]
        assert [call.function.name for call in called.choices[0].message.tool_calls or []] == ["read_file"] * 2  # type: ignore[union-attr]
        assert called.choices[0].finish_reason == "tool_calls"
        assert called.usage is not None


@pytest.mark.parametrize("arm", ["nightschool", "teacher"])
async def test_the_async_client_streams_text_and_calls(
    gateway: Running, student: Script, teacher: Script, arm: str
) -> None:
    async with AsyncOpenAI(base_url=gateway.url + "/v1", api_key="none", max_retries=0) as client:
        stream = await client.chat.completions.create(model=arm, messages=USER, stream=True)  # type: ignore[arg-type,call-overload]
        chunks = [chunk async for chunk in stream]
        assert all(chunk.choices for chunk in chunks)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) in ("student", "teacher")
        student.play(CALL)
        teacher.play(CALL)
        async with client.chat.completions.stream(
            model=arm,
            messages=USER,  # type: ignore[arg-type]
            tools=[READ_FILE],  # type: ignore[list-item]
            stream_options={"include_usage": True},
        ) as events:
            final = await events.get_final_completion()
        calls = final.choices[0].message.tool_calls or []
        assert [call.function.arguments for call in calls] == ['{"path": "a.py"}', '{"path": "b.py"}']
        assert len({call.id for call in calls}) == 2
        assert final.usage is not None


def test_the_client_raises_its_own_errors(gateway: Running, teacher: Script) -> None:
    with OpenAI(base_url=gateway.url + "/v1", api_key="none", max_retries=0) as client:
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="none", messages=USER)  # type: ignore[arg-type]
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(model="teacher", messages=[])
        teacher.play(Act(text="twenty characters here", pieces=4, cut=500))
        with pytest.raises(openai.APIError, match="cut off"):
            list(client.chat.completions.create(model="teacher", messages=USER, stream=True))  # type: ignore[arg-type,call-overload]
        assert {model.id for model in client.models.list()} >= {"nightschool", "student", "teacher"}


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_gets_an_answer(gateway: Running) -> None:
    body = '{"model": "nightschool", "messages": [{"role": "user", "content": "Hi"}]}'
    url = gateway.url + "/v1/chat/completions"
    done = subprocess.run(
        ["curl", "-sS", "--fail", url, "-H", "content-type: application/json", "-d", body],
        capture_output=True,
        check=True,
    )
    assert b'"content":"student"' in done.stdout
