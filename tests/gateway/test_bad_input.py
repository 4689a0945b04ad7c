"""Whatever a client sends: an OpenAI-shaped error with the right status, and the gateway lives on."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.gateway.running import Running

USER = [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    ("payload", "status", "param"),
    [
        (b"{", 400, None),
        (b"", 400, None),
        (b"\xff\xfe", 400, None),
        (b"[" * 100_000, 400, None),
        ([], 400, None),
        ({}, 400, None),
        ({"model": "nightschool"}, 400, None),
        ({"model": "nightschool", "messages": []}, 400, "messages"),
        ({"model": "nightschool", "messages": "Hi"}, 400, "messages"),
        ({"model": "nightschool", "messages": [{"role": "wizard", "content": "Hi"}]}, 400, "messages[0].role"),
        ({"model": "nightschool", "messages": [{"role": "user", "content": 3}]}, 400, "messages[0].content"),
        ({"model": 7, "messages": USER}, 400, "model"),
        ({"model": "nightschool", "messages": USER, "temperature": "hot"}, 400, "temperature"),
        ({"model": "nightschool", "messages": USER, "temperature": 9}, 400, "temperature"),
        ({"model": "nightschool", "messages": USER, "max_tokens": 0}, 400, "max_tokens"),
        ({"model": "nightschool", "messages": USER, "tools": [{}]}, 400, "tools[0]"),
        ({"model": "no-such-model", "messages": USER}, 404, "model"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(gateway: Running, payload: Any, status: int, param: str | None) -> None:
    got, headers, body = gateway.call("/v1/chat/completions", payload)
    error = msgspec.json.decode(body)["error"]
    assert got == status, body
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert headers["content-type"] == "application/json"
    assert gateway.chat()[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/nothing", {}, 404),
        ("POST", "/v1/models", {}, 405),
        ("GET", "/v1/chat/completions", {}, 405),
        ("POST", "/v1/chat/completions", {"content-type": "text/plain"}, 415),
        ("POST", "/v1/chat/completions", {"host": "evil.example"}, 403),
        ("POST", "/v1/chat/completions", {"origin": "https://evil.example"}, 403),
        ("GET", "/v1/models", {"host": "evil.example:80"}, 403),
        ("GET", "/v1/traces/none", {}, 404),
        ("GET", "/v1/models/none", {}, 404),
        ("GET", "/admin/status", {}, 401),
        ("POST", "/admin/adapters", {"authorization": "Bearer wrong"}, 401),
    ],
)
def test_a_door_that_is_closed_says_why(
    gateway: Running, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    got, told, body = gateway.call(path, b"{}" if method == "POST" else b"", method, headers)
    assert got == status
    assert (status == 405) == bool(told.get("allow"))
    assert msgspec.json.decode(body)["error"]["message"]


def test_a_body_over_the_limit_is_refused(gateway: Running) -> None:
    body = {"model": "nightschool", "messages": [{"role": "user", "content": "x" * (33 * 1024 * 1024)}]}
    status, _, answer = gateway.call("/v1/chat/completions", body)
    assert status == 413
    assert b"request_too_large" in answer
