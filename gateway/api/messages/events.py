"""The chunks of a chat completion as the events of a message.

Owns the order of events: blocks one after the other, with indices that count up. Knows nothing of sockets or of how a
stream that failed is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from gateway.api.messages.answer import call_block, empty_message, ending, usage_of, usage_told
from gateway.backends.stream import Collector, Delta, Event
from gateway.errors import BackendBroken
from router.chat import ChatRequest, Usage

_OPENING = {
    "text": {"type": "text", "text": "", "citations": None},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}


def event(kind: str, **fields: Any) -> bytes:
    """One event, under its name and with it."""
    return f"event: {kind}\ndata: ".encode() + msgspec.json.encode({"type": kind, **fields}) + b"\n\n"


class MessageEvents:
    """A message as it comes. Text and thoughts pass at once; calls wait for the end, when each is known whole.

    So a call that is cut off, or is mixed with others, still comes as one block with a JSON object in it, the same as
    in an answer that was not streamed.
    """

    def __init__(self, message_id: str, model: str, request: ChatRequest) -> None:
        self._id = message_id
        self._model = model
        self._request = request
        self._collector = Collector()
        self._started = False
        self._open = ""  # the kind of the block that is open
        self._index = 0  # of that block, or else of the next

    def feed(self, batch: Sequence[Event], extra: Mapping[str, Any]) -> bytes:
        """What a batch adds. Raises BackendBroken for an end without a finish reason."""
        return b"".join(self._told(batch, extra))

    def _told(self, batch: Sequence[Event], extra: Mapping[str, Any]) -> Iterator[bytes]:
        if not self._started:
            self._started = True
            yield self._start(batch)
        for part in batch:
            if part.chunk is None:
                yield from self._end(extra)
                return
            self._collector.take([part])
            for choice in part.chunk.choices:
                if choice.index == 0 and choice.delta is not None:
                    yield from self._said(choice.delta)

    def _start(self, batch: Sequence[Event]) -> bytes:
        """With the input's tokens where they are known by now: in an answer that was held, or from some backends."""
        told = [part.chunk.usage for part in batch if part.chunk is not None and part.chunk.usage is not None]
        usage = {**usage_told(told[0] if told else Usage(0, 0, 0)), "output_tokens": 0}
        return event("message_start", message=empty_message(self._id, self._model, usage))

    def _said(self, delta: Delta) -> Iterator[bytes]:
        if thought := delta.reasoning_content or delta.reasoning:
            yield from self._in_block("thinking")
            yield self._delta(type="thinking_delta", thinking=thought)
        for text in (delta.content, delta.refusal):
            if text:
                yield from self._in_block("text")
                yield self._delta(type="text_delta", text=text)

    def _in_block(self, kind: str) -> Iterator[bytes]:
        """See to it that a block of this kind is open."""
        if self._open != kind:
            yield from self._close()
            self._open = kind
            yield event("content_block_start", index=self._index, content_block=_OPENING[kind])

    def _close(self) -> Iterator[bytes]:
        if not self._open:
            return
        if self._open == "thinking":
            yield self._delta(type="signature_delta", signature="")
        yield event("content_block_stop", index=self._index)
        self._open = ""
        self._index += 1

    def _delta(self, **fields: Any) -> bytes:
        return event("content_block_delta", index=self._index, delta=fields)

    def _end(self, extra: Mapping[str, Any]) -> Iterator[bytes]:
        finish, message = self._collector.finish_reason, self._collector.message
        if finish is None:
            raise BackendBroken("The model's answer ended without a reason to end.")
        yield from self._close()
        for call in message.tool_calls or ():
            block = call_block(call)
            self._open = "tool_use"
            yield event("content_block_start", index=self._index, content_block={**block, "input": {}})
            yield self._delta(type="input_json_delta", partial_json=msgspec.json.encode(block["input"]).decode())
            yield from self._close()
        usage = usage_of(self._collector.usage, self._request, message)
        yield event("message_delta", delta=ending(finish, message), usage=usage, **extra)
        yield event("message_stop")
