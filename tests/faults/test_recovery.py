"""A teacher that fails and is well again, that refuses, or that is not there: on every wire."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from gateway.backends.scripted import Act
from tests.faults.table import FAULTS, Stage
from tests.faults.wires import WIRES
from tests.gateway.running import Running


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("fault", ["429", "500", "502 with HTML", "connection dropped", "empty", "cut before any text"])
@pytest.mark.parametrize("wire", WIRES)
def test_a_teacher_that_recovers_is_asked_again(stage: Stage, wire: str, fault: str, stream: bool) -> None:
    stage.teacher.play(FAULTS[fault].act(stream), Act(text="teacher"))
    status, _, answer = stage.gateway.call(WIRES[wire].path, WIRES[wire].body("teacher", "Hi", stream))
    seen = WIRES[wire].read(status, answer, stream)
    assert (seen.status, seen.text, seen.ends, seen.error) == (200, "teacher", 1, "")


def test_a_teacher_that_asks_for_a_long_pause_is_not_waited_for(stage: Stage) -> None:
    stage.teacher.play(Act(status=429, headers={"retry-after": "90"}), Act(text="teacher"))
    start = time.monotonic()
    status, headers, _ = stage.gateway.chat(model="teacher")
    assert (status, headers["retry-after"]) == (429, "90")
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("wire", WIRES)
def test_a_teachers_refusal_of_the_request_is_passed_on(stage: Stage, wire: str) -> None:
    stage.teacher.play(Act(status=400, body=b'{"error":{"message":"too long","code":"context_length_exceeded"}}'))
    status, _, answer = stage.gateway.call(WIRES[wire].path, WIRES[wire].body("teacher", "Hi", False))
    code = "invalid_request_error" if wire == "Messages" else "context_length_exceeded"
    assert WIRES[wire].read(status, answer, False).error == code
    assert status == 400


def test_models_that_are_not_there_are_a_503(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9/v1"
    with Running(tmp_path, nowhere, nowhere, teacher__attempts=1) as gateway:
        for wire in WIRES.values():
            status, headers, answer = gateway.call(wire.path, wire.body("nightschool", "Hi", False))
            assert status == 503
            assert wire.read(status, answer, False).error in ("backend_unreachable", "overloaded_error")
            assert "retry-after" in headers
            assert msgspec.json.decode(answer)["error"]["message"]
