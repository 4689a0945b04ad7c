"""What a wire is: one client's API, translated to and from chat completions.

Owns the contract between `exchange`, which carries any request from its first byte to its last, and the wires, which
know how their API speaks. Knows nothing of HTTP, backends or decisions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from gateway.backends.stream import Event
from router.chat import ChatRequest, ChatResponse


class Asked(msgspec.Struct, frozen=True):
    """A request as chat completions: `body` is what a backend is sent, `request` the same, parsed and checked.

    `notes` are response headers that tell what of the client's request was left out. `conversation` is its name where
    the wire has one; what the client names in a header goes before it. `size` is that of the messages, in bytes, where
    they are more than the client sent, as the rest was kept here. `unread` are the fields of the client's body that
    `request` does not carry in any form.
    """

    body: dict[str, Any]
    request: ChatRequest
    notes: Mapping[str, str] = {}
    conversation: str = ""
    size: int = 0
    unread: Mapping[str, Any] = {}


class Reply(Protocol):
    """The answer to one request in its client's form: whole, or as a stream. Made by `Wire.read`.

    `extra` is what the headers of a stream could not say any more; it goes where the wire has room for it.
    """

    id: str
    """The answer's id as the client sees it; empty: the backend's own."""

    def whole(self, response: ChatResponse, raw: bytes) -> bytes:
        """The finished answer. `raw` is the backend's JSON."""

    def events(self, batch: Sequence[Event], extra: Mapping[str, Any]) -> bytes:
        """The next part of a stream; the batch that ends with [DONE] is the last."""

    def heartbeat(self) -> bytes:
        """Something that tells the client that work goes on."""

    def broken(self, error: dict[str, Any]) -> bytes:
        """The end of a stream that failed; `error` is the body of `Wire.error`."""


class Wire(Protocol):
    """One client's API. Without state: what belongs to one request is in its Reply."""

    name: str
    """As a trace tells it."""

    def read(self, body: Any) -> tuple[Asked, Reply]:
        """A decoded JSON body as a chat completion, and the reply to it. Raises InvalidRequest or GatewayError."""

    def error(self, status: int, body: dict[str, Any]) -> dict[str, Any]:
        """OpenAI's error body in this wire's form."""
