"""POST /v1/responses/compact: a conversation made shorter, by asking a model to summarize it.

Owns what is asked and the form of what is given back: the user's own messages, then one item with the summary. The
client sends these again in place of the conversation. Knows nothing of HTTP.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.api.responses.answer import incomplete_reason, told_usage
from gateway.api.responses.carried import carry
from gateway.api.responses.listed import listed, new_id
from gateway.api.responses.reply import Visit
from gateway.api.responses.request import convert, notes, own_items, read_history
from gateway.api.wire import Asked, Reply
from gateway.backends.stream import Event
from gateway.errors import BackendBroken
from router.chat import ChatResponse, parse_request

_ASK = (
    "The conversation up to here will be replaced by a summary that you write now; whoever goes on with it knows "
    "nothing else of what was said. Write down what the user wants and has decided, what was done and found (files, "
    "names, values, commands and their results, exactly), what failed and why, and what is left to do. Write nothing "
    "but the summary, and call no tools."
)


class CompactRequest(msgspec.Struct, frozen=True):
    model: str
    input: str | list[dict[str, Any]]
    instructions: str | None = None
    previous_response_id: str | None = None
    prompt_cache_key: str | None = None


class CompactWire:
    """One request to compact; `visit` tells who asks."""

    name = "compact"

    def __init__(self, visit: Callable[[], Visit]) -> None:
        self._visit = visit

    def read(self, body: Any) -> tuple[Asked, Reply]:
        request = convert(body, CompactRequest)
        visit = self._visit()
        store, owner = visit.store, visit.owner
        chain = store.chain(owner, request.previous_response_id) if request.previous_response_id else []
        items = own_items(request.input, store, owner)
        history = read_history(request.instructions, chain, items)
        history.add({"role": "user", "content": _ASK}, "input")
        chat = {"model": request.model, "messages": history.messages()}
        conversation = chain[-1].conversation if chain else (request.prompt_cache_key or "")[:200]
        said = [item for one in chain for item in one.input] + [listed(item) for item in items]
        ignored = [name for name in body if name not in CompactRequest.__struct_fields__]
        asked = Asked(chat, parse_request(chat), notes(ignored, [], history.skipped), conversation)
        return asked, CompactReply([item for item in said if item.get("role") == "user"])

    def error(self, status: int, body: dict[str, Any]) -> dict[str, Any]:
        return body


class CompactReply:
    """The summary after what the user said. It is never streamed, and not kept: the client has all of it."""

    def __init__(self, said: list[dict[str, Any]]) -> None:
        self.id = f"resp_{secrets.token_hex(24)}"
        self._said = said

    def whole(self, response: ChatResponse, raw: bytes) -> bytes:
        """Raises BackendBroken for an answer that is no whole summary: a conversation must not be lost that way."""
        choice = response.choices[0]
        if incomplete_reason(choice.finish_reason) or not (choice.message.content or "").strip():
            raise BackendBroken("The model did not write a whole summary of the conversation.")
        summary = {"id": new_id("compaction"), "type": "compaction"}
        summary["encrypted_content"] = carry(choice.message.content or "")
        compacted = {
            "id": self.id,
            "object": "response.compaction",
            "created_at": int(time.time()),
            "output": [*self._said, summary],
            "usage": told_usage(response.usage),
        }
        return msgspec.json.encode(compacted)

    def events(self, batch: Sequence[Event], extra: Mapping[str, Any]) -> bytes:
        raise NotImplementedError("a compaction is asked for whole")

    def heartbeat(self) -> bytes:
        raise NotImplementedError("a compaction is asked for whole")

    def broken(self, error: dict[str, Any]) -> bytes:
        raise NotImplementedError("a compaction is asked for whole")
