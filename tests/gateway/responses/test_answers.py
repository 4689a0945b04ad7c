"""POST /v1/responses: what a client is given, whole and streamed, in both arms and when things go wrong."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.backends.scripted import Act
from tests.gateway.responses.judged import bare, judged, stream
from tests.gateway.running import READ_FILE, Running, Script

TOOL = {"type": "function", **READ_FILE["function"]}  # type: ignore[dict-item]
CALLS = Act(
    text="I look.",
    thoughts="Two files.",
    calls=[("read_file", '{"path": "a.py"}'), ("read_file", '{"path": "b.py"}')],
)


def ask(gateway: Running, headers: dict[str, str] | None = None, **body: Any) -> tuple[int, dict[str, str], bytes]:
    return gateway.call("/v1/responses", {"model": "nightschool", "input": "Hi", **body}, headers=headers)


@pytest.mark.parametrize("arm", ["nightschool", "teacher"])
def test_an_answer_is_the_same_whole_and_streamed(gateway: Running, student: Script, teacher: Script, arm: str) -> None:
    for script in (student, teacher):
        script.play(CALLS)
    _, headers, body = ask(gateway, model=arm, tools=[TOOL])
    assert headers["x-nightschool-served-by"] == ("teacher" if arm == "teacher" else "student")
    whole = judged(body)
    assert [item["type"] for item in whole["output"]] == ["reasoning", "message", "function_call", "function_call"]
    assert (whole["status"], whole["model"], whole["error"]) == ("completed", arm, None)
    assert whole["tools"] == [{**TOOL, "strict": None}]
    assert whole["usage"]["input_tokens"] == 10
    _, headers, body = ask(gateway, model=arm, tools=[TOOL], stream=True)
    assert headers["content-type"].startswith("text/event-stream")
    events = stream(body)
    final = judged(events[-1]["response"])
    calls = ("call_id",) if arm == "nightschool" else ()  # the student's calls have fresh ids
    assert _without(bare(final), *calls) == _without(bare(whole), *calls)
    assert final["usage"] == whole["usage"]
    told = [event["type"].removeprefix("response.") for event in events[2:7]]
    thoughts = ["reasoning_text.delta", "reasoning_text.done"]
    assert told == ["output_item.added", "content_part.added", *thoughts, "content_part.done"]


def _without(items: list[dict[str, Any]], *keys: str) -> list[dict[str, Any]]:
    return [{key: value for key, value in item.items() if key not in keys} for item in items]


def test_what_was_asked_is_told_back(gateway: Running) -> None:
    asked = {
        "instructions": "Be brief.",
        "metadata": {"a": "b"},
        "temperature": 0.5,
        "top_p": 0.9,
        "max_output_tokens": 50,
        "parallel_tool_calls": False,
        "tool_choice": {"type": "function", "name": "read_file"},
        "tools": [TOOL],
        "text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}},
        "reasoning": {"effort": "low", "summary": "auto"},
        "prompt_cache_key": "thread",
        "safety_identifier": "me",
    }
    told = judged(ask(gateway, **asked)[2])
    same = [name for name in asked if name not in ("tools", "text")]
    assert {name: told[name] for name in same} == {name: asked[name] for name in same}
    assert told["text"]["format"]["schema"] == {"type": "object"}


def test_a_chat_backend_gets_a_chat_completion(gateway: Running, teacher: Script) -> None:
    ask(gateway, model="teacher", instructions="Be brief.", max_output_tokens=9, tools=[TOOL], tool_choice="required")
    body = teacher.asked[-1].body
    assert body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    assert (body["max_completion_tokens"], body["tool_choice"]) == (9, "required")
    assert body["tools"] == [READ_FILE]
    ask(gateway, model="teacher", text={"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}})
    form = teacher.asked[-1].body["response_format"]
    assert form == {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_an_answer_that_was_cut_is_incomplete(
    gateway: Running, teacher: Script, finish: str, reason: str, streamed: bool
) -> None:
    teacher.play(Act(text="I look.", calls=[("read_file", '{"path": "a')], finish=finish))
    _, _, body = ask(gateway, model="teacher", tools=[TOOL], stream=streamed)
    found = stream(body)[-1]["response"] if streamed else judged(body)
    assert (found["status"], found["incomplete_details"]) == ("incomplete", {"reason": reason})
    assert [item["status"] for item in found["output"]] == ["completed", "incomplete"]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_refusal_is_told_as_one(gateway: Running, teacher: Script, streamed: bool) -> None:
    message = {"role": "assistant", "content": None, "refusal": "I cannot."}
    head = {"id": "c", "created": 1, "model": "m", "object": "chat.completion"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    chunks = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        for delta, finish in (
            ({"role": "assistant"}, None),
            ({"refusal": "I "}, None),
            ({"refusal": "cannot."}, None),
            ({}, "stop"),
        )
    ]
    events = b"".join(b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"
    teacher.play(Act(raw=events if streamed else msgspec.json.encode({**head, "choices": [choice]})))
    _, _, body = ask(gateway, model="teacher", stream=streamed)
    found = stream(body)[-1]["response"] if streamed else judged(body)
    (item,) = found["output"]
    assert item["content"] == [{"type": "refusal", "refusal": "I cannot."}]


def test_an_answer_without_a_word_is_an_empty_message(gateway: Running, teacher: Script) -> None:
    teacher.play(Act(text=""))
    (item,) = judged(ask(gateway, model="teacher")[2])["output"]
    assert item["content"][0]["text"] == ""


def test_waiting_is_told_with_events_of_rising_numbers(gateway: Running, student: Script, teacher: Script) -> None:
    student.play(Act(status=500))
    teacher.play(Act(text="At last, an answer.", delay=1.2, pause=0.5, pieces=2))
    _, headers, body = ask(gateway, stream=True)
    assert headers["x-nightschool-served-by"] == "pending"
    events = stream(body)
    kinds = [event["type"] for event in events]
    first = kinds.index("response.output_item.added")
    assert kinds[:first].count("response.in_progress") > 1
    assert "response.in_progress" in kinds[first:]
    final = events[-1]["response"]
    assert final["nightschool"]["served_by"] == "teacher"
    assert final["nightschool"]["trace"] == headers["x-nightschool-trace"]


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (Act(text="twenty characters here", pieces=4, cut=500), "server_error"),
        (Act(status=429, delay=0.9, headers={"retry-after": "99"}), "rate_limit_exceeded"),
        (Act(status=422, delay=0.9), "invalid_prompt"),
    ],
)
def test_a_stream_that_breaks_ends_as_failed(gateway: Running, teacher: Script, act: Act, code: str) -> None:
    teacher.play(act)
    status, _, body = ask(gateway, model="teacher", stream=True)
    assert status == 200
    last = stream(body)[-1]
    assert last["type"] == "response.failed"
    assert (last["response"]["status"], last["response"]["error"]["code"]) == ("failed", code)


def test_a_prompt_that_is_too_long_is_told_by_the_code_that_makes_codex_compact(
    gateway: Running, teacher: Script
) -> None:
    body = b'{"error": {"message": "Too long.", "type": "invalid_request_error", "code": "context_length_exceeded"}}'
    teacher.play(Act(status=400, body=body))
    assert msgspec.json.decode(ask(gateway, model="teacher")[2])["error"]["code"] == "context_length_exceeded"
    teacher.play(Act(status=400, body=body, delay=0.9))
    _, _, streamed = ask(gateway, model="teacher", stream=True)
    last = msgspec.json.decode(streamed.split(b"data: ")[-1])
    assert last["response"]["error"] == {"code": "context_length_exceeded", "message": "Too long."}


def test_an_error_before_the_stream_has_its_status(gateway: Running, teacher: Script) -> None:
    teacher.play(Act(status=429, headers={"retry-after": "99"}))
    status, headers, body = ask(gateway, model="teacher", stream=True)
    assert (status, headers["retry-after"]) == (429, "99")
    assert msgspec.json.decode(body)["error"]["code"] == "rate_limit_exceeded"


def test_what_has_no_effect_is_named(gateway: Running) -> None:
    tools = [TOOL, {"type": "web_search"}, {"type": "mcp", "server_label": "x", "server_url": "http://127.0.0.1:9"}]
    more = {
        "truncation": "auto",
        "service_tier": "flex",
        "text": {"verbosity": "low"},
        "include": ["web_search_call.results", "reasoning.encrypted_content"],
        "client_metadata": {},
        "max_tool_calls": 3,
        "bad\r\nname": 1,
    }
    items = [{"type": "web_search_call", "id": "ws_1", "status": "completed"}, {"role": "user", "content": "Hi"}]
    _, headers, _ = ask(gateway, tools=tools, input=items, **more)
    assert headers["x-nightschool-skipped-tools"] == "web_search, mcp"
    assert headers["x-nightschool-skipped-items"] == "web_search_call"
    named = set(headers["x-nightschool-ignored-params"].split(", "))
    expected = {"truncation", "service_tier", "client_metadata", "max_tool_calls", "text.verbosity"}
    assert named == {*expected, "include.web_search_call.results"}
    _, headers, _ = ask(gateway, truncation="disabled", service_tier="auto", temperature=1, seed=4)
    assert "x-nightschool-ignored-params" not in headers


def test_the_trace_tells_the_wire_and_the_conversation(gateway: Running) -> None:
    _, headers, body = ask(gateway, prompt_cache_key="thread-7")
    trace = gateway.trace(headers)
    told = (trace["wire"], trace["wire_id"], trace["conversation"])
    assert told == ("responses", judged(body)["id"], "thread-7")
    _, headers, _ = ask(gateway, {"x-nightschool-conversation": "mine"}, prompt_cache_key="thread-7")
    assert gateway.trace(headers)["conversation"] == "mine"
