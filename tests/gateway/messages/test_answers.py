"""Answers over real sockets, whole and streamed, of either arm: judged by the anthropic package's types."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.backends.scripted import Act
from gateway.backends.stream import encode_event
from tests.gateway.messages import judged
from tests.gateway.running import Running, Script

HI = [{"role": "user", "content": "Hi"}]
TOOL = {
    "name": "read_file",
    "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
}
CALLS = Act(
    text="I look.", thoughts="Hm.", calls=[("read_file", '{"path": "a.py"}'), ("read_file", '{"path": "b.py"}')]
)


def ask(gateway: Running, headers: dict[str, str] | None = None, **fields: Any) -> tuple[dict[str, str], bytes]:
    body = {"model": "nightschool", "max_tokens": 99, "messages": HI, **fields}
    status, told, answer = gateway.call("/v1/messages", body, headers=headers)
    assert status == 200, answer
    return told, answer


def answer_of(gateway: Running, streamed: bool, **fields: Any) -> Any:
    """The message, whichever way it is asked for."""
    _, answer = ask(gateway, stream=streamed, **fields)
    return judged.stream(answer) if streamed else judged.message(msgspec.json.decode(answer))


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "large"}
    return encode_event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("model", "arm"), [("nightschool", "student"), ("teacher", "teacher")])
def test_a_text(gateway: Running, streamed: bool, model: str, arm: str) -> None:
    answer = answer_of(gateway, streamed, model=model)
    assert answer.id.startswith("msg_")
    assert (answer.model, answer.stop_reason, answer.stop_sequence) == (model, "end_turn", None)
    assert [(block.type, block.text) for block in answer.content] == [("text", arm)]
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (10, 2)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("model", ["nightschool", "teacher"])
def test_thoughts_text_and_calls(
    gateway: Running, student: Script, teacher: Script, streamed: bool, model: str
) -> None:
    student.play(CALLS)
    teacher.play(CALLS)
    answer = answer_of(gateway, streamed, model=model, tools=[TOOL])
    thinking, said, first, second = answer.content
    assert (thinking.type, thinking.thinking, thinking.signature) == ("thinking", "Hm.", "")
    assert (said.type, said.text) == ("text", "I look.")
    assert [(call.name, call.input) for call in (first, second)] == [
        ("read_file", {"path": "a.py"}),
        ("read_file", {"path": "b.py"}),
    ]
    assert first.id != second.id
    assert first.id.startswith("call_s" if model == "nightschool" else "call_0")
    assert answer.stop_reason == "tool_use"


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (Act(text="So far", finish="length"), "max_tokens"),
        (Act(calls=[("read_file", '{"path": "a')], finish="length"), "max_tokens"),
        (Act(text="No.", finish="content_filter"), "refusal"),
        (Act(calls=[("read_file", "{}")], finish="stop"), "tool_use"),
        (Act(text="Yes.", finish="eos"), "end_turn"),
    ],
)
def test_why_it_ended(gateway: Running, teacher: Script, streamed: bool, act: Act, reason: str) -> None:
    teacher.play(act)
    assert answer_of(gateway, streamed, model="teacher").stop_reason == reason


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ("", {}),
        ("{}", {}),
        ('{"path": "a', {"_raw": '{"path": "a'}),
        ("[1]", {"_raw": "[1]"}),
        ("null", {"_raw": "null"}),
        ("read a.py", {"_raw": "read a.py"}),
    ],
)
def test_arguments_that_are_no_object(
    gateway: Running, teacher: Script, streamed: bool, arguments: str, wanted: dict[str, Any]
) -> None:
    teacher.play(Act(calls=[("read_file", arguments)]))
    assert answer_of(gateway, streamed, model="teacher").content[0].input == wanted


def test_a_stream_is_a_stream(gateway: Running, teacher: Script) -> None:
    teacher.play(Act(text="one two three four", pieces=4))
    headers, body = ask(gateway, model="teacher", stream=True)
    assert headers["content-type"].startswith("text/event-stream")
    assert headers["x-nightschool-served-by"] == "teacher"
    texts = [data["delta"]["text"] for name, data in judged.split(body) if name == "content_block_delta"]
    assert len(texts) > 3
    assert "".join(texts) == "one two three four"
    assert teacher.asked[-1].body["stream_options"] == {"include_usage": True}


def test_calls_that_come_mixed_are_told_one_after_the_other(gateway: Running, teacher: Script) -> None:
    def part(index: int, arguments: str, **more: Any) -> dict[str, Any]:
        return {"tool_calls": [{"index": index, **more, "function": {"name": more.get("id"), "arguments": arguments}}]}

    teacher.play(
        Act(
            raw=b"".join(
                [
                    chunk({"role": "assistant", "content": "Both"}),
                    chunk(part(1, "", id="b")),
                    chunk(part(0, '{"x"', id="a")),
                    chunk(part(1, '{"y": 2')),
                    chunk({"content": " now."}),
                    chunk(part(0, ": 1}")),
                    chunk(part(1, "}")),
                    chunk({}, "tool_calls"),
                    b"data: [DONE]\n\n",
                ]
            )
        )
    )
    _, body = ask(gateway, model="teacher", stream=True)
    answer: Any = judged.stream(body)
    assert [block.type for block in answer.content] == ["text", "tool_use", "tool_use"]
    assert answer.content[0].text == "Both now."
    assert [(call.id, call.input) for call in answer.content[1:]] == [("a", {"x": 1}), ("b", {"y": 2})]


@pytest.mark.parametrize("streamed", [False, True])
def test_thoughts_and_refusals_by_their_other_names(gateway: Running, teacher: Script, streamed: bool) -> None:
    said = {"role": "assistant", "content": None, "reasoning": "Hm.", "refusal": "I will not."}
    usage = {
        "prompt_tokens": 30,
        "completion_tokens": 4,
        "total_tokens": 34,
        "prompt_tokens_details": {"cached_tokens": 20},
    }
    whole = {"id": "c", "created": 1, "model": "large", "usage": usage}
    raw = msgspec.json.encode({**whole, "choices": [{"index": 0, "message": said, "finish_reason": "stop"}]})
    if streamed:
        raw = chunk(said) + chunk({}, "stop", usage=usage) + b"data: [DONE]\n\n"
    teacher.play(Act(raw=raw))
    answer = answer_of(gateway, streamed, model="teacher")
    assert [block.type for block in answer.content] == ["thinking", "text"]
    assert (answer.content[0].thinking, answer.content[1].text) == ("Hm.", "I will not.")
    assert answer.stop_reason == "refusal"
    assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens) == (10, 20)
    assert (answer.usage.cache_creation_input_tokens, answer.usage.output_tokens) == (0, 4)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_backend_that_tells_no_usage_is_estimated(gateway: Running, teacher: Script, streamed: bool) -> None:
    whole = {"id": "c", "created": 1, "model": "large"}
    said = {"role": "assistant", "content": "word " * 70}
    raw = msgspec.json.encode({**whole, "choices": [{"index": 0, "message": said, "finish_reason": "stop"}]})
    teacher.play(Act(raw=chunk(said) + chunk({}, "stop") + b"data: [DONE]\n\n" if streamed else raw))
    answer = answer_of(gateway, streamed, model="teacher", messages=[{"role": "user", "content": "word " * 700}])
    assert 700 < answer.usage.input_tokens < 1400
    assert 70 < answer.usage.output_tokens < 140


def test_what_was_left_out_is_told_and_the_rest_is_answered(gateway: Running, teacher: Script) -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    thinking = {"type": "enabled", "budget_tokens": 1024}
    headers, _ = ask(gateway, model="teacher", tools=[TOOL, search], thinking=thinking, top_k=5)
    assert headers["x-nightschool-skipped-tools"] == "web_search"
    assert headers["x-nightschool-ignored-params"] == "thinking"
    sent = teacher.asked[-1].body
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["read_file"]
    assert sent["top_k"] == 5
    assert "thinking" not in sent


def test_the_clients_key_goes_nowhere(gateway: Running, teacher: Script) -> None:
    keys = {"x-api-key": "secret-of-the-client", "authorization": "Bearer secret-of-the-client"}
    headers, _ = ask(gateway, keys, model="teacher")
    assert "secret" not in repr(teacher.asked[-1].headers)
    assert "secret" not in repr(gateway.trace(headers))
    assert b"secret" not in gateway.log.read_bytes()


def test_the_trace_knows_the_wire_the_answer_and_the_session(gateway: Running) -> None:
    named = {"user_id": "user_a_account_b_session_01234567-89ab"}
    headers, answer = ask(gateway, metadata=named)
    trace = gateway.trace(headers)
    assert (trace["wire"], trace["wire_id"]) == ("messages", msgspec.json.decode(answer)["id"])
    assert trace["conversation"] == "01234567-89ab"
    headers, _ = ask(gateway, {"x-nightschool-conversation": "mine"}, metadata=named)
    assert gateway.trace(headers)["conversation"] == "mine"
    headers, _ = ask(gateway)
    assert gateway.trace(headers)["conversation"].startswith("auto-")


def test_a_call_without_an_id_gets_one(gateway: Running, teacher: Script) -> None:
    call = {"index": 0, "function": {"name": "read_file", "arguments": "{}"}}
    teacher.play(Act(raw=chunk({"tool_calls": [call]}) + chunk({}, "tool_calls") + b"data: [DONE]\n\n"))
    assert answer_of(gateway, True, model="teacher").content[0].id.startswith("toolu_")
