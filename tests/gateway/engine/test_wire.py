"""The engine as its clients see it: a process, a socket, the openai package."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest

from router.chat import ChatResponse

from .conftest import EngineProcess

HELLO = [{"role": "user", "content": "hello"}]
ASK: dict[str, Any] = {"model": "tiny", "messages": HELLO, "max_tokens": 6, "temperature": 0}


@pytest.fixture(scope="module")
def engine(tiny: Path) -> Iterator[EngineProcess]:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = EngineProcess({"model": str(tiny), "port": port}).wait()
    yield process
    process.end()


@pytest.fixture
def client(engine: EngineProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=engine.url + "/v1", api_key="none", max_retries=0) as made:
        yield made


def test_an_answer_is_a_chat_completion(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(**ASK, logprobs=True, extra_body={"return_token_ids": True})
    assert answer.choices[0].message.role == "assistant"
    assert answer.usage is not None
    written = answer.choices[0].logprobs
    assert written is not None
    assert written.content is not None
    assert len(written.content) == answer.usage.completion_tokens == len(answer.choices[0].token_ids)  # type: ignore[attr-defined]
    assert len(answer.prompt_token_ids) == answer.usage.prompt_tokens  # type: ignore[attr-defined]


def test_the_answer_is_the_canonical_struct(engine: EngineProcess) -> None:
    reply = engine.http.post(engine.url + "/v1/chat/completions", json=ASK)
    answer = msgspec.json.decode(reply.content, type=ChatResponse)
    assert answer.nightschool is not None
    assert all([answer.nightschool.model, answer.nightschool.template, answer.nightschool.tokenizer])
    assert answer.nightschool.adapter is None


def test_a_stream_says_what_the_answer_says(client: openai.OpenAI) -> None:
    ask = {**ASK, "max_tokens": 40, "logprobs": True, "extra_body": {"return_token_ids": True}}
    whole = client.chat.completions.create(**ask)
    chunks = list(client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert "".join(choice.delta.content or "" for choice in choices) == whole.choices[0].message.content
    assert [c.finish_reason for c in choices if c.finish_reason] == [whole.choices[0].finish_reason]
    ids = [i for choice in choices for i in getattr(choice, "token_ids", None) or []]
    assert ids == whole.choices[0].token_ids  # type: ignore[attr-defined]
    assert sum(len(c.logprobs.content or []) for c in choices if c.logprobs) == len(ids)
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == len(ids)


def test_a_stop_string_ends_the_answer_before_it(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(**{**ASK, "max_tokens": 30}).choices[0].message.content or ""
    stop = whole[5:7]
    ask = {**ASK, "max_tokens": 30, "stop": stop}
    cut = client.chat.completions.create(**ask).choices[0]
    assert cut.message.content == whole[: whole.index(stop)]
    assert cut.finish_reason == "stop"
    streamed = client.chat.completions.create(**ask, stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in streamed) == cut.message.content


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ("{", 400, "invalid_json", None),
        ("[1]", 400, None, None),
        ({"model": "none"}, 404, "model_not_found", "model"),
        ({"messages": []}, 400, None, "messages"),
        ({"messages": [{"role": "boss", "content": "x"}]}, 400, None, "messages[0].role"),
        ({"messages": "hello"}, 400, None, "messages"),
        ({"temperature": "hot"}, 400, None, "temperature"),
        ({"max_tokens": 0}, 400, None, "max_tokens"),
        ({"messages": [{"role": "user", "content": "word " * 600}]}, 400, "context_length_exceeded", "messages"),
        ({"n": 129}, 400, None, "n"),
        ({"top_logprobs": 3}, 400, None, "top_logprobs"),
        ({"stop": ["a", "b", "c", "d", "e"]}, 400, None, "stop"),
        ({"logit_bias": {"260": 1}}, 400, None, "logit_bias"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}]},
            400,
            "unsupported_parameter",
            "messages[0].content",
        ),
    ],
)
def test_bad_input_is_told_in_openais_words(
    engine: EngineProcess, body: Any, status: int, code: str | None, param: str | None
) -> None:
    content = body if isinstance(body, str) else json.dumps({**ASK, **body})
    headers = {"content-type": "application/json"}
    reply = engine.http.post(engine.url + "/v1/chat/completions", content=content, headers=headers)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["param"]) == (status, code, param)
    assert set(error) == {"message", "type", "param", "code"}
    assert engine.http.get(engine.url + "/health").status_code == 200


def test_other_paths_and_forms_are_refused(engine: EngineProcess) -> None:
    assert engine.http.get(engine.url + "/nothing").status_code == 404
    assert engine.http.get(engine.url + "/v1/chat/completions").status_code == 405
    plain = engine.http.post(engine.url + "/v1/chat/completions", content="{}", headers={"content-type": "text/plain"})
    assert plain.status_code == 415


def test_content_in_any_form_openai_allows_is_read(client: openai.OpenAI) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "no json"}}
    messages: list[Any] = [
        {"role": "developer", "content": [{"type": "text", "text": "be brief"}]},
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "done"}]},
    ]
    assert client.chat.completions.create(**{**ASK, "messages": messages}).choices


def test_adapters_come_and_go_over_the_wire(
    engine: EngineProcess, client: openai.OpenAI, make_adapter: Callable[..., Path]
) -> None:
    folder = make_adapter("night-1", 1)
    load = {"lora_name": "night-1", "lora_path": str(folder)}
    assert engine.http.post(engine.url + "/v1/load_lora_adapter", json=load).status_code == 200
    assert engine.http.post(engine.url + "/v1/load_lora_adapter", json=load).status_code == 400
    listed = {model.id: model for model in client.models.list()}
    assert listed["night-1"].parent == "tiny"  # type: ignore[attr-defined]
    assert listed["night-1"].root == str(folder)  # type: ignore[attr-defined]
    adapted = client.chat.completions.create(**{**ASK, "model": "night-1"})
    assert adapted.nightschool["adapter"]  # type: ignore[attr-defined]
    unload = {"lora_name": "night-1"}
    assert engine.http.post(engine.url + "/v1/unload_lora_adapter", json=unload).status_code == 200
    assert engine.http.post(engine.url + "/v1/unload_lora_adapter", json=unload).status_code == 404
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(**{**ASK, "model": "night-1"})


def test_a_unix_socket_is_the_owners_alone(
    start_engine: Callable[..., EngineProcess], tiny: Path, tmp_path: Path
) -> None:
    path = tmp_path / "engine.sock"
    running = start_engine(model=str(tiny), socket=str(path)).wait()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert running.http.post("http://engine/v1/chat/completions", json=ASK).status_code == 200
    running.end()
    assert running.process.returncode == 0
    assert not path.exists()
