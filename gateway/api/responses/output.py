"""The output items of an answer, and the events that tell of them, out of the deltas of a chat completion.

One item is open at a time, whatever order the deltas come in: clients keep a single current item. Owns the shape of
items and of their events. Knows nothing of sequence numbers, of the response around the items or of bytes.
"""

from __future__ import annotations

import secrets
from typing import Any

import msgspec

from gateway.api.responses.carried import carry
from gateway.api.responses.listed import new_id
from gateway.api.responses.tools import Tools, custom_input
from gateway.backends.stream import CallDelta, Delta
from gateway.errors import BackendBroken

Slot = str | int  # "thoughts", "text", "refusal", or the index of a tool call
_PART_FIELDS = {"thoughts": "text", "text": "text", "refusal": "refusal"}
_PARTS: dict[str, dict[str, Any]] = {
    "thoughts": {"type": "reasoning_text", "text": ""},
    "text": {"type": "output_text", "text": "", "annotations": [], "logprobs": []},
    "refusal": {"type": "refusal", "refusal": ""},
}


class Output:
    """An answer's items while they grow. Events are collected until `take` fetches them."""

    def __init__(self, tools: Tools, *, carries_thoughts: bool = False) -> None:
        self.items: list[dict[str, Any]] = []
        self._tools = tools
        self._carries_thoughts = carries_thoughts
        self._open: _Words | _Call | None = None
        self._waiting: list[tuple[Slot, str | CallDelta]] = []
        self._ended_calls: set[int] = set()
        self._events: list[dict[str, Any]] = []

    def add(self, delta: Delta) -> None:
        """Go on with what a chunk brought. Raises BackendBroken for more of a call that was complete."""
        if thoughts := delta.reasoning_content or delta.reasoning:
            self._grow("thoughts", thoughts)
        if delta.content:
            self._grow("text", delta.content)
        if delta.refusal:
            self._grow("refusal", delta.refusal)
        for part in delta.tool_calls or ():
            self._grow(part.index, part)

    def finish(self, *, complete: bool) -> None:
        """No more deltas come. Unless the answer is complete, what was still open is marked as incomplete."""
        while self._open is not None or self._waiting:
            self._close(complete=complete or (isinstance(self._open, _Call) and self._open.ended))
            self._replay()
        if not self.items:
            self._grow("text", "")  # an answer without a word is an empty message, not nothing
            self._close(complete=complete)

    def take(self) -> list[dict[str, Any]]:
        """The events since the last time."""
        events, self._events = self._events, []
        return events

    def _grow(self, slot: Slot, piece: str | CallDelta) -> None:
        if self._open is not None and self._open.slot != slot:
            if not self._open.ended:
                self._waiting.append((slot, piece))
                return
            self._close(complete=True)
        if self._open is None:
            self._begin(slot, piece)
        if self._open is not None:
            self._events += self._open.grow(piece)
            if self._waiting and self._open.ended:
                self._replay()

    def _begin(self, slot: Slot, piece: str | CallDelta) -> None:
        if isinstance(slot, str):
            self._open = _Words(slot, len(self.items), carried=self._carries_thoughts)
        elif slot not in self._ended_calls:
            self._open = _Call(slot, len(self.items), self._tools)
        elif isinstance(piece, CallDelta) and piece.function and (piece.function.arguments or "").strip():
            raise BackendBroken("The model went on with a tool call that was complete.")

    def _replay(self) -> None:
        waiting, self._waiting = self._waiting, []
        for slot, piece in waiting:
            self._grow(slot, piece)

    def _close(self, *, complete: bool) -> None:
        if self._open is None:
            return
        self._events += self._open.close("completed" if complete else "incomplete")
        self.items.append(self._open.item)
        if isinstance(self._open.slot, int):
            self._ended_calls.add(self._open.slot)
        self._open = None


class _Words:
    """A message or thoughts: an item with one part of text."""

    ended = True  # may end at any point

    def __init__(self, slot: str, index: int, *, carried: bool) -> None:
        self.slot = slot
        kind = "reasoning" if slot == "thoughts" else "message"
        self.item: dict[str, Any] = {"id": new_id(kind), "type": kind, "status": "in_progress"}
        self.item["summary" if kind == "reasoning" else "role"] = [] if kind == "reasoning" else "assistant"
        self.item["content"] = []
        self._at = {"item_id": self.item["id"], "output_index": index, "content_index": 0}
        self._index = index
        self._field = _PART_FIELDS[slot]
        self._event = {"thoughts": "reasoning_text", "text": "output_text", "refusal": "refusal"}[slot]
        self._logprobs: dict[str, Any] = {"logprobs": []} if slot == "text" else {}
        self._carried = carried and kind == "reasoning"
        self._pieces: list[str] = []

    def grow(self, piece: str | CallDelta) -> list[dict[str, Any]]:
        assert isinstance(piece, str)
        events = [] if self._pieces else [_added(self._index, self.item), self._part("added", "")]
        self._pieces.append(piece)
        delta = {"type": f"response.{self._event}.delta", **self._at, "delta": piece, **self._logprobs}
        return [*events, delta] if piece else events

    def close(self, status: str) -> list[dict[str, Any]]:
        text = "".join(self._pieces)
        done = {"type": f"response.{self._event}.done", **self._at, self._field: text, **self._logprobs}
        self.item |= {"status": status, "content": [{**_PARTS[self.slot], self._field: text}]}
        if self._carried:
            self.item["encrypted_content"] = carry(text)
        return [done, self._part("done", text), _done(self._index, self.item)]

    def _part(self, what: str, text: str) -> dict[str, Any]:
        part = {**_PARTS[self.slot], self._field: text}
        return {"type": f"response.content_part.{what}", **self._at, "part": part}


class _Call:
    """A call of a tool. It is told of once its name is whole, that is with the first of its arguments.

    The input of a custom tool is told at once: it is a JSON string inside of the arguments until these are complete.
    """

    def __init__(self, slot: int, index: int, tools: Tools) -> None:
        self.slot = slot
        self.item: dict[str, Any] = {}
        self._tools = tools
        self._index = index
        self._id = ""
        self._name = ""
        self._pieces: list[str] = []
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether the arguments are complete, so that nothing can follow."""
        if not self._ended and self._pieces and self._pieces[-1].rstrip().endswith("}"):
            self._ended = _is_json("".join(self._pieces))
        return self._ended

    def grow(self, piece: str | CallDelta) -> list[dict[str, Any]]:
        assert isinstance(piece, CallDelta)
        events: list[dict[str, Any]] = []
        if not self.item:
            self._id = self._id or piece.id or ""
            self._name += (piece.function.name if piece.function else None) or ""
        arguments = (piece.function.arguments if piece.function else None) or ""
        if arguments:
            events = self._opened()
            self._pieces.append(arguments)
            events += self._delta("response.function_call_arguments.delta", arguments)
        return events

    def close(self, status: str) -> list[dict[str, Any]]:
        events = self._opened()
        if not self._pieces:
            self._pieces.append("{}")  # of a function without parameters some models say nothing
            events += self._delta("response.function_call_arguments.delta", "{}")
        arguments = "".join(self._pieces)
        at = {"item_id": self.item["id"], "output_index": self._index}
        self.item["status"] = status
        if self._custom:
            text = custom_input(arguments)
            self.item["input"] = text
            events.append({"type": "response.custom_tool_call_input.delta", **at, "delta": text})
            events.append({"type": "response.custom_tool_call_input.done", **at, "input": text})
        else:
            self.item["arguments"] = arguments
            done = {"type": "response.function_call_arguments.done", **at, "name": self.item["name"]}
            events.append({**done, "arguments": arguments})
        return [*events, _done(self._index, self.item)]

    @property
    def _custom(self) -> bool:
        return bool(self.item["type"] == "custom_tool_call")

    def _opened(self) -> list[dict[str, Any]]:
        if self.item:
            return []
        target = self._tools.target(self._name)
        kind = "custom_tool_call" if target.custom else "function_call"
        self.item = {"id": new_id(kind), "type": kind, "status": "in_progress"}
        self.item |= {"call_id": self._id or f"call_{secrets.token_hex(12)}", "name": target.name}
        if target.namespace:
            self.item["namespace"] = target.namespace
        self.item["input" if target.custom else "arguments"] = ""
        return [_added(self._index, self.item)]

    def _delta(self, kind: str, text: str) -> list[dict[str, Any]]:
        if self._custom:
            return []
        return [{"type": kind, "item_id": self.item["id"], "output_index": self._index, "delta": text}]


def _added(index: int, item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "response.output_item.added", "output_index": index, "item": dict(item)}


def _done(index: int, item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": index, "item": dict(item)}


def _is_json(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, RecursionError):
        return False
