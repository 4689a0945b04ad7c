"""Limits: requests a minute, requests at once, seconds a request; and that whatever ends a request frees its place."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from gateway.access.limits import Bucket, Limits
from gateway.backends.scripted import Act
from gateway.errors import OverLimit
from tests.gateway.running import Running, Script, new_key

USER = [{"role": "user", "content": "Hi"}]
LIMITS = {"three": ("--rate", "3/min"), "pair": ("--at-once", "2"), "one": ("--at-once", "1"), "free": ()}


@pytest.fixture(scope="module")
def keys() -> dict[str, str]:
    return {}


@pytest.fixture(scope="module")
def limited(
    student: Script, teacher: Script, keys: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("home")
    keys.update({name: new_key(home, name, *options) for name, options in LIMITS.items()})
    with Running(home, student.url, teacher.url, teacher__attempts=1, gateway__max_body_bytes=100_000) as running:
        running.key = keys["free"]
        running.wait_ready()
        yield running


@pytest.fixture(scope="module")
def narrow(student: Script, teacher: Script, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One request at a time, for a second and a half at most, and no keys."""
    home = tmp_path_factory.mktemp("home")
    settings = {"gateway__max_at_once": 1, "gateway__max_seconds": 1.5, "gateway__hold_headers": 0.5}
    with Running(home, student.url, teacher.url, **settings) as running:
        running.wait_ready()
        yield running


def as_client(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"} if secret else {}


def together(gateway: Running, secret: str, count: int) -> list[tuple[int, dict[str, str], dict[str, Any]]]:
    """So many requests to the teacher in the same moment."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: gateway.chat(model="teacher", headers=as_client(secret)), range(count)))


@contextmanager
def streaming(gateway: Running, secret: str) -> Iterator[None]:
    """A stream of which the first bytes are there, and whose client goes away in its middle."""
    body = msgspec.json.encode({"model": "teacher", "stream": True, "messages": USER})
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    head += f"x-api-key: {secret}\r\ncontent-length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        client.sendall(head.encode() + body)
        assert client.recv(2000).startswith(b"HTTP/1.1 200")
        yield


def freed(gateway: Running, secret: str) -> bool:
    """Whether a request of the client goes through within a second."""
    end = time.monotonic() + 1
    while time.monotonic() < end:
        if gateway.chat(headers=as_client(secret))[0] == 200:
            return True
        time.sleep(0.05)
    return False


def test_how_long_nobody_was_inside() -> None:
    now = [100.0]
    limits = Limits(0, lambda: now[0])
    assert limits.idle_seconds is None
    with limits.held("one", rate=0, at_once=0):
        with limits.held("two", rate=0, at_once=0):
            now[0] = 105.0
        assert limits.idle_seconds == 0.0
    now[0] = 125.0
    assert limits.idle_seconds == 20.0


def test_more_than_so_many_a_minute_are_refused_with_the_time_to_wait(limited: Running, keys: dict[str, str]) -> None:
    answers = together(limited, keys["three"], 7)
    assert Counter(status for status, *_ in answers) == {200: 3, 429: 4}
    for status, headers, answer in answers:
        if status == 429:
            assert answer["error"]["type"] == "rate_limit_error"
            assert answer["error"]["code"] == "rate_limit_exceeded"
            assert 15 <= int(headers["retry-after"]) <= 20  # three a minute: one more every 20 seconds
    assert limited.chat()[0] == 200  # another client's


def test_refused_requests_reach_no_model_and_leave_no_trace(
    limited: Running, keys: dict[str, str], teacher: Script
) -> None:
    time.sleep(0.3)  # what is still being written of others
    written = limited.get("/health")["traces"]["written"]
    refused = [limited.chat(model="teacher", headers=as_client(keys["three"])) for _ in range(5)]
    assert [status for status, *_ in refused].count(429) >= 4
    time.sleep(0.3)
    passed = [status for status, *_ in refused].count(200)
    assert len(teacher.asked) == passed
    assert limited.get("/health")["traces"]["written"] == written + passed


def test_no_more_than_so_many_at_once(limited: Running, keys: dict[str, str], teacher: Script) -> None:
    teacher.play(Act(text="slow", delay=1.0))
    answers = together(limited, keys["pair"], 6)
    assert Counter(status for status, *_ in answers) == {200: 2, 429: 4}
    assert {headers["retry-after"] for status, headers, _ in answers if status == 429} == {"1"}
    teacher.play(Act(text="teacher"))
    assert [limited.chat(headers=as_client(keys["pair"]))[0] for _ in range(4)] == [200] * 4


def test_a_client_that_goes_away_in_mid_stream_frees_its_place(
    limited: Running, keys: dict[str, str], teacher: Script
) -> None:
    for _ in range(3):
        teacher.play(Act(text="word " * 100, pieces=100, pause=0.1))
        with streaming(limited, keys["one"]):
            assert limited.chat(headers=as_client(keys["one"]))[0] == 429
        assert freed(limited, keys["one"])


@pytest.mark.parametrize(
    "act", [Act(status=500), Act(drop=True), Act(text="cut off here", pieces=4, cut=100), Act(raw=b"no answer")]
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_fails_frees_its_place(
    limited: Running, keys: dict[str, str], teacher: Script, act: Act, stream: bool
) -> None:
    teacher.play(act)
    body = {"model": "teacher", "stream": stream, "messages": USER}
    status, _, answer = limited.call("/v1/chat/completions", body, headers=as_client(keys["one"]))
    assert status >= 500 or b'"error"' in answer
    assert limited.chat(headers=as_client(keys["one"]))[0] == 200


def test_a_request_that_is_wrong_frees_its_place(limited: Running, keys: dict[str, str]) -> None:
    for payload, wanted in ((b"{", 400), ({"model": "none", "messages": USER}, 404), (b" " * 200_000, 413)):
        assert limited.call("/v1/chat/completions", payload, headers=as_client(keys["one"]))[0] == wanted
    assert limited.chat(headers=as_client(keys["one"]))[0] == 200


def test_the_gateway_as_a_whole_takes_so_many_at_once(narrow: Running, teacher: Script) -> None:
    teacher.play(Act(text="slow", delay=0.7))
    answers = together(narrow, "", 4)
    assert Counter(status for status, *_ in answers) == {200: 1, 503: 3}
    _, headers, answer = next(answer for answer in answers if answer[0] == 503)
    assert (answer["error"]["code"], answer["error"]["type"]) == ("overloaded", "server_error")
    assert headers["retry-after"] == "1"
    assert narrow.chat()[0] == 200


def test_a_request_that_takes_too_long_ends_with_an_error(narrow: Running, teacher: Script) -> None:
    teacher.play(Act(hang=True))
    since = time.monotonic()
    status, headers, answer = narrow.chat(model="teacher")
    assert 1.4 < time.monotonic() - since < 2.5
    assert (status, answer["error"]["code"]) == (504, "timeout")
    assert "gateway.max_seconds" in answer["error"]["message"]
    trace = narrow.trace(headers)
    assert trace["state"] == "failed"
    assert trace["error"].startswith("OverTime")
    end = time.monotonic() + 1
    while not teacher.asked[-1].gone and time.monotonic() < end:
        time.sleep(0.01)
    assert teacher.asked[-1].gone
    assert narrow.chat()[0] == 200


def test_a_stream_that_takes_too_long_ends_with_an_error_event(narrow: Running, teacher: Script) -> None:
    teacher.play(Act(text="word " * 100, pieces=100, pause=0.1))
    body = {"model": "teacher", "stream": True, "messages": USER}
    since = time.monotonic()
    status, headers, answer = narrow.call("/v1/chat/completions", body)
    assert 1.4 < time.monotonic() - since < 2.5
    assert status == 200
    last = msgspec.json.decode(answer.rstrip().rpartition(b"\n\n")[2].removeprefix(b"data: "))
    assert last["error"]["code"] == "timeout"
    trace = narrow.trace(headers)
    assert (trace["state"], trace["answer"]["content"][:4]) == ("failed", "word")
    assert narrow.chat()[0] == 200


def test_a_body_that_never_arrives_whole_holds_no_place_for_ever(narrow: Running) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", narrow.port)) as client:
        client.sendall(head + b'content-length: 1000\r\n\r\n{"model"')
        time.sleep(0.5)
        assert narrow.chat()[0] == 503
        client.settimeout(5)
        assert client.recv(2000).startswith(b"HTTP/1.1 504")
        assert narrow.chat()[0] == 200


def test_a_bucket_fills_as_time_passes() -> None:
    bucket = Bucket(60, 100.0)
    assert [bucket.take(100.0) for _ in range(60)] == [0.0] * 60
    assert bucket.take(100.0) == pytest.approx(1.0)
    assert bucket.take(100.75) == pytest.approx(0.25)
    assert bucket.take(101.0) == 0.0
    assert [bucket.take(10_000.0) for _ in range(61)].count(0.0) == 60  # no more than a minute's worth is saved up


def test_a_changed_rate_holds_at_once() -> None:
    limits = Limits(0, lambda: 0.0)
    with limits.held("a", rate=1, at_once=0):
        pass
    with pytest.raises(OverLimit), limits.held("a", rate=1, at_once=0):
        pass
    with limits.held("a", rate=2, at_once=0), limits.held("b", rate=1, at_once=0):
        pass
