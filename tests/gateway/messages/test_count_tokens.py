"""POST /v1/messages/count_tokens: by a local model's own count where there is one, else by length."""

from __future__ import annotations

from typing import Any

import msgspec
from anthropic.types import MessageTokensCount

from tests.gateway.messages import judged
from tests.gateway.running import Running, Script

HI = [{"role": "user", "content": "Hi"}]


def count(gateway: Running, **fields: Any) -> tuple[dict[str, str], int]:
    body = {"model": "claude-opus-4-1", "messages": HI, **fields}
    status, headers, answer = gateway.call("/v1/messages/count_tokens", body)
    assert status == 200, answer
    counted = MessageTokensCount.model_validate(msgspec.json.decode(answer))
    assert not judged.extras(counted)
    return headers, counted.input_tokens


def test_models_elsewhere_are_estimated_and_not_asked(gateway: Running, student: Script, teacher: Script) -> None:
    headers, few = count(gateway)
    assert headers["x-nightschool-estimated"] == "1"
    tool = {"name": "read", "description": "word " * 100, "input_schema": {"type": "object"}}
    _, many = count(gateway, system="word " * 1000, tools=[tool])
    assert 0 < few < 30
    assert 1100 < many < 2200
    assert not student.asked + teacher.asked


def test_what_is_not_counted_is_told(gateway: Running) -> None:
    headers, _ = count(gateway, tools=[{"type": "bash_20250124", "name": "bash"}])
    assert headers["x-nightschool-skipped-tools"] == "bash"
