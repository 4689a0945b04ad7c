"""Embeddings, handed on to a teacher that makes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openai import OpenAI

from gateway.backends.scripted import Act, Seen
from tests.gateway.running import Running, Script, new_key

PATH = "/v1/embeddings"
NONE = Act(status=404, body=b'{"error":{"message":"no such route","type":"x","code":"not_found"}}')
A_UNIT = {"teacher__price_input": 1_000_000, "teacher__price_output": 9}


@pytest.fixture(scope="module")
def gateway(student: Script, teacher: Script, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("home")
    settings = {"teacher__attempts": 2, "teacher__failures": 0, "teacher__embeddings": "vectors", **A_UNIT}
    with Running(home, student.url, teacher.url, **settings) as running:
        running.wait_ready()
        yield running


def embedded(script: Script) -> list[Seen]:
    return [seen for seen in script.server.seen if seen.path.endswith("/embeddings")]


def ask(gateway: Running, model: str = "teacher", **more: Any) -> tuple[int, dict[str, str], dict[str, Any]]:
    status, headers, body = gateway.call(PATH, {"model": model, "input": "four", **more})
    return status, headers, msgspec.json.decode(body)


@pytest.mark.parametrize(
    ("model", "asked"), [("teacher", "vectors"), ("vectors", "vectors"), ("large", "large"), ("nightschool", "vectors")]
)
def test_a_teacher_is_asked_for_its_model_of_embeddings(
    gateway: Running, teacher: Script, student: Script, model: str, asked: str
) -> None:
    status, headers, answer = ask(gateway, model, dimensions=3, input=["four", "fiver"])
    assert (status, headers["x-nightschool-served-by"]) == (200, "teacher")
    assert [entry["embedding"] for entry in answer["data"]] == [[4], [5]]
    assert embedded(teacher)[-1].body == {"model": asked, "input": ["four", "fiver"], "dimensions": 3}
    assert not embedded(student)


def test_the_student_is_asked_only_where_it_is_named(gateway: Running, student: Script) -> None:
    for model in ("student", "small"):
        status, headers, answer = ask(gateway, model)
        assert (status, headers["x-nightschool-served-by"], answer["model"]) == (200, "student", "small")
    assert len(embedded(student)) == 2


def test_openai_s_client_is_served(gateway: Running) -> None:
    with OpenAI(base_url=gateway.url + "/v1", api_key="unused", max_retries=0) as client:
        found = client.embeddings.create(model="teacher", input="four", encoding_format="float")
    assert (found.data[0].embedding, found.usage.total_tokens) == ([4.0], 5)


def test_the_model_is_listed(gateway: Running) -> None:
    assert "vectors" in [entry["id"] for entry in gateway.get("/v1/models")["data"]]


def test_nothing_of_it_is_traced_and_its_usage_is_paid_for(gateway: Running) -> None:
    def told() -> tuple[int, float]:
        status = gateway.admin("/admin/status", b"", "GET")[1]
        return status["traces"]["written"] + status["traces"]["waiting"], status["spend"]["teacher"]["spent"]

    written, spent = told()
    status, headers, _ = ask(gateway, input=["a", "b"])
    assert (status, "x-nightschool-trace" in headers) == (200, False)
    assert told() == (written, spent + 10)


@pytest.mark.parametrize(
    ("payload", "param"),
    [
        ({"input": "x"}, "model"),
        ({"model": 3, "input": "x"}, "model"),
        ({"model": "teacher"}, "input"),
        ({"model": "teacher", "input": ""}, "input"),
        ({"model": "teacher", "input": []}, "input"),
        ({"model": "teacher", "input": {"text": "x"}}, "input"),
        ([1], None),
    ],
)
def test_a_wrong_request_is_refused_by_its_field(gateway: Running, payload: Any, param: str | None) -> None:
    status, _, body = gateway.call(PATH, payload)
    error = msgspec.json.decode(body)["error"]
    assert (status, error["type"], error["param"]) == (400, "invalid_request_error", param)


def test_errors_are_as_elsewhere(gateway: Running, teacher: Script) -> None:
    assert ask(gateway, "none")[0] == 404
    assert gateway.call(PATH, b"", "GET")[0] == 405
    assert gateway.call(PATH, b"{")[0] == 400
    for act, status, code in (
        (Act(status=500), 502, "backend_refused"),
        (Act(drop=True), 502, "backend_broken"),
        (Act(raw=b"{}"), 502, "backend_broken"),
        (Act(raw=b"<html>"), 502, "backend_broken"),
        (Act(status=400, body=b'{"error":{"message":"too long","code":"too_long"}}'), 400, "too_long"),
        (NONE, 404, "not_found"),
    ):
        teacher.play(act)
        found, _, answer = ask(gateway)
        assert (found, answer["error"]["code"]) == (status, code), act


def test_a_busy_teacher_is_asked_again(gateway: Running, teacher: Script) -> None:
    teacher.play(Act(status=503), Act())
    assert ask(gateway)[0] == 200
    assert len(embedded(teacher)) == 2


@pytest.mark.parametrize("act", [NONE, Act(status=500), Act(drop=True)])
def test_the_next_teacher_is_asked_where_the_first_makes_none(
    tmp_path: Path, student: Script, teacher: Script, act: Act
) -> None:
    with Script(Act(), model="two") as second:
        (tmp_path / "nightschool.toml").write_text(f'[teachers.second]\nurl = "{second.url}"\n')
        with Running(tmp_path, student.url, teacher.url, teacher__attempts=1) as gateway:
            gateway.wait_ready()
            teacher.play(act)
            status, _, answer = ask(gateway)
            assert (status, answer["model"]) == (200, "two")


def test_a_local_teacher_makes_none(tmp_path: Path, student: Script) -> None:
    with Running(tmp_path, student.url, "", teacher__model="expert") as gateway:
        status, _, answer = ask(gateway)
        assert (status, answer["error"]["code"]) == (404, "not_found")


def test_what_may_not_leave_does_not(tmp_path: Path, student: Script, teacher: Script) -> None:
    here, plain = new_key(tmp_path, "here", "--stays-here"), new_key(tmp_path, "plain", "--model", "teacher")
    elsewhere = teacher.url.replace("127.0.0.1", "0.0.0.0")
    with Running(tmp_path, student.url, elsewhere) as gateway:
        gateway.key = plain
        gateway.wait_ready()
        assert ask(gateway)[0] == 200
        assert ask(gateway, "student")[0] == 404  # not a name of this key's
        gateway.key = here
        status, _, answer = ask(gateway)
        assert (status, answer["error"]["code"]) == (403, "may_not_leave_machine")
        assert ask(gateway, "student")[0] == 200
        assert len(embedded(teacher)) == 1
        gateway.key = ""
        assert ask(gateway)[0] == 401
