"""An upstream that is slow, breaks off or refuses, as a client of the Messages API sees it."""

from __future__ import annotations

import msgspec
import pytest

from gateway.backends.scripted import Act
from tests.gateway.messages import judged
from tests.gateway.messages.test_answers import ask, chunk
from tests.gateway.running import Running, Script

BODY = {"model": "teacher", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "Hi"}]}


def test_a_slow_model_is_waited_for_with_pings(gateway: Running, teacher: Script) -> None:
    teacher.play(Act(text="late", delay=1.5))
    headers, body = ask(gateway, model="teacher", stream=True)
    assert headers["x-nightschool-served-by"] == "pending"
    events = judged.split(body)
    assert [name for name, _ in events].count("ping") >= 2
    assert ("ping", {"type": "ping"}) in events
    answer = judged.stream(body, frozenset({"nightschool"}))
    assert answer.stop_reason == "end_turn"
    told = next(data for name, data in events if name == "message_delta")["nightschool"]
    assert (told["served_by"], told["reason"]) == ("teacher", "requested")
    assert gateway.get("/v1/traces/" + told["trace"])["state"] == "completed"


def test_a_call_that_takes_long_is_waited_for_with_pings(gateway: Running, teacher: Script) -> None:
    teacher.play(Act(calls=[("read_file", '{"path": "a.py"}')], pause=0.5))
    _, body = ask(gateway, model="teacher", stream=True)
    names = [name for name, _ in judged.split(body)]
    assert "ping" in names[names.index("message_start") : names.index("content_block_start")]
    assert judged.stream(body).stop_reason == "tool_use"


@pytest.mark.parametrize(
    "act",
    [
        Act(text="twenty characters here", pieces=4, cut=600, pause=0.05),
        Act(text="twenty characters here", pieces=4, stall=600, pause=0.05),
    ],
    ids=["cut", "silent"],
)
def test_a_stream_that_breaks_off_ends_with_an_error_event(gateway: Running, teacher: Script, act: Act) -> None:
    teacher.play(act)
    status, headers, body = gateway.call("/v1/messages", BODY)
    events = judged.split(body)
    assert (status, events[0][0], events[-1][0]) == (200, "message_start", "error")
    assert judged.error({**events[-1][1], "request_id": None})[0] in ("api_error", "overloaded_error")
    assert not {"message_delta", "message_stop"} & {name for name, _ in events}
    assert gateway.trace(headers)["state"] == "failed"


@pytest.mark.parametrize(
    "rest",
    [b"data: [DONE]\n\n", b'data: {"error": {"message": "out of memory"}}\n\n', b"data: {not json\n\n"],
    ids=["no reason to end", "error", "not json"],
)
def test_a_stream_that_is_broken_before_anything_is_sent_is_an_error(
    gateway: Running, teacher: Script, rest: bytes
) -> None:
    teacher.play(Act(raw=chunk({"content": "a"}) + rest))
    status, headers, body = gateway.call("/v1/messages", BODY)
    assert (status, judged.error(msgspec.json.decode(body))[0]) == (502, "api_error")
    assert gateway.trace(headers)["state"] == "failed"


SERVER = "The model's server answered with status "


def refusing(message: str, code: str | None = None) -> bytes:
    return msgspec.json.encode({"error": {"message": message, "type": "x", "code": code}})


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("upstream", "body", "status", "kind", "told"),
    [
        (
            400,
            refusing(
                "This model's maximum context length is 2048 tokens. However, your messages resulted in 3000 tokens.",
                "context_length_exceeded",
            ),
            400,
            "invalid_request_error",
            "prompt is too long: 3000 tokens > 2048 maximum",
        ),
        (
            400,
            refusing("request (24071 tokens) exceeds the available context size (8192 tokens), try increasing it"),
            400,
            "invalid_request_error",
            "prompt is too long: 24071 tokens > 8192 maximum",
        ),
        (
            400,
            refusing(
                "This model's maximum context length is 8192 tokens. However, you requested 33000 tokens "
                "(1000 in the messages, 32000 in the completion)."
            ),
            400,
            "invalid_request_error",
            "input length and `max_tokens` exceed context limit: 1000 + 32000 > 8192, "
            "decrease input length or `max_tokens` and try again",
        ),
        (
            400,
            refusing(
                "'max_tokens' is too large: 32000. This model's maximum context length is 8192 tokens and your request "
                "has 5000 input tokens (32000 > 8192 - 5000)."
            ),
            400,
            "invalid_request_error",
            "input length and `max_tokens` exceed context limit: 5000 + 32000 > 8192, "
            "decrease input length or `max_tokens` and try again",
        ),
        (
            400,
            refusing("Too much.", "context_length_exceeded"),
            400,
            "invalid_request_error",
            "prompt is too long: Too much.",
        ),
        (400, refusing("No such voice."), 400, "invalid_request_error", "No such voice."),
        (422, refusing("No."), 422, "invalid_request_error", "No."),
        (401, refusing("Bad key."), 502, "api_error", SERVER + "401: Bad key."),
        (429, refusing("Slow down."), 429, "rate_limit_error", "Slow down."),
        (500, refusing("Broken."), 502, "api_error", SERVER + "500: Broken."),
        (503, refusing("Full."), 503, "overloaded_error", SERVER + "503: Full."),
    ],
)
def test_a_refusal_of_the_model_is_told_in_anthropics_words(
    gateway: Running, teacher: Script, streamed: bool, upstream: int, body: bytes, status: int, kind: str, told: str
) -> None:
    teacher.play(Act(status=upstream, body=body, headers={"retry-after": "0"}))
    got, headers, answer = gateway.call("/v1/messages", {**BODY, "stream": streamed})
    assert (got, *judged.error(msgspec.json.decode(answer))) == (status, kind, told)
    assert headers["retry-after"]
