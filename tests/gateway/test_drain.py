"""SIGTERM on both servers: who is inside may finish, who comes is sent away, who takes too long is told so."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from distill.store.store import TraceStore
from distill.trace import Trace
from gateway.backends.scripted import Act
from tests.gateway.running import Running, Script

SERVERS = ["granian", "uvicorn"]
USER = [{"role": "user", "content": "Hi"}]
CHAT = "/v1/chat/completions"
SLOW = Act(text="word " * 20, pieces=20, pause=0.1)
STALLED = Act(text="word " * 50, pieces=50, stall=900)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def asked(path: str, **more: Any) -> dict[str, Any]:
    if path == "/v1/responses":
        return {"model": "teacher", "input": "Hi", **more}
    return {"model": "teacher", "messages": USER, **({"max_tokens": 9} if "messages" in path else {}), **more}


def under_way(
    gateway: Running, teacher: Script, pool: ThreadPoolExecutor, *requests: tuple[str, dict[str, Any]]
) -> list[Future[tuple[int, dict[str, str], bytes]]]:
    """Requests that the teacher has begun to answer."""
    sent = [pool.submit(gateway.call, path, body) for path, body in requests]
    wait_for(lambda: len(teacher.asked) == len(requests))
    time.sleep(0.3)
    return sent


def wait_for(condition: Any, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def ended(gateway: Running, seconds: float = 15.0) -> int:
    """The exit code."""
    return gateway.process.wait(seconds)


async def traces(home: Path) -> list[Trace]:
    async with await TraceStore.open(home / "data" / "traces.db") as store:
        return [trace for _, trace in await store.after(0)]


@pytest.mark.parametrize("server", SERVERS)
async def test_a_slow_stream_finishes_while_others_are_sent_away(
    tmp_path: Path, student: Script, teacher: Script, pool: ThreadPoolExecutor, server: str
) -> None:
    with Running(tmp_path, student.url, teacher.url, gateway__server=server) as gateway:
        gateway.wait_ready()
        teacher.play(SLOW)
        (stream,) = under_way(gateway, teacher, pool, (CHAT, asked(CHAT, stream=True)))
        gateway.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.2)
        for path, code in ((CHAT, "shutting_down"), ("/v1/messages", None), ("/admin/status", "shutting_down")):
            status, headers, body = gateway.call(path, asked(path))
            told = {name.lower(): value for name, value in headers.items()}
            assert (status, told["connection"]) == (503, "close")
            assert 1 <= int(told["retry-after"]) <= 10
            error = msgspec.json.decode(body)["error"]
            assert error.get("code") == code
            assert error["type"] == ("server_error" if code else "overloaded_error")
        status, _, body = gateway.call("/health", b"", "GET")
        assert (status, msgspec.json.decode(body)["status"]) == (503, "draining")
        assert len(teacher.asked) == 1
        status, _, body = stream.result(10)
        assert (status, body.count(b"word"), body[-14:]) == (200, 20, b"data: [DONE]\n\n")
        assert ended(gateway) == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", gateway.port)).close()
    assert [(trace.state, trace.finish_reason) for trace in await traces(tmp_path)] == [("completed", "stop")]


@pytest.mark.parametrize("server", SERVERS)
async def test_what_hangs_is_ended_in_the_form_of_its_wire(
    tmp_path: Path, student: Script, teacher: Script, pool: ThreadPoolExecutor, server: str
) -> None:
    settings = {"gateway__server": server, "gateway__drain_seconds": 1.0}
    with Running(tmp_path, student.url, teacher.url, **settings) as gateway:
        gateway.wait_ready()
        teacher.play(STALLED)
        paths = (CHAT, "/v1/messages", "/v1/responses")
        streams = under_way(gateway, teacher, pool, *[(path, asked(path, stream=True)) for path in paths])
        teacher.play(Act(hang=True))
        (whole,) = under_way(gateway, teacher, pool, (CHAT, asked(CHAT)))
        since = time.monotonic()
        gateway.process.send_signal(signal.SIGTERM)
        chat, message, response = [stream.result(10) for stream in streams]
        assert 0.9 < time.monotonic() - since < 3
        assert [status for status, *_ in (chat, message, response)] == [200, 200, 200]
        assert msgspec.json.decode(last(chat))["error"]["code"] == "shutting_down"
        assert msgspec.json.decode(last(message))["error"]["type"] == "overloaded_error"
        assert "shutting down" in msgspec.json.decode(last(response))["response"]["error"]["message"]
        assert b"[DONE]" not in chat[2]
        assert b"event: message_stop" not in message[2]
        status, _, body = whole.result(10)
        assert (status, msgspec.json.decode(body)["error"]["code"]) == (503, "shutting_down")
        assert ended(gateway) == 0
        assert time.monotonic() - since < 8
    found = await traces(tmp_path)
    assert [trace.state for trace in found] == ["failed"] * 4
    assert {trace.error.partition(":")[0] for trace in found} == {"ShuttingDown"}
    assert sum("word" in (trace.answer.content or "") for trace in found if trace.answer) == 3


def last(answer: tuple[int, dict[str, str], bytes]) -> bytes:
    """The data of a stream's last event."""
    return answer[2].rstrip().rpartition(b"data: ")[2]


@pytest.mark.parametrize("server", SERVERS)
def test_a_kept_connection_is_closed_after_its_refusal(
    tmp_path: Path, student: Script, teacher: Script, pool: ThreadPoolExecutor, server: str
) -> None:
    body = msgspec.json.encode(asked(CHAT))
    head = f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
    with Running(tmp_path, student.url, teacher.url, gateway__server=server) as gateway:
        gateway.wait_ready()
        with socket.create_connection(("127.0.0.1", gateway.port)) as kept:
            kept.settimeout(5)
            kept.sendall(request)
            answer = b""
            while not answer.endswith(b"}"):
                answer += kept.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200")
            teacher.play(SLOW)
            (stream,) = under_way(gateway, teacher, pool, (CHAT, asked(CHAT, stream=True)))
            gateway.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            kept.sendall(request)
            answer = b""
            while part := kept.recv(65536):
                answer += part
            assert answer.startswith(b"HTTP/1.1 503")
        assert stream.result(10)[2].endswith(b"[DONE]\n\n")
        assert ended(gateway) == 0


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_without_requests_it_ends_at_once(
    tmp_path: Path, student: Script, teacher: Script, server: str, number: signal.Signals
) -> None:
    with (
        Running(tmp_path, student.url, teacher.url, gateway__server=server) as gateway,
        socket.create_connection(("127.0.0.1", gateway.port)),  # nobody waits for who says nothing
    ):
        gateway.wait_ready()
        since = time.monotonic()
        gateway.process.send_signal(number)
        assert ended(gateway) == 0
        assert time.monotonic() - since < 3


def test_a_body_that_does_not_arrive_holds_nothing_up(tmp_path: Path, student: Script, teacher: Script) -> None:
    head = f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n".encode()
    with Running(tmp_path, student.url, teacher.url, gateway__drain_seconds=0.5) as gateway:
        gateway.wait_ready()
        with socket.create_connection(("127.0.0.1", gateway.port)) as client:
            client.settimeout(5)
            client.sendall(head + b'content-length: 1000\r\n\r\n{"model"')
            time.sleep(0.3)
            gateway.process.send_signal(signal.SIGTERM)
            assert client.recv(2000).startswith(b"HTTP/1.1 503")
        assert ended(gateway) == 0
