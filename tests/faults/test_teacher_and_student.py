"""The fault table: {fault} × {arm that breaks} × {stream, not}. The client gets an answer or a clear error, in time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gateway.scripted import Act
from tests.gateway.running import Running, Script

FAULTS = {
    "429": Act(status=429, headers={"retry-after": "0"}),
    "500": Act(status=500),
    "502 HTML": Act(status=502, body=b"<html>Bad gateway</html>", headers={"content-type": "text/html"}),
    "redirect": Act(status=302, headers={"location": "http://127.0.0.1:1/"}),
    "dropped": Act(drop=True),
    "hangs": Act(hang=True),
    "first byte late": Act(text="late", delay=30),
    "cut": Act(text="twenty characters here", cut=60),
    "silent": Act(text="twenty characters here", stall=60),
    "wrong JSON": Act(raw=b'data: {"a\n\n'),
    "not a completion": Act(raw=b'data: {"choices": 5}\n\n'),
    "empty": Act(raw=b""),
    "10 MB line": Act(raw=b"x" * 10_000_000),
}


@pytest.fixture(scope="module")
def models() -> Iterator[tuple[Script, Script]]:
    with Script(Act(text="student")) as student, Script(Act(text="teacher")) as teacher:
        yield student, teacher


@pytest.fixture(scope="module")
def gateway(models: tuple[Script, Script], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    limits = {f"{arm}__{name}": 0.4 for arm in ("student", "teacher") for name in ("first_byte", "silence")}
    limits |= {"student__failures": 0, "teacher__failures": 0}  # every fault is to be met, none to be spared
    student, teacher = models
    home: Path = tmp_path_factory.mktemp("home")
    with Running(home, student.url, teacher.url, teacher__attempts=2, gateway__hold_headers=20, **limits) as running:
        running.wait_ready()
        yield running


def ask(gateway: Running, stream: bool, model: str = "nightschool") -> tuple[int, dict[str, str], bytes, float]:
    start = time.monotonic()
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hi"}]}
    status, headers, answer = gateway.call("/v1/chat/completions", body)
    return status, headers, answer, time.monotonic() - start


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_student_is_not_noticed(
    gateway: Running, models: tuple[Script, Script], fault: str, stream: bool
) -> None:
    student, teacher = models
    student.play(FAULTS[fault])
    teacher.play(Act(text="teacher"))
    status, headers, answer, seconds = ask(gateway, stream)
    assert (status, headers["x-nightschool-served-by"]) == (200, "teacher")
    assert headers["x-nightschool-reason"] == "student_failed"
    assert answer.count(b'"teacher"') == 1
    assert seconds < 5


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_teacher_is_a_clear_error(
    gateway: Running, models: tuple[Script, Script], fault: str, stream: bool
) -> None:
    _, teacher = models
    teacher.play(FAULTS[fault])
    status, headers, answer, seconds = ask(gateway, stream, "teacher")
    assert seconds < 6
    assert b"[DONE]" not in answer
    assert gateway.trace(headers)["state"] == "failed"
    if status == 200:  # only a stream that had begun
        assert stream
        assert msgspec.json.decode(answer.strip().split(b"\n\n")[-1][6:])["error"]["message"]
    else:
        assert status in (429, 502, 503)
        assert int(headers["retry-after"]) >= 1
        assert set(msgspec.json.decode(answer)["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("fault", ["429", "500", "502 HTML", "dropped", "empty"])
def test_a_teacher_that_recovers_is_asked_again(
    gateway: Running, models: tuple[Script, Script], fault: str, stream: bool
) -> None:
    _, teacher = models
    teacher.play(FAULTS[fault], Act(text="teacher"))
    status, _, answer, _ = ask(gateway, stream, "teacher")
    assert status == 200
    assert answer.count(b'"teacher"') == 1


def test_a_teacher_that_asks_for_a_long_pause_is_not_waited_for(
    gateway: Running, models: tuple[Script, Script]
) -> None:
    _, teacher = models
    teacher.play(Act(status=429, headers={"retry-after": "90"}), Act(text="teacher"))
    status, headers, _, seconds = ask(gateway, False, "teacher")
    assert (status, headers["retry-after"]) == (429, "90")
    assert seconds < 2


def test_a_teachers_refusal_of_the_request_is_passed_on(gateway: Running, models: tuple[Script, Script]) -> None:
    _, teacher = models
    teacher.play(Act(status=400, body=b'{"error":{"message":"too long","code":"context_length_exceeded"}}'))
    status, _, answer, _ = ask(gateway, False, "teacher")
    assert status == 400
    assert msgspec.json.decode(answer)["error"]["code"] == "context_length_exceeded"


def test_models_that_are_not_there_are_a_503_and_are_found_when_they_come(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9/v1"
    with Running(tmp_path, nowhere, nowhere, teacher__attempts=1) as gateway:
        status, headers, body = gateway.chat()
        assert status == 503
        assert body["error"]["code"] == "backend_unreachable"
        assert "retry-after" in headers
