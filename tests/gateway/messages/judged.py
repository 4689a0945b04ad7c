"""Judges of what the Messages wire sends: the types of the anthropic package, the schema that Anthropic publishes, as
llm-comply carries it, and the order of a stream's events."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import llm_comply
import msgspec
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import ErrorResponse, Message, RawMessageStreamEvent
from pydantic import BaseModel, TypeAdapter

_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
_PUBLISHED = msgspec.json.decode((Path(llm_comply.__file__).with_name("specs") / "anthropic.json").read_bytes())


def message(data: Any) -> Message:
    """A message that has every field the type requires, each of its type, and none the type does not know."""
    judged = Message.model_validate(data)
    assert not extras(judged)
    _schema("Message").validate(data)
    return judged


@cache
def _schema(name: str) -> Any:
    return jsonschema_rs.validator_for({"$ref": f"#/components/schemas/{name}", "components": _PUBLISHED["components"]})


def error(data: Any) -> tuple[str, str]:
    """Type and message of an error. The API has a type for bodies that are too large; the package's types lack it."""
    if data["error"]["type"] == "request_too_large":
        return "request_too_large", error({**data, "error": {**data["error"], "type": "api_error"}})[1]
    judged = ErrorResponse.model_validate(data)
    assert not extras(judged)
    assert "request_id" in data
    return judged.error.type, judged.error.message


def extras(model: BaseModel) -> set[str]:
    """Fields, at any depth, that the types do not name."""
    found = set(model.model_extra or {})
    for name in type(model).model_fields:
        value = getattr(model, name)
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, BaseModel):
                found |= extras(inner)
    return found


def split(body: bytes) -> list[tuple[str, Any]]:
    """Names and data of the events of a stream, each exactly two lines and a blank one."""
    assert body.endswith(b"\n\n")
    found = []
    for part in body[:-2].split(b"\n\n"):
        named, data = part.split(b"\n")
        assert named.startswith(b"event: ")
        assert data.startswith(b"data: ")
        found.append((named[7:].decode(), msgspec.json.decode(data[6:])))
    return found


def stream(body: bytes, allowed: frozenset[str] = frozenset()) -> Message:
    """The message a stream amounts to, by the anthropic package's own accumulator; every event and their order judged.

    `allowed` are fields of ours beside those of the types.
    """
    events = [(name, data) for name, data in split(body) if name != "ping"]
    for name, data in events:
        assert data["type"] == name
        _schema("".join(map(str.title, name.split("_"))) + "Event").validate(data)
        assert extras(_EVENT.validate_python(data)) <= allowed
    _judge_order([data for _, data in events])
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for _, data in events:
        snapshot = accumulate_event(event=_EVENT.validate_python(data), current_snapshot=snapshot, json_bufs=buffers)
    return Message.model_validate(snapshot.to_dict())


def _judge_order(events: list[Any]) -> None:
    kinds = [event["type"] for event in events]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    index, opened = 0, ""
    for event in events[1:-2]:
        assert event["index"] == index
        if event["type"] == "content_block_start":
            assert not opened
            opened = event["content_block"]["type"]
        elif event["type"] == "content_block_delta":
            assert event["delta"]["type"] in _DELTAS[opened]
        else:
            assert event["type"] == "content_block_stop"
            assert opened
            index, opened = index + 1, ""
    assert not opened


_DELTAS = {
    "text": {"text_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "tool_use": {"input_json_delta"},
}
