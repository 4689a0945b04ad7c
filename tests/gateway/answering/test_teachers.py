"""Several teachers, a teacher that is left alone, and a student that stands in, over real sockets."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gateway.backends.scripted import Act
from gateway.errors import SettingsError
from gateway.settings import load
from tests.gateway.running import Running, Script

DOWN = Act(status=503)
NO_HEADERS_YET = {"gateway__hold_headers": 20}


def settings_file(home: Path, text: str) -> Path:
    """Where the gateway, which is started in its home, looks for it."""
    file = home / "nightschool.toml"
    file.write_text(text)
    return file


@pytest.fixture
def first() -> Iterator[Script]:
    with Script(Act(text="first"), model="one") as script:
        yield script


@pytest.fixture
def second() -> Iterator[Script]:
    with Script(Act(text="second"), model="two") as script:
        yield script


def two_teachers(home: Path, first: Script, second: Script, how: str = "ordered") -> Running:
    text = f"""
        [router]
        policy = "teacher"
        teachers = "{how}"
        [teacher]
        url = "{first.url}"
        attempts = 1
        [teachers.second]
        url = "{second.url}"
        attempts = 1
    """
    settings_file(home, text)
    return Running(home)


def both_ready(health: dict[str, Any]) -> bool:
    return bool(health["teacher"]["ready"] and health["teachers"]["second"]["ready"])


def test_the_next_teacher_answers_when_the_first_cannot(tmp_path: Path, first: Script, second: Script) -> None:
    with two_teachers(tmp_path, first, second) as gateway:
        gateway.wait(both_ready)
        assert "first" in str(gateway.chat()[2])
        for fault in (DOWN, Act(drop=True), Act(raw=b"<html>")):
            first.play(fault)
            status, headers, answer = gateway.chat()
            assert (status, answer["choices"][0]["message"]["content"]) == (200, "second")
            assert gateway.trace(headers)["tried"][0].startswith("teacher: ")
        status, _, body = gateway.call(
            "/v1/chat/completions",
            {"model": "nightschool", "stream": True, "messages": [{"role": "user", "content": "Hi"}]},
        )
        assert status == 200
        assert body.count(b'"second"') == 1
        assert b"first" not in body


def test_a_request_that_is_refused_is_not_passed_on(tmp_path: Path, first: Script, second: Script) -> None:
    with two_teachers(tmp_path, first, second) as gateway:
        gateway.wait(both_ready)
        first.play(Act(status=400))
        assert gateway.chat()[0] == 400
        assert not second.asked


def test_a_teacher_is_named_by_its_model(tmp_path: Path, first: Script, second: Script) -> None:
    with two_teachers(tmp_path, first, second) as gateway:
        gateway.wait(both_ready)
        assert "second" in str(gateway.chat(model="two")[2])
        assert {"one", "two"} <= {entry["id"] for entry in gateway.get("/v1/models")["data"]}


def test_balanced_teachers_share_what_comes_at_once(tmp_path: Path, first: Script, second: Script) -> None:
    for script in (first, second):
        script.play(Act(text="slow", delay=0.4))
    with two_teachers(tmp_path, first, second, "balanced") as gateway:
        gateway.wait(both_ready)
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: gateway.chat()[0], range(8)))
        assert Counter(found) == {200: 8}
        assert len(first.asked) == len(second.asked) == 4


def test_a_teacher_that_keeps_failing_is_left_alone_for_a_while(tmp_path: Path) -> None:
    with Script(Act(text="student"), model="small") as student, Script(Act(hang=True), model="large") as teacher:
        limits = {"teacher__attempts": 1, "teacher__first_byte": 0.2, "teacher__failures": 2}
        with Running(tmp_path, student.url, teacher.url, **NO_HEADERS_YET, **limits) as gateway:
            gateway.wait_ready()
            for _ in range(2):
                assert gateway.chat(model="teacher")[2]["error"]["code"] == "backend_timeout"
            start = time.monotonic()
            status, headers, answer = gateway.chat(model="teacher")
            assert time.monotonic() - start < 0.15  # nobody waited
            assert (status, answer["error"]["code"]) == (503, "backend_resting")
            assert 1 <= int(headers["retry-after"]) <= 5
            assert gateway.get("/health")["teacher"]["rests"] > 0
            assert len(teacher.asked) == 2


def test_the_student_stands_in_where_only_the_conversation_spoke_against_it(tmp_path: Path) -> None:
    with Script(Act(text="student"), model="small") as student, Script(DOWN, model="large") as teacher:
        limits = {"teacher__attempts": 1, "teacher__failures": 0}
        with Running(tmp_path, student.url, teacher.url, router__holdout=1, **NO_HEADERS_YET, **limits) as gateway:
            gateway.wait_ready()
            status, headers, answer = gateway.chat()
            assert (status, answer["choices"][0]["message"]["content"]) == (200, "student")
            assert headers["x-nightschool-served-by"] == "student"
            assert headers["x-nightschool-reason"] == "teacher_failed"
            student.play(Act(text="unsure", logprob=-5.0))
            status, headers, answer = gateway.chat()
            assert (status, headers["x-nightschool-reason"]) == (503, "holdout")  # only what is verified is served
            teacher_asked = gateway.chat(model="teacher")
            assert teacher_asked[0] == 503  # who names an arm gets that arm


def test_standing_in_can_be_forbidden(tmp_path: Path) -> None:
    with Script(Act(text="student"), model="small") as student, Script(DOWN, model="large") as teacher:
        limits = {"teacher__attempts": 1, "router__holdout": 1, "router__teacher_down": "error"}
        with Running(tmp_path, student.url, teacher.url, **NO_HEADERS_YET, **limits) as gateway:
            gateway.wait_ready()
            assert gateway.chat()[0] == 503


def test_a_teacher_gets_no_more_than_it_may_have_at_once(tmp_path: Path) -> None:
    slow = Act(text="slow", delay=0.3)
    with Script(slow, model="large") as teacher, Script(Act(text="student")) as student:
        limits = {"teacher__at_once": 1, "teacher__queue": 2, "gateway__hold_headers": 0.1, "gateway__heartbeat": 0.1}
        with Running(tmp_path, student.url, teacher.url, **limits) as gateway:
            gateway.wait_ready()
            with ThreadPoolExecutor(5) as pool:
                found = list(pool.map(lambda _: gateway.chat(model="teacher"), range(5)))
            assert Counter(status for status, _, _ in found) == {200: 3, 503: 2}
            refused = [(headers, answer) for status, headers, answer in found if status == 503]
            assert all(answer["error"]["code"] == "overloaded" for _, answer in refused)
            assert all(int(headers["retry-after"]) >= 1 for headers, _ in refused)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[teachers]\nbig = 3", "teachers.big"),
        ("[teachers.big]\nurl = 'http://x/v1'\nurrl = 3", "teachers.big.urrl"),
        ("[teachers.big]\nname = 'x'", "needs a 'model' or a 'url'"),
    ],
)
def test_a_wrong_list_of_teachers_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(said)):
        load(settings_file(tmp_path, text), environment={})
