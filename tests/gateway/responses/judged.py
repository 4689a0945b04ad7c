"""Responses and their events, judged by the openai package's own types, and by the rules of their order."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

ENDS = {"response.completed", "response.incomplete", "response.failed"}


@lru_cache(maxsize=1)
def _any_event() -> TypeAdapter[Any]:
    return TypeAdapter(ResponseStreamEvent)


def judged(body: bytes | dict[str, Any]) -> dict[str, Any]:
    """A Response object that OpenAI's type accepts; with the items that are not output left in their JSON form."""
    found: dict[str, Any] = msgspec.json.decode(body) if isinstance(body, bytes) else body
    Response.model_validate(found)
    ids = [item["id"] for item in found["output"]]
    assert len(set(ids)) == len(ids)
    return found


def stream(body: bytes) -> list[dict[str, Any]]:
    """The events of a stream: each of OpenAI's type, numbered without a gap, in a legal order."""
    events = []
    for block in body.decode().split("\n\n")[:-1]:
        name, data = block.split("\n")
        event = msgspec.json.decode(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        _any_event().validate_python(event)
        events.append(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    kinds = [event["type"] for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert [kind for kind in kinds if kind in ENDS] == kinds[-1:]
    _in_order(events)
    return events


def _in_order(events: list[dict[str, Any]]) -> None:
    """One item at a time, from added to done, its deltas adding up to what is told at its end and in the response."""
    told: list[dict[str, Any]] = []
    current: dict[str, Any] | None = None
    grown = ""
    for event in events:
        kind = event["type"]
        if "output_index" not in event:
            continue
        assert event["output_index"] == len(told)
        if kind == "response.output_item.added":
            assert current is None
            current, grown = event["item"], ""
            continue
        assert current is not None
        assert event.get("item_id", current["id"]) == current["id"]
        if kind.endswith(".delta"):
            grown += event["delta"]
        elif kind == "response.output_item.done":
            assert {**event["item"], **current, "status": "", **_body(event["item"])} == {**event["item"], "status": ""}
            assert _said(event["item"]) == grown
            told.append(event["item"])
            current = None
    if events[-1]["type"] != "response.failed":
        assert current is None
        assert events[-1]["response"]["output"] == told


def _body(item: dict[str, Any]) -> dict[str, Any]:
    return {key: item[key] for key in ("content", "arguments", "input") if key in item}


def _said(item: dict[str, Any]) -> str:
    if "content" in item:
        return "".join(part.get("text", part.get("refusal", "")) for part in item["content"])
    return str(item.get("arguments", item.get("input")))


def bare(response: dict[str, Any]) -> list[dict[str, Any]]:
    """The output without what is made anew each time."""
    return [{key: value for key, value in item.items() if key != "id"} for item in response["output"]]
