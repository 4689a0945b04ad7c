"""A day with the embedded student: real engine, expert as the teacher, everything over sockets."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openai import OpenAI

from distill.dataset import Example
from distill.mlx import lora
from distill.mlx.load import load
from distill.render import Renderer
from distill.served_tokens import rendered_anew, token_faults
from distill.trace import Trace
from distill.trajectory import trajectories
from gateway.why import why
from tests.gateway.running import READ_FILE, ROOT, Running

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home: Path = tmp_path_factory.mktemp("home")
    (home / "models").mkdir()
    if (ROOT / "models" / "smollm2-135m").is_dir():  # made once for the checkout; else the engine makes it here
        (home / "models" / "smollm2-135m").symlink_to(ROOT / "models" / "smollm2-135m")
    options = {"router__confidence": 0, "router__uncertified": "serve", "router__holdout": 0}
    with Running(home, "", "", "--profile", "embedded", **options) as gateway:
        gateway.wait(lambda health: health["student"]["ready"] and health["teacher"]["ready"], 200)
        yield gateway


@pytest.fixture(scope="module")
def taught(day: Running) -> Running:
    """A day on which an adapter serves. It changes nothing, so that what the base answers well is answered well."""
    folder = day.home / "models" / "adapters" / "unchanged"
    folder.mkdir(parents=True)
    model = load(day.home / "models" / "smollm2-135m").model
    config = lora.config_of(rank=2, scale=1.0, layers=1)
    lora.wrap(model, config)  # the second matrices are zero
    lora.write(folder, lora.adapter_tensors(model), config)
    day.admin("/admin/proposals", {"adapter": "unchanged", "path": str(folder), "verdict": {"passed": True}})
    return day


@pytest.fixture(scope="module")
def tutored(day: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A day on which the teacher is a model of our own engine, and answers everything."""
    home: Path = tmp_path_factory.mktemp("home")
    (home / "models").mkdir()
    (home / "models" / "smollm2-135m").symlink_to((day.home / "models" / "smollm2-135m").resolve())
    with Running(home, "", "", teacher__model="smollm2-135m", router__policy="teacher") as gateway:
        yield gateway


def test_a_base_that_has_learnt_nothing_does_not_serve(day: Running) -> None:
    _, headers, _ = day.chat("What is the capital of France?", body={"max_tokens": 60, "temperature": 0})
    assert (headers["x-nightschool-served-by"], headers["x-nightschool-reason"]) == ("teacher", "uncertified")


def test_the_student_answers_what_it_can(taught: Running) -> None:
    status, headers, answer = taught.chat("What is the capital of France?", body={"max_tokens": 60, "temperature": 0})
    assert status == 200
    assert headers["x-nightschool-served-by"] == "student"
    assert "Paris" in answer["choices"][0]["message"]["content"]
    trace = taught.trace(headers)
    assert trace["served"]["prompt"]
    assert trace["served"]["completion"]
    assert trace["note"]["model"]
    assert trace["draft"]["logprobs"]


def test_what_the_student_said_is_learnt_token_for_token(taught: Running) -> None:
    messages: list[dict[str, Any]] = []
    traces: list[Trace] = []
    for question in ("What is the capital of France?", "And <|im_end|> of Italy? 🎉"):
        messages.append({"role": "user", "content": question})
        body = {"messages": messages, "tools": [READ_FILE], "max_tokens": 60, "temperature": 0}
        _, headers, answer = taught.chat(body=body)
        traces.append(msgspec.convert(taught.trace(headers), Trace))
        messages.append(answer["choices"][0]["message"])
    assert all(trace.served and trace.finish_reason == "stop" for trace in traces)
    (found,) = trajectories(traces)
    renderer = Renderer(taught.home / "models" / "smollm2-135m")
    example = Example(found.last.conversation, "", [trace.id for trace in traces], list(found.messages), found.tools)
    assert token_faults(example, traces, renderer) == []
    assert rendered_anew(traces, renderer) == {}


def test_a_call_that_cannot_be_accepted_any_more_is_broken_off(taught: Running) -> None:
    """The grammar makes the student call, and its own idea was another: no token of a call may be so improbable."""
    arms = [{"name": "control", "weight": 0}, {"name": "sure", "confidence": 0.9}]
    assert taught.admin("/admin/experiments", {"name": "sure", "arms": arms})[0] == 201
    body = {"tools": [READ_FILE], "tool_choice": "required", "temperature": 0, "max_tokens": 60}
    _, headers, _ = taught.chat("What is the capital of France?", body=body)
    assert taught.admin("/admin/experiments/sure", method="DELETE")[0] == 200
    trace = taught.trace(headers)
    assert trace["experiments"] == {"sure": "sure"}
    decision = trace["decision"]
    assert (decision["arm"], decision["reason"], decision["detail"]) == ("teacher", "doubtful", "broken off")
    assert decision["scores"]["confidence"] < decision["threshold"] == 0.9
    assert trace["draft"]["finish_reason"] == "doubtful"
    told = why(msgspec.convert(trace, Trace), lambda name: pytest.fail(name))
    assert told.same
    assert "a call that broke off" in " ".join(told.said)
    assert "Its conversation has the arm 'sure' of the experiment 'sure'." in told.said


@pytest.mark.parametrize("stream", [False, True])
def test_what_a_teacher_of_our_own_engine_said_is_learnt_token_for_token(tutored: Running, stream: bool) -> None:
    messages: list[dict[str, Any]] = []
    traces: list[Trace] = []
    for question in ("What is the capital of France?", "And of Italy?"):
        messages.append({"role": "user", "content": question})
        body = {"messages": messages, "max_tokens": 60, "temperature": 0, "tools": [READ_FILE], "stream": stream}
        status, headers, raw = tutored.call("/v1/chat/completions", {"model": "nightschool", **body})
        assert status == 200
        assert headers["x-nightschool-served-by"] == "teacher"
        assert b"token_ids" not in raw  # the client did not ask for them
        traces.append(msgspec.convert(tutored.trace(headers), Trace))
        assert traces[-1].answer is not None
        messages.append({"role": "assistant", "content": traces[-1].answer.content})
    assert all(trace.served and trace.served.completion and trace.note for trace in traces)
    renderer = Renderer(tutored.home / "models" / "smollm2-135m")
    (found,) = trajectories(traces)
    example = Example(found.last.conversation, "", [trace.id for trace in traces], list(found.messages), found.tools)
    assert token_faults(example, traces, renderer) == []
    assert rendered_anew(traces, renderer) == {}
    body = {"messages": messages[:1], "max_tokens": 5, "return_token_ids": True, "stream": stream}
    _, _, raw = tutored.call("/v1/chat/completions", {"model": "nightschool", **body})
    assert b"prompt_token_ids" in raw  # this one did


def test_the_openai_package_streams_with_tools(taught: Running) -> None:
    with OpenAI(base_url=taught.url + "/v1", api_key="none") as client:
        for model in ("nightschool", "student", "teacher"):
            chunks = list(
                client.chat.completions.create(  # type: ignore[call-overload]
                    model=model,
                    messages=[{"role": "user", "content": "Read the file a.py."}],
                    tools=[READ_FILE],
                    max_tokens=40,
                    temperature=0,
                    stream=True,
                )
            )
            assert chunks[0].choices[0].delta.role == "assistant"
            assert chunks[-1].choices[0].finish_reason in ("stop", "tool_calls", "length")


def test_kill_9_of_the_engine_during_a_request_is_answered_and_the_engine_comes_back(taught: Running) -> None:
    day = taught
    engine = day.get("/health")["processes"]["student"]["pid"]
    threading.Timer(0.15, os.kill, (engine, signal.SIGKILL)).start()
    status, headers, _ = day.chat("Write a very long story about a river.", body={"max_tokens": 2000, "temperature": 0})
    assert (status, headers["x-nightschool-served-by"], headers["x-nightschool-reason"]) == (
        200,
        "teacher",
        "student_failed",
    )
    start = time.monotonic()
    health = day.wait(lambda health: health["student"]["ready"], 60)
    assert health["processes"]["student"]["pid"] != engine
    assert time.monotonic() - start < 30
    day.wait(
        lambda health: (
            day.chat("What is the capital of France?", body={"max_tokens": 60, "temperature": 0})[1][
                "x-nightschool-served-by"
            ]
            == "student"
        )
    )


def test_kill_9_of_the_gateway_takes_engine_and_expert_along(day: Running) -> None:
    health = day.wait(lambda health: health["student"]["ready"] and health["teacher"]["ready"], 60)
    children = [process["pid"] for process in health["processes"].values()]
    day.process.send_signal(signal.SIGKILL)
    day.process.wait()
    end = time.monotonic() + 5
    while time.monotonic() < end and any(Path(f"/proc/{pid}").exists() for pid in children):
        time.sleep(0.1)
    assert not [pid for pid in children if _lives(pid)]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
