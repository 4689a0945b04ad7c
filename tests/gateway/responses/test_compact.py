"""POST /v1/responses/compact: what a conversation becomes, and that it can be gone on with."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from openai import OpenAI
from openai.types.responses import ResponseCompactionItem
from openai.types.responses.response_input_message_item import ResponseInputMessageItem
from openai.types.responses.response_usage import ResponseUsage

from gateway.backends.scripted import Act
from tests.gateway.running import Running, Script

SAID = [
    {"role": "developer", "content": "Be kind."},
    {"role": "user", "content": "Fix a.py"},
    {"type": "function_call", "call_id": "c", "name": "read", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "x = 1"},
    {"role": "assistant", "content": "It says x = 1."},
    {"role": "user", "content": "Go on"},
]


def test_a_compacted_conversation_goes_on(gateway: Running, student: Script) -> None:
    student.play(Act(text="a.py says x = 1; to be fixed."))
    body: dict[str, Any] = {"model": "nightschool", "input": SAID, "instructions": "You are Codex.", "tools": []}
    status, headers, raw = gateway.call("/v1/responses/compact", body)
    compacted = msgspec.json.decode(raw)
    assert (status, compacted["object"]) == (200, "response.compaction")
    assert headers["x-nightschool-served-by"] == "student"
    assert headers["x-nightschool-ignored-params"] == "tools"
    asked = student.asked[-1].body["messages"]
    assert [message["role"] for message in asked] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
        "user",
    ]
    assert "summary" in asked[-1]["content"]

    *users, summary = compacted["output"]
    for item in users:
        ResponseInputMessageItem.model_validate(item)
    assert [item["content"][0]["text"] for item in users] == ["Fix a.py", "Go on"]
    ResponseCompactionItem.model_validate(summary)
    ResponseUsage.model_validate(compacted["usage"])
    student.play(Act(text="Fixed."))
    question = {"role": "user", "content": "Done?"}
    status, _, _ = gateway.call("/v1/responses", {"model": "nightschool", "input": [*users, summary, question]})
    assert status == 200
    said = [message["content"] for message in student.asked[-1].body["messages"]]
    assert said[:2] == ["Fix a.py", "Go on"]
    assert said[2].endswith("a.py says x = 1; to be fixed.")
    assert said[3] == "Done?"


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # the package's outputs know no user's message
def test_a_chain_can_be_compacted_by_the_client(gateway: Running, student: Script) -> None:
    with OpenAI(base_url=gateway.url + "/v1", api_key="none", max_retries=0) as client:
        first = client.responses.create(model="nightschool", input="First")
        compacted = client.responses.compact(model="nightschool", input="Second", previous_response_id=first.id)
        assert [item.type for item in compacted.output] == ["message", "message", "compaction"]
        again: Any = [*compacted.output, {"role": "user", "content": "Third"}]
        assert client.responses.create(model="nightschool", input=again).status == "completed"


@pytest.mark.parametrize(
    "act",
    [Act(text=""), Act(text="half a", finish="length"), Act(calls=[("read", "{}")])],
    ids=["none", "half", "call"],
)
def test_what_is_no_whole_summary_is_an_error(gateway: Running, teacher: Script, act: Act) -> None:
    teacher.play(act)
    status, headers, raw = gateway.call("/v1/responses/compact", {"model": "teacher", "input": SAID})
    assert (status, msgspec.json.decode(raw)["error"]["code"]) == (502, "backend_broken")
    assert gateway.trace(headers)["state"] == "failed"
