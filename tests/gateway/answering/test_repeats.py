"""Repeated requests at a real gateway: who gets an answer again, over which wires, and when it is asked anew."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.backends.scripted import Act
from tests.gateway.running import READ_FILE, Running, Script, new_key

AGAIN = {"x-nightschool-cache": "1"}
PATHS = ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/completions"]
A_UNIT = {"teacher__price_input": 1_000_000, "teacher__price_output": 1_000_000}


@pytest.fixture(scope="module")
def gateway(student: Script, teacher: Script, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("home")
    with Running(home, student.url, teacher.url, teacher__attempts=1, **A_UNIT) as running:
        running.wait_ready()
        yield running


def ask(
    gateway: Running, text: str, model: str = "teacher", headers: dict[str, str] | None = None, **more: Any
) -> tuple[dict[str, str], str]:
    """Headers and text of an answer to a deterministic request."""
    body = {"temperature": 0, **more}
    status, found, answer = gateway.chat(text, model, body=body, headers=AGAIN if headers is None else headers)
    assert status == 200, answer
    return found, answer["choices"][0]["message"]["content"]


def in_form(path: str, text: str, **more: Any) -> dict[str, Any]:
    """A deterministic request of a wire."""
    if path.endswith("responses"):
        return {"model": "teacher", "temperature": 0, "input": text, **more}
    if path.endswith("/completions") and "chat" not in path:
        return {"model": "teacher", "temperature": 0, "prompt": text, **more}
    limit = {"max_tokens": 50} if path.endswith("messages") else {}
    return {"model": "teacher", "temperature": 0, "messages": [{"role": "user", "content": text}], **limit, **more}


def status_of(gateway: Running) -> dict[str, Any]:
    told: dict[str, Any] = gateway.admin("/admin/status", b"", "GET")[1]
    return told


def test_a_repeat_is_answered_as_before_and_costs_nothing(gateway: Running, teacher: Script) -> None:
    teacher.play(Act(text="first"), Act(text="second"))
    before = status_of(gateway)
    first, text = ask(gateway, "once")
    spent = status_of(gateway)["spend"]["teacher"]["spent"]
    again, repeated = ask(gateway, "once")
    assert (text, repeated, len(teacher.asked)) == ("first", "first", 1)
    assert first["x-nightschool-reason"] == "requested"
    assert (again["x-nightschool-reason"], again["x-nightschool-served-by"]) == ("cached", "teacher")
    trace = gateway.trace(again)
    assert trace["decision"]["detail"] == first["x-nightschool-trace"]
    assert (trace["state"], trace["answer"]["content"]) == ("completed", "first")
    after = status_of(gateway)
    assert after["spend"]["teacher"]["spent"] == spent
    assert after["cache"]["hits"] == before["cache"]["hits"] + 1
    assert after["cache"]["misses"] == before["cache"]["misses"] + 1
    assert after["cache"]["entries"] == before["cache"]["entries"] + 1
    assert after["cache"]["bytes"] > before["cache"]["bytes"]


@pytest.mark.parametrize(
    ("headers", "more"),
    [
        ({}, {}),
        ({"x-nightschool-cache": "0"}, {}),
        ({**AGAIN, "x-nightschool-no-trace": "1"}, {}),
        (AGAIN, {"temperature": 0.2}),
        (AGAIN, {"temperature": None}),
        (AGAIN, {"n": 2}),
        (AGAIN, {"logprobs": True}),
    ],
)
def test_nothing_is_repeated_unasked(
    gateway: Running, teacher: Script, headers: dict[str, str], more: dict[str, Any]
) -> None:
    teacher.play(Act(text="first"), Act(text="second"))
    texts = [ask(gateway, "unasked", headers=headers, **more)[1] for _ in range(2)]
    assert texts == ["first", "second"]


def test_a_request_that_does_not_allow_it_is_not_kept_for_one_that_does(gateway: Running, teacher: Script) -> None:
    teacher.play(Act(text="first"), Act(text="second"), Act(text="third"))
    assert ask(gateway, "not mine", headers={})[1] == "first"
    assert ask(gateway, "not mine")[1] == "second"
    assert ask(gateway, "not mine", headers={})[1] == "third"
    assert ask(gateway, "not mine")[1] == "second"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kept_as", [False, True])
@pytest.mark.parametrize("asked_as", [False, True])
def test_every_wire_repeats_whole_and_streamed(
    gateway: Running, teacher: Script, path: str, kept_as: bool, asked_as: bool
) -> None:
    text = f"{path} {kept_as} {asked_as}"
    teacher.play(Act(text="the answer is 42", pieces=4), Act(text="something else"))
    for number, stream in enumerate((kept_as, asked_as)):
        status, headers, body = gateway.call(path, in_form(path, text, stream=stream), headers=AGAIN)
        assert (status, headers["x-nightschool-reason"]) == (200, "cached" if number else "requested")
        assert body.startswith((b"data: ", b"event: ") if stream else b"{")
    assert b"42" in body
    assert b"something" not in body
    assert len(teacher.asked) == 1


def test_a_stream_of_a_repeat_ends_as_streams_do(gateway: Running, teacher: Script) -> None:
    teacher.play(Act(calls=[("read_file", '{"path":"a.py"}')]), Act(text="not again"))
    asked = in_form("/v1/chat/completions", "a call", tools=[READ_FILE])
    first = msgspec.json.decode(gateway.call("/v1/chat/completions", asked, headers=AGAIN)[2])
    asked |= {"stream": True, "stream_options": {"include_usage": True}}
    _, headers, body = gateway.call("/v1/chat/completions", asked, headers=AGAIN)
    assert headers["x-nightschool-reason"] == "cached"
    *events, done = [line[6:] for line in body.split(b"\n\n") if line]
    assert done == b"[DONE]"
    chunks = [msgspec.json.decode(event) for event in events]
    assert chunks[-1]["usage"] == first["usage"]
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"
    calls = [call for chunk in chunks[:-1] for call in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert calls[0]["function"]["name"] == "read_file"
    assert "".join(call["function"]["arguments"] for call in calls) == '{"path":"a.py"}'


def test_a_verified_draft_is_repeated_as_the_student_s(gateway: Running, student: Script) -> None:
    student.play(Act(text="mine"), Act(text="mine again"))
    first, text = ask(gateway, "routed", model="nightschool")
    assert (first["x-nightschool-reason"], text) == ("verified", "mine")
    again, text = ask(gateway, "routed", model="gpt-4o")  # an alias of the same
    assert (again["x-nightschool-reason"], again["x-nightschool-served-by"], text) == ("cached", "student", "mine")
    assert ask(gateway, "routed", model="student")[1] == "mine again"  # asked for by name: another question
    assert "logprobs" not in str(gateway.trace(again)["answer"])


@pytest.mark.parametrize(
    "act", [Act(text="cut", finish="length"), Act(status=500), Act(text="word " * 200, pieces=50, cut=900)]
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_did_not_end_well_is_not_kept(gateway: Running, teacher: Script, act: Act, stream: bool) -> None:
    teacher.play(act, Act(text="whole"))
    asked = in_form("/v1/chat/completions", f"ends badly {act} {stream}", stream=stream)
    gateway.call("/v1/chat/completions", asked, headers=AGAIN)
    _, headers, body = gateway.call("/v1/chat/completions", asked, headers=AGAIN)
    assert headers["x-nightschool-reason"] == "requested"
    assert b"whole" in body


def test_a_repeat_needs_no_model(tmp_path: Path) -> None:
    with Script(Act(text="gone soon")) as teacher, Running(tmp_path, teacher.url, teacher.url) as gateway:
        gateway.wait_ready()
        ask(gateway, "kept")
        teacher.play(Act(drop=True))
        assert ask(gateway, "kept")[1] == "gone soon"


def test_two_keys_never_share_and_a_key_may_ask_for_it_once_and_for_all(
    tmp_path: Path, student: Script, teacher: Script
) -> None:
    alice, bob = new_key(tmp_path, "alice", "--cache"), new_key(tmp_path, "bob", "--cache")
    untold = new_key(tmp_path, "untold", "--cache", "--no-record")
    with Running(tmp_path, student.url, teacher.url) as gateway:
        gateway.key = alice
        gateway.wait_ready()
        teacher.play(*[Act(text=f"answer {number}") for number in range(9)])
        assert [ask(gateway, "shared", headers={})[1] for _ in range(2)] == ["answer 0", "answer 0"]
        assert ask(gateway, "shared", headers={"x-nightschool-cache": "0"})[1] == "answer 1"
        gateway.key = bob
        assert [ask(gateway, "shared", headers={})[1] for _ in range(2)] == ["answer 2", "answer 2"]
        gateway.key = untold
        assert [ask(gateway, "shared", headers={})[1] for _ in range(2)] == ["answer 3", "answer 4"]
        gateway.key = alice
        assert ask(gateway, "shared", headers={})[1] == "answer 0"


def adapter(home: Path, name: str) -> str:
    folder = home / "models" / "adapters" / name
    folder.mkdir(parents=True)
    (folder / "adapters.safetensors").write_bytes(name.encode())
    return str(folder)


def test_an_adapter_s_answers_are_its_own(tmp_path: Path) -> None:
    with Script(Act(text="x"), model="small") as student, Running(tmp_path, student.url, student.url) as gateway:
        gateway.wait_ready()
        student.play(*[Act(text=f"answer {number}") for number in range(9)])
        assert [ask(gateway, "q", "student")[1] for _ in range(2)] == ["answer 0", "answer 0"]
        for name in ("small-1", "small-2"):
            proposal = {"adapter": name, "path": adapter(tmp_path, name), "verdict": {}}
            assert gateway.admin("/admin/proposals", proposal)[0] == 201
            assert len({ask(gateway, "q", "student")[1] for _ in range(2)} - {"answer 0"}) == 1
        assert ask(gateway, "q", "student")[1] == "answer 2"
        assert gateway.admin("/admin/rollback")[0] == 201
        assert [ask(gateway, "q", "student")[1] for _ in range(2)] == ["answer 3", "answer 3"]
        assert ask(gateway, "q", "small-2")[1] == "answer 4"  # by name
        assert gateway.admin("/admin/adapters/small-2", method="DELETE")[0] == 200
        retrained = {"name": "small-2", "path": adapter(tmp_path, "other")}
        assert gateway.admin("/admin/adapters", retrained)[0] == 201
        assert ask(gateway, "q", "small-2")[1] == "answer 5"


def test_answers_are_kept_as_long_and_as_many_as_the_settings_say(
    tmp_path: Path, student: Script, teacher: Script
) -> None:
    settings = {"gateway__cache_seconds": 0.6, "gateway__cache_bytes": 2000}
    with Running(tmp_path, student.url, teacher.url, **settings) as gateway:
        gateway.wait_ready()
        teacher.play(Act(text="first"), Act(text="second"), Act(text="x" * 5000), Act(text="y" * 5000))
        assert ask(gateway, "soon old")[1] == "first"
        time.sleep(0.7)
        assert ask(gateway, "soon old")[1] == "second"
        assert [ask(gateway, "too large")[1][0] for _ in range(2)] == ["x", "y"]
        assert status_of(gateway)["cache"]["bytes"] <= 2000


def test_the_cache_can_be_off(tmp_path: Path, student: Script, teacher: Script) -> None:
    with Running(tmp_path, student.url, teacher.url, gateway__cache_bytes=0) as gateway:
        gateway.wait_ready()
        teacher.play(Act(text="first"), Act(text="second"))
        assert [ask(gateway, "q")[1] for _ in range(2)] == ["first", "second"]
        assert status_of(gateway)["cache"] == {"entries": 0, "bytes": 0, "hits": 0, "misses": 0}
