"""The expert over a real socket: the openai package, raw HTTP, and the exploring agent on a real repository."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openai import AsyncOpenAI, OpenAI

from distill.agent import explore_all
from distill.examination.archives import tree_of
from distill.examination.freeze import freeze
from distill.examination.frozen import read_frozen
from distill.examination.setting import set_questions
from distill.examination.sitting import Pace, examine
from distill.facts import collect
from distill.generate.oracle import exact_calls, right
from distill.generate.questions import generate
from distill.generate.repositories import snapshot
from distill.generate.templates import Call, load_templates
from distill.tools import SPECS, Toolbox
from distill.vocabularies import EXPLORE
from gateway.errors import StartError
from gateway.expert import run
from gateway.settings import shared
from tests.distill.examination.archived import definition, pinned, wheel

ROOT = Path(__file__).parents[2]
TOOLS: Any = [json.loads(json.dumps({"type": "function", "function": {"name": s.function.name}})) for s in SPECS]
QUESTION: Any = [{"role": "user", "content": "Which classes subclass Base?"}]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def start(port: int, parent: int | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "gateway.cli", "expert", "--port", str(port)]
    process = subprocess.Popen([*command, *(["--parent", str(parent)] if parent else [])], cwd=ROOT)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
                return process
        except OSError:
            time.sleep(0.05)
    process.kill()
    raise AssertionError("the expert did not start")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    port = free_port()
    process = start(port)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    assert process.wait(5) == 0


def test_the_openai_package_gets_a_call_and_an_answer(url: str) -> None:
    with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        first = client.chat.completions.create(model="expert", messages=QUESTION, tools=TOOLS)
        assert first.choices[0].finish_reason == "tool_calls"
        (call,) = first.choices[0].message.tool_calls or []
        assert call.type == "function"
        assert json.loads(call.function.arguments)["command"] == "grep"
        turns: Any = [
            *QUESTION,
            first.choices[0].message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": call.id, "content": "a.py:1:class A(Base):"},
        ]
        second = client.chat.completions.create(model="expert", messages=turns, tools=TOOLS)
        assert second.choices[0].message.content == "Subclasses of Base: A (a.py)."
        assert second.usage is not None
        assert second.usage.total_tokens == second.usage.prompt_tokens + second.usage.completion_tokens > 20
        assert [model.id for model in client.models.list()] == ["expert"]


async def test_a_stream_says_the_same(url: str) -> None:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        stream = await client.chat.completions.create(
            model="expert", messages=QUESTION, tools=TOOLS, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        assert chunks[0].choices[0].delta.role == "assistant"
        deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
        parts = [call for delta in deltas for call in delta.tool_calls or []]
        assert (parts[0].index, parts[0].type, parts[0].function and parts[0].function.name) == (
            0,
            "function",
            "run_command",
        )
        joined = "".join(part.function.arguments or "" for part in parts if part.function)
        assert json.loads(joined)["args"] == ["-rnw", "class .*(.*Base", "."]
        assert chunks[-2].choices[0].finish_reason == "tool_calls"
        assert chunks[-1].choices == []
        assert chunks[-1].usage is not None

        capital: Any = [{"role": "user", "content": "What is the capital of France?"}]
        text = await client.chat.completions.create(model="expert", messages=capital, stream=True)
        pieces = [chunk.choices[0].delta.content or "" async for chunk in text]
        assert "".join(pieces) == "Paris."


def post(url: str, body: bytes, path: str = "/v1/chat/completions") -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(url + path, body, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"", 400),
        (b"[]", 400),
        (b'"text"', 400),
        (b'{"model": "expert"}', 400),
        (b'{"model": "expert", "messages": []}', 400),
        (b'{"model": "expert", "messages": "hello"}', 400),
        (b'{"model": "expert", "messages": [{"role": "wizard", "content": "x"}]}', 400),
        (b'{"model": 3, "messages": [{"role": "user", "content": "x"}]}', 400),
        (b'{"model": "expert", "messages": [{"role": "user", "content": "x"}], "temperature": "hot"}', 400),
        (b"[" * 100_000, 400),
        (b"\xff\xfe", 400),
    ],
)
def test_bad_input_is_an_openai_shaped_error(url: str, body: bytes, status: int) -> None:
    got, answer = post(url, body)
    assert got == status
    assert set(answer["error"]) == {"message", "type", "param", "code"}
    assert answer["error"]["type"] == "invalid_request_error"


def test_unknown_routes_and_methods_are_refused_in_shape(url: str) -> None:
    assert post(url, b"{}", "/v1/nowhere")[0] == 404
    status, answer = post(url, b"{}", "/v1/models")
    assert status == 405
    assert answer["error"]["code"] == "method_not_allowed"


async def test_the_agent_explores_a_package_through_the_expert(url: str, tmp_path: Path) -> None:
    root = snapshot("jinja2", tmp_path)
    toolbox = Toolbox(root)
    questions = await generate(collect(root), load_templates(shared("data", "questions")), toolbox, 60, seed=3)
    assert len(questions) == 60
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        tasks = [(one.id, one.text, toolbox.offering(EXPLORE, one.withheld)) for one in questions]
        done = await explore_all(client, "expert", tasks, at_once=4)
    for question, conversation in zip(questions, done, strict=True):
        assert conversation.end == "answered", conversation.error
        calls = [Call(call.name, json.loads(call.arguments)) for call in conversation.calls]
        assert exact_calls(question, calls), question
    correct = sum(right(question, conversation.answer) for question, conversation in zip(questions, done, strict=True))
    assert correct >= 0.99 * len(questions)


async def test_a_frozen_examination_is_sat_in_every_vocabulary(url: str, tmp_path: Path) -> None:
    """Its items go out and come back as any agent's would; what the stand-in calls means what was planned."""
    archive = pinned(wheel(tmp_path))
    folder = tmp_path / "small"
    folder.mkdir()
    drawn = "[drawn]\nquestions = 24\nseed = 7"
    text = definition(msgspec.structs.replace(archive, tree=tree_of(archive, tmp_path)), drawn)
    (folder / "examination.toml").write_text(text)
    await freeze(folder, shared("data", "questions"), shared("data", "vocabularies"), tmp_path)
    items = await set_questions(read_frozen(folder), shared("data", "questions"), tmp_path)
    assert len({item.question.vocabulary for item in items}) > 3
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        sat = await examine(client, "expert", items, pace=Pace(4), max_tokens=99)
    assert [mark.question for mark, _ in sat] == [item.question.id for item in items]
    assert all(mark.exact and mark.equivalent and mark.right for mark, _ in sat)
    assert {mark.repository for mark, _ in sat} == {"shapes"}
    assert all(mark.calls == mark.shortest for mark, _ in sat)


def test_a_port_in_use_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=rf"port {port} on 127\.0\.0\.1 is in use.*--port"):
            asyncio.run(run("127.0.0.1", port))


def test_the_expert_ends_with_its_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    expert = start(free_port(), parent.pid)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    assert expert.wait(5) == 0
