"""The reply to a Responses request: whole, or as events with sequence numbers.

Owns the order of events around the items, and that a finished response is kept if it may be. Knows nothing of HTTP.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.api.responses import answer
from gateway.api.responses.output import Output
from gateway.api.responses.request import Read
from gateway.api.responses.stored import ResponseStore
from gateway.backends.stream import CallDelta, ChunkChoice, Delta, Event, FunctionDelta
from router.chat import AnswerMessage, ChatResponse, Usage


class Visit(msgspec.Struct, frozen=True):
    """Who asks: an owner's name, what the client calls the conversation, and whether nothing may be kept."""

    store: ResponseStore
    owner: str = ""
    conversation: str = ""
    private: bool = False


class ResponsesReply:
    """One answer."""

    def __init__(self, read: Read, visit: Visit) -> None:
        self.id = f"resp_{secrets.token_hex(24)}"
        self._read = read
        self._visit = visit
        self._keep = read.request.store is not False and not visit.private
        self._response = answer.new_response(self.id, read.request, stored=self._keep)
        self._output = Output(read.tools, carries_thoughts=read.request.carries_thoughts)
        self._finish: str | None = None
        self._usage: Usage | None = None
        self._number = 0

    def whole(self, response: ChatResponse, raw: bytes) -> bytes:
        choice = response.choices[0]
        self._finish, self._usage = choice.finish_reason, response.usage
        self._output.add(_as_delta(choice.message))
        return msgspec.json.encode(self._ended({}))

    def events(self, batch: Sequence[Event], extra: Mapping[str, Any]) -> bytes:
        told = self._begun()
        for event in batch:
            if event.chunk is None:
                told += self._last(extra)
                continue
            self._usage = event.chunk.usage or self._usage
            for choice in event.chunk.choices:
                self._grow(choice)
            told += self._written(self._output.take())
        return b"".join(told)

    def heartbeat(self) -> bytes:
        """An event, as comments count for nothing with Codex."""
        begun = self._begun()
        return b"".join(begun or self._written([self._around("response.in_progress", self._response)]))

    def broken(self, error: dict[str, Any]) -> bytes:
        failed = answer.failed(self._response, self._output.items, error["error"])
        return b"".join(self._begun() + self._written([self._around("response.failed", failed)]))

    def _grow(self, choice: ChunkChoice) -> None:
        if choice.index == 0:
            self._finish = choice.finish_reason or self._finish
            if choice.delta is not None:
                self._output.add(choice.delta)

    def _begun(self) -> list[bytes]:
        """The first two events, unless they were told."""
        if self._number:
            return []
        return self._written([self._around(f"response.{what}", self._response) for what in ("created", "in_progress")])

    def _last(self, extra: Mapping[str, Any]) -> list[bytes]:
        ended = self._ended(extra)
        return self._written([*self._output.take(), self._around(f"response.{ended['status']}", ended)])

    def _ended(self, extra: Mapping[str, Any]) -> dict[str, Any]:
        self._output.finish(complete=not answer.incomplete_reason(self._finish))
        ended = {**answer.ended(self._response, self._output.items, self._finish, self._usage), **extra}
        if self._keep:
            self._visit.store.put(
                ended,
                self._read.items,
                owner=self._visit.owner,
                previous=self._read.request.previous_response_id or "",
                conversation=self._visit.conversation or self._read.asked.conversation,
            )
        return ended

    def _around(self, kind: str, response: Mapping[str, Any]) -> dict[str, Any]:
        return {"type": kind, "response": response}

    def _written(self, events: Iterable[dict[str, Any]]) -> list[bytes]:
        written = []
        for event in events:
            data = msgspec.json.encode({**event, "sequence_number": self._number})
            written.append(b"event: " + event["type"].encode() + b"\ndata: " + data + b"\n\n")
            self._number += 1
        return written


def _as_delta(message: AnswerMessage) -> Delta:
    """A whole answer as the one delta of a stream."""
    calls = [
        CallDelta(index, call.id, FunctionDelta(call.function.name, call.function.arguments))
        for index, call in enumerate(message.tool_calls or ())
    ]
    return Delta(message.content, message.thoughts, refusal=message.refusal, tool_calls=calls or None)
