"""How long a streamed turn of text is held, in both modes: when the client sees the first word, and what it sees."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.backends.scripted import Act
from tests.gateway.running import READ_FILE, Running, Script

_WORDS = 80
_TEXT = "".join(f"w{number:02} " for number in range(_WORDS))
_PAUSE = 0.04
_SLOW = Act(text=_TEXT, pieces=_WORDS, pause=_PAUSE)  # 3.2 seconds in all, 32 words after 1.3
_SLOW_WHOLE = Act(text=_TEXT, delay=_WORDS * _PAUSE)  # the same, asked for whole


@pytest.fixture(scope="module", params=["certified", "fast"])
def held(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Any]]:
    """A gateway, its two models, and the mode."""
    home: Path = tmp_path_factory.mktemp(request.param)
    with Script(Act(text="student")) as student, Script(Act(text="teacher")) as teacher:
        settings = {"router__hold": request.param, "router__confidence": 0, "gateway__hold_headers": 20}
        with Running(home, student.url, teacher.url, **settings) as gateway:
            gateway.wait_ready()
            yield gateway, (student, teacher, request.param)


def stream(gateway: Running, **more: Any) -> tuple[float, float, dict[str, str], list[dict[str, Any]]]:
    """Seconds to the first byte and to the last, headers, and the chunks."""
    body = {"model": "nightschool", "stream": True, "messages": [{"role": "user", "content": "Tell me."}], **more}
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    start = time.monotonic()
    connection.request("POST", "/v1/chat/completions", msgspec.json.encode(body), {"content-type": "application/json"})
    reply = connection.getresponse()
    got = reply.read(1)
    first = time.monotonic() - start
    got += reply.read()
    connection.close()
    lines = [line[6:] for line in got.split(b"\n\n") if line.startswith(b"data: {")]
    return first, time.monotonic() - start, dict(reply.headers), [msgspec.json.decode(line) for line in lines]


def said(chunks: list[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk.get("choices", ()))


def test_the_first_word_of_a_long_text(held: tuple[Running, Any]) -> None:
    gateway, (student, _, mode) = held
    student.play(_SLOW if mode == "fast" else _SLOW_WHOLE)
    first, last, headers, chunks = stream(gateway)
    assert headers["x-nightschool-served-by"] == "student"
    assert said(chunks) == _TEXT
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    if mode == "fast":
        assert first < last - 1.0
    else:
        assert first >= _WORDS * _PAUSE
    trace = gateway.trace(headers)
    assert trace["answer"]["content"] == _TEXT
    assert trace["usage"]["completion_tokens"] > 0
    assert trace["state"] == "completed"


def test_a_short_text_is_judged_whole_in_both_modes(held: tuple[Running, Any]) -> None:
    gateway, (student, teacher, _) = held
    student.play(Act(text="I will call <tool_call> now.", pieces=5))
    teacher.play(Act(text="teacher"))
    _, _, headers, chunks = stream(gateway)
    assert (headers["x-nightschool-served-by"], said(chunks)) == ("teacher", "teacher")
    assert headers["x-nightschool-reason"] == "unverified"


def test_markup_in_the_first_words_is_never_let_go(held: tuple[Running, Any]) -> None:
    gateway, (student, teacher, _) = held
    student.play(Act(text="<tool_call> " + _TEXT, pieces=_WORDS))
    teacher.play(Act(text="teacher"))
    _, _, headers, chunks = stream(gateway)
    assert (headers["x-nightschool-served-by"], said(chunks)) == ("teacher", "teacher")


def test_a_turn_with_a_call_is_held_whole_in_both_modes(held: tuple[Running, Any]) -> None:
    gateway, (student, teacher, _) = held
    student.play(Act(text="I look.", calls=[("read_file", '{"path": 5}')], pieces=3))
    teacher.play(Act(calls=[("read_file", '{"path": "a.py"}')]))
    _, _, headers, chunks = stream(gateway, tools=[READ_FILE])
    assert headers["x-nightschool-served-by"] == "teacher"
    assert "I look." not in said(chunks)


def test_what_breaks_after_its_release_is_told_in_the_stream(held: tuple[Running, Any]) -> None:
    gateway, (student, teacher, mode) = held
    student.play(Act(text=_TEXT, pieces=_WORDS, calls=[("read_file", '{"path": "a.py"}')], pause=0.005))
    teacher.play(Act(text="teacher"))
    _, _, headers, chunks = stream(gateway, tools=[READ_FILE])
    if mode == "certified":  # nothing was let go, so the whole turn, text and call, is the student's
        assert headers["x-nightschool-served-by"] == "student"
        return
    assert "error" in chunks[-1]
    assert "tool call after its text" in chunks[-1]["error"]["message"]
    assert "teacher" not in said(chunks)
    assert gateway.trace(headers)["state"] == "failed"


def test_a_student_cut_off_before_its_release_is_not_noticed(held: tuple[Running, Any]) -> None:
    gateway, (student, teacher, _) = held
    student.play(Act(text=_TEXT, pieces=_WORDS, cut=1500))
    teacher.play(Act(text="teacher"))
    _, _, headers, chunks = stream(gateway)
    assert (headers["x-nightschool-reason"], said(chunks)) == ("student_failed", "teacher")
