"""Input items as chat messages, and what is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.api.responses.carried import carry
from gateway.api.responses.items import SKIPPED
from gateway.api.responses.request import read_request
from gateway.api.responses.stored import ResponseStore
from tests.gateway.running import Running

USER = {"role": "user", "content": "Hi"}
CALL = {"type": "function_call", "call_id": "call_1", "name": "read", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "text"}


def messages(*items: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    body = {"model": "nightschool", "input": list(items), **more}
    found: list[dict[str, Any]] = read_request(body, ResponseStore(), "").asked.body["messages"]
    return found


def test_what_the_assistant_did_in_a_row_is_one_message() -> None:
    thoughts = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Look first."}]}
    said = {"role": "assistant", "content": [{"type": "output_text", "text": "I look.", "annotations": []}]}
    second = {**CALL, "call_id": "call_2"}
    told = messages(USER, thoughts, said, CALL, second, OUTPUT, {**OUTPUT, "call_id": "call_2"}, CALL, OUTPUT)
    assert [message["role"] for message in told] == ["user", "assistant", "tool", "tool", "assistant", "tool"]
    assert (told[1]["content"], told[1]["reasoning_content"]) == ("I look.", "Look first.")
    assert [call["id"] for call in told[1]["tool_calls"]] == ["call_1", "call_2"]
    assert told[4]["content"] is None


def test_thoughts_come_from_wherever_they_can_be_read() -> None:
    answer = {"role": "assistant", "content": "Yes."}
    summary = [{"type": "summary_text", "text": "short"}]
    for more, expected in (
        ({"content": [{"type": "reasoning_text", "text": "long"}], "encrypted_content": carry("sent")}, "long"),
        ({"encrypted_content": carry("sent")}, "sent"),
        ({"encrypted_content": "gAAAAA-of-another-server"}, "short"),
    ):
        told = messages(USER, {"type": "reasoning", "id": "r", "summary": summary, **more}, answer)
        assert told[-1]["reasoning_content"] == expected
    assert messages(USER, {"type": "reasoning", "id": "r", "summary": summary}, USER) == [USER, USER]


def test_rules_at_the_beginning_become_one_system_message() -> None:
    rules = {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be kind."}]}
    told = messages(rules, USER, {"role": "system", "content": "Later."}, instructions="Be brief.")
    assert told == [
        {"role": "system", "content": "Be brief.\n\nBe kind."},
        USER,
        {"role": "system", "content": "Later."},
    ]


def test_images_are_handed_on_as_they_are() -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"}
    (told,) = messages({"role": "user", "content": [{"type": "input_text", "text": "See"}, image]})
    url = {"url": "data:image/png;base64,AAAA", "detail": "low"}
    assert told["content"] == [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": url}]


@pytest.mark.parametrize("kind", sorted(SKIPPED))
def test_what_hosted_tools_left_behind_is_skipped_and_named(kind: str) -> None:
    read = read_request({"model": "nightschool", "input": [USER, {"type": kind}]}, ResponseStore(), "")
    assert read.asked.body["messages"] == [USER]
    assert read.asked.notes["x-nightschool-skipped-items"] == kind


BAD = [
    ({"input": None}, "input"),
    ({"input": ""}, "input"),
    ({"input": []}, "input"),
    ({"input": 3}, "input"),
    ({"input": [3]}, "input[0]"),
    ({"input": [{"type": "web_search_call"}]}, "input"),
    ({"input": [{"type": "reasoning", "summary": []}]}, "input"),
    ({"input": [{}]}, "input[0].type"),
    ({"input": [{"type": "novelty"}]}, "input[0].type"),
    ({"input": [{"role": "wizard", "content": "Hi"}]}, "input[0].role"),
    ({"input": [{"role": "user"}]}, "input[0].content"),
    ({"input": [{"role": "user", "content": ["Hi"]}]}, "input[0].content[0].type"),
    ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
    ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, "input[0].content[0].type"),
    ({"input": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "input[0].content[0].type"),
    (
        {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
        "input[0].content[0].image_url",
    ),
    ({"input": [{"role": "assistant", "content": [{"type": "input_image", "image_url": "x"}]}]}, "input[0].content"),
    ({"input": [USER, OUTPUT]}, "input[1].call_id"),
    ({"input": [USER, {"type": "function_call_output", "output": "x"}]}, "input[1].call_id"),
    ({"input": [USER, CALL, {**OUTPUT, "output": None}]}, "input[2].output"),
    ({"input": [USER, {**CALL, "arguments": {}}]}, "input[1].arguments"),
    ({"input": [USER, {**CALL, "name": ""}]}, "input[1].name"),
    ({"input": [USER, {**CALL, "call_id": None}]}, "input[1].call_id"),
    ({"input": [USER, {"type": "custom_tool_call", "call_id": "c", "name": "n"}]}, "input[1].input"),
    ({"input": [{"type": "reasoning", "summary": [{"type": "image"}]}]}, "input[0].summary[0].type"),
    ({"input": [{"type": "compaction", "encrypted_content": "gAAAA"}]}, "input[0].encrypted_content"),
    ({"input": [{"type": "item_reference", "id": "msg_nobody"}]}, "input[0].id"),
    ({"input": [{"type": "item_reference"}]}, "input[0].id"),
    ({"input": [{"id": "msg_nobody"}]}, "input[0].id"),
    ({"model": 7}, "model"),
    ({"instructions": ["Be brief."]}, "instructions"),
    ({"tools": {}}, "tools"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": 9}, "temperature"),
    ({"top_p": 0}, "top_p"),
    ({"max_output_tokens": 0}, "max_output_tokens"),
    ({"stream": "yes"}, "stream"),
    ({"metadata": {"a": 1}}, "metadata[...]"),
    ({"truncation": "some"}, "truncation"),
    ({"background": True}, "background"),
    ({"conversation": "conv_1"}, "conversation"),
    ({"prompt": {"id": "p"}}, "prompt"),
    ({"top_logprobs": 2}, "top_logprobs"),
    ({"include": ["message.output_text.logprobs"]}, "include"),
    ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
    ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name"),
    ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema"),
    ({"tool_choice": {"type": "file_search"}}, "tool_choice.type"),
    ({"tools": [{"type": "function"}]}, "tools[0].name"),
    ({"previous_response_id": "resp_nobody"}, "previous_response_id"),
]


@pytest.mark.parametrize(("wrong", "param"), BAD)
def test_a_bad_request_is_told_what_is_wrong(gateway: Running, wrong: dict[str, Any], param: str) -> None:
    for path in ("/v1/responses", "/v1/responses/input_tokens"):
        status, headers, body = gateway.call(path, {"model": "nightschool", "input": "Hi", **wrong})
        error = msgspec.json.decode(body)["error"]
        assert (status, error["param"]) == (400, param), error
        assert error["type"] == "invalid_request_error"
        assert error["message"]
        assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/responses/compact", "/v1/responses/input_tokens"])
@pytest.mark.parametrize(
    ("payload", "status"),
    [(b"{", 400), ([], 400), ({"model": "nightschool"}, 400), ({"model": "no-such", "input": "Hi"}, 404)],
)
def test_every_route_says_no_in_openais_form(gateway: Running, path: str, payload: Any, status: int) -> None:
    got, _, body = gateway.call(path, payload)
    assert got == status
    assert set(msgspec.json.decode(body)["error"]) == {"message", "type", "param", "code"}
    assert gateway.call(path, b"", method="GET")[0] == 405
