"""POST /v1/completions: the legacy text wire, for clients that still speak it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from openai import OpenAI
from openai.types import Completion

from gateway.backends.scripted import Act
from tests.gateway.running import Running, Script


def chunks(body: bytes) -> list[dict[str, Any]]:
    *events, done, rest = body.split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    return [msgspec.json.decode(event.removeprefix(b"data: ")) for event in events if event.startswith(b"data: ")]


@pytest.mark.parametrize("prompt", ["Once", ["Once"]])
def test_a_prompt_is_answered(gateway: Running, student: Script, prompt: Any) -> None:
    body = {"model": "nightschool", "prompt": prompt, "max_tokens": 5, "echo": False, "best_of": 1}
    status, headers, raw = gateway.call("/v1/completions", body)
    assert (status, headers["x-nightschool-served-by"]) == (200, "student")
    told = Completion.model_validate_json(raw)
    assert (told.object, told.model, told.choices[0].text) == ("text_completion", "nightschool", "student")
    assert told.usage is not None
    sent = student.asked[-1].body
    assert (sent["messages"], sent["max_tokens"]) == ([{"role": "user", "content": "Once"}], 5)
    assert not {"prompt", "echo", "best_of"} & sent.keys()
    trace = gateway.trace(headers)
    assert (trace["wire"], trace["wire_id"]) == ("completions", told.id)


@pytest.mark.parametrize("arm", ["nightschool", "teacher"])
@pytest.mark.parametrize("usage", [False, True])
def test_a_stream_is_of_text_completions(gateway: Running, teacher: Script, arm: str, usage: bool) -> None:
    teacher.play(Act(text="teacher", pieces=3))
    options = {"stream_options": {"include_usage": True}} if usage else {}
    _, _, raw = gateway.call("/v1/completions", {"model": arm, "prompt": "Once", "stream": True, **options})
    told = chunks(raw)
    choices = [choice for chunk in told for choice in chunk["choices"]]
    assert "".join(choice["text"] for choice in choices) == ("teacher" if arm == "teacher" else "student")
    assert [choice["finish_reason"] for choice in choices] == [None] * (len(choices) - 1) + ["stop"]
    assert sum(chunk.get("usage") is not None for chunk in told) == usage
    for chunk in told:
        for choice in chunk["choices"]:
            choice["finish_reason"] = "stop"  # the type forgets that a stream has not ended yet
        Completion.model_validate(chunk)


def test_waiting_and_failing_are_told(gateway: Running, student: Script, teacher: Script) -> None:
    student.play(Act(status=500))
    teacher.play(Act(text="late", delay=1.2))
    _, headers, raw = gateway.call("/v1/completions", {"model": "nightschool", "prompt": "Once", "stream": True})
    assert headers["x-nightschool-served-by"] == "pending"
    assert b": still working" in raw
    assert chunks(raw)[-1]["nightschool"]["served_by"] == "teacher"
    teacher.play(Act(text="twenty characters here", pieces=4, cut=500))
    _, _, raw = gateway.call("/v1/completions", {"model": "teacher", "prompt": "Once", "stream": True})
    assert b"[DONE]" not in raw
    assert msgspec.json.decode(raw.split(b"data: ")[-1])["error"]["code"] == "backend_broken"


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"echo": True}, "echo"),
        ({"suffix": "end"}, "suffix"),
        ({"best_of": 2}, "best_of"),
        ({"logprobs": 0}, "logprobs"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": "hot"}, "temperature"),
    ],
)
def test_what_cannot_be_honoured_is_refused(gateway: Running, wrong: dict[str, Any], param: str) -> None:
    status, _, raw = gateway.call("/v1/completions", {"model": "nightschool", "prompt": "Once", **wrong})
    assert (status, msgspec.json.decode(raw)["error"]["param"]) == (400, param)


def test_the_client_gets_text(gateway: Running) -> None:
    with OpenAI(base_url=gateway.url + "/v1", api_key="none", max_retries=0) as client:
        assert client.completions.create(model="nightschool", prompt="Once").choices[0].text == "student"
        stream = client.completions.create(model="nightschool", prompt="Once", stream=True)
        assert "".join(one.choices[0].text for one in stream) == "student"
