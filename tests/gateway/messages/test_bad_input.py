"""Bad requests: each is told in Anthropic's form what is wrong and where, and the gateway lives on."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from anthropic.types import ThreadUnsupportedRequestErrorDetails

from tests.gateway.messages import judged
from tests.gateway.running import Running

HI = [{"role": "user", "content": "Hi"}]
TOOL = {"name": "read", "input_schema": {"type": "object"}}
SEARCH = {"type": "web_search_20250305", "name": "web_search"}


def body(**fields: Any) -> dict[str, Any]:
    whole = {"model": "nightschool", "max_tokens": 9, "messages": HI, **fields}
    return {key: value for key, value in whole.items() if value != "absent"}


def said(*blocks: Any, role: str = "user") -> dict[str, Any]:
    return body(messages=[{"role": role, "content": list(blocks)}])


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (b"{", "not valid JSON"),
        ([], "must be a JSON object"),
        (body(max_tokens="absent"), "max_tokens"),
        (body(max_tokens=0), "max_tokens: "),
        (body(max_tokens="many"), "max_tokens: "),
        (body(model="absent"), "model"),
        (body(model=7), "model: "),
        (body(messages="absent"), "messages"),
        (body(messages=[]), "messages: "),
        (body(messages="Hi"), "messages: "),
        (body(messages=[{"role": "tool", "content": "x"}]), "messages[0].role: Invalid value 'tool'"),
        (body(messages=[{"content": "x"}]), "messages[0]: "),
        (body(messages=[{"role": "user", "content": 3}]), "messages[0].content: "),
        (said({"type": "document", "source": {}}), "messages[0].content[0].type: a block of type 'document'"),
        (said({"type": "server_tool_use", "id": "x"}, role="assistant"), "block of type 'server_tool_use'"),
        (said({"type": "tool_use", "id": "x", "name": "n", "input": {}}), "block of type 'tool_use'"),
        (
            said({"type": "tool_result", "tool_use_id": "c", "content": [{"type": "tool_reference"}]}),
            "messages[0].content[0].content[0].type: a block of type 'tool_reference'",
        ),
        (said({"type": "text"}), "messages[0].content[0]: "),
        (said({"type": "tool_result", "content": "x"}), "`tool_use_id` - messages[0].content[0]"),
        (said({"type": "image", "source": {"type": "file", "file_id": "f"}}), "messages[0].content[0].source.type: "),
        (said({"type": "tool_use", "id": "x", "name": "n", "input": "{}"}, role="assistant"), "content[0].input: "),
        (body(system=3), "system: "),
        (body(system=[{"type": "image"}]), "system[0].type: "),
        (body(temperature="hot"), "temperature: "),
        (body(temperature=9), "temperature"),
        (body(top_p=-1), "top_p"),
        (body(top_k="few"), "top_k: "),
        (body(stop_sequences="x"), "stop_sequences: "),
        (body(stream="yes"), "stream: "),
        (body(metadata=3), "metadata: "),
        (body(output_format={"type": "xml"}), "output_format.type: "),
        (body(output_config=3), "output_config: "),
        (body(mcp_servers=[{"type": "url", "url": "https://x.test"}]), "mcp_servers: "),
        (body(tools=[{}]), "tools[0].name: "),
        (body(tools=[{"name": "a b", "input_schema": {}}]), "tools[0].name: "),
        (body(tools=[TOOL, {"name": "read"}]), "tools[1].input_schema: "),
        (body(tools=[{"name": "read", "input_schema": []}]), "tools[0].input_schema: "),
        (body(tools=[TOOL], tool_choice={"type": "maybe"}), "tool_choice.type: "),
        (body(tools=[TOOL], tool_choice={"type": "tool"}), "tool_choice: "),
        (body(tools=[TOOL], tool_choice={"type": "tool", "name": "write"}), "'write' is not among the tools"),
        (body(tools=[SEARCH], tool_choice={"type": "tool", "name": "web_search"}), "is run by its vendor"),
        (body(tools=[SEARCH], tool_choice={"type": "any"}), "tool_choice: "),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(gateway: Running, payload: Any, told: str) -> None:
    status, headers, answer = gateway.call("/v1/messages", payload)
    kind, message = judged.error(msgspec.json.decode(answer))
    assert (status, kind) == (400, "invalid_request_error")
    assert headers["content-type"] == "application/json"
    for part in told.split(" - "):
        assert part in message
    assert gateway.call("/v1/messages", body())[0] == 200


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize(
    ("method", "payload", "headers", "status", "kind"),
    [
        ("GET", b"", {}, 405, "invalid_request_error"),
        ("POST", b"{}", {"content-type": "text/plain"}, 415, "invalid_request_error"),
        ("POST", b"{", {}, 400, "invalid_request_error"),
        ("POST", b"{}", {}, 400, "invalid_request_error"),
        ("POST", b"{}", {"host": "evil.example"}, 403, "permission_error"),
        ("POST", b"{}", {"origin": "https://evil.example"}, 403, "permission_error"),
        ("POST", body(model="no-such-model"), {}, 404, "not_found_error"),
        ("POST", b"x" * (33 * 1024 * 1024), {}, 413, "request_too_large"),
    ],
)
def test_every_refusal_has_anthropics_form(
    gateway: Running, path: str, method: str, payload: Any, headers: dict[str, str], status: int, kind: str
) -> None:
    got, _, answer = gateway.call(path, payload, method, headers)
    assert got == status
    assert judged.error(msgspec.json.decode(answer))[0] == kind


def test_a_path_below_has_anthropics_form_and_one_beside_it_openais(gateway: Running) -> None:
    status, _, answer = gateway.call("/v1/messages/batches", {})
    assert (status, judged.error(msgspec.json.decode(answer))[0]) == (404, "not_found_error")
    status, _, answer = gateway.call("/v1/messagesx", {})
    assert (status, msgspec.json.decode(answer)["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_a_thread_is_refused_in_the_words_by_which_a_client_goes_on_without(gateway: Running, path: str) -> None:
    """Else the next request would bring a tool's result alone, without the question and the call."""
    status, _, answer = gateway.call(path, body(thread={"type": "create"}))
    error = msgspec.json.decode(answer)["error"]
    assert (status, error["type"]) == (400, "invalid_request_error")
    assert ThreadUnsupportedRequestErrorDetails.model_validate(error["details"]).unsupported is None
    assert gateway.call(path, body(thread=None))[0] == 200
