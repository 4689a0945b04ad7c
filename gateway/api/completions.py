"""POST /v1/completions: OpenAI's legacy text completions, of one prompt, as a chat of one user message.

Owns what of them is refused and the form of their answers. A chat model answers a prompt; it does not continue it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from litestar import asgi
from litestar.types import Receive, Scope, Send

from gateway.api.exchange import exchange
from gateway.api.wire import Asked, Reply
from gateway.backends.stream import DONE, Chunk, Event, encode_event
from router.chat import ChatResponse, InvalidRequest, parse_request

_REFUSED = {
    "suffix": "a chat model cannot fill in before a suffix",
    "logprobs": "log-probabilities are given by /v1/chat/completions only",
    "echo": "the prompt is not given back",
    "best_of": "one answer is made for each that is given",
}


class CompletionsWire:
    """Text in, text out."""

    name = "completions"

    def read(self, body: Any) -> tuple[Asked, Reply]:
        if not isinstance(body, dict):
            raise InvalidRequest("The request body must be a JSON object.")
        _refuse(body)
        chat = {name: value for name, value in body.items() if name not in ("prompt", *_REFUSED)}
        chat["messages"] = [{"role": "user", "content": _prompt(body.get("prompt"))}]
        request = parse_request(chat)
        wants_usage = request.stream_options is not None and request.stream_options.include_usage
        return Asked(chat, request), _CompletionReply(request.model, wants_usage)

    def error(self, status: int, body: dict[str, Any]) -> dict[str, Any]:
        return body


class _CompletionReply:
    """`wants_usage`: whether the client asked for the chunk that carries usage alone."""

    def __init__(self, model: str, wants_usage: bool) -> None:
        self.id = f"cmpl-{secrets.token_hex(16)}"
        self._head = {"id": self.id, "object": "text_completion", "created": int(time.time()), "model": model}
        self._wants_usage = wants_usage

    def whole(self, response: ChatResponse, raw: bytes) -> bytes:
        choices = [_choice(one.index, one.message.content, one.finish_reason) for one in response.choices]
        return msgspec.json.encode({**self._head, "choices": choices, "usage": response.usage})

    def events(self, batch: Sequence[Event], extra: Mapping[str, Any]) -> bytes:
        return b"".join([self._event(event.chunk, extra) for event in batch])

    def heartbeat(self) -> bytes:
        return b": still working\n\n"

    def broken(self, error: dict[str, Any]) -> bytes:
        return encode_event(error)

    def _event(self, chunk: Chunk | None, extra: Mapping[str, Any]) -> bytes:
        if chunk is None:
            return DONE
        choices = [
            _choice(one.index, one.delta.content if one.delta else None, one.finish_reason)
            for one in chunk.choices
            if one.finish_reason or (one.delta is not None and one.delta.content)
        ]
        if choices:
            late = extra if any(one["finish_reason"] for one in choices) else {}
            return encode_event({**self._head, "choices": choices, **late})
        if chunk.only_usage and self._wants_usage:
            return encode_event({**self._head, "choices": [], "usage": chunk.usage})
        return b""


def _choice(index: int, text: str | None, finish: str | None) -> dict[str, Any]:
    return {"text": text or "", "index": index, "logprobs": None, "finish_reason": finish}


def _refuse(body: dict[str, Any]) -> None:
    for name, reason in _REFUSED.items():
        value = body.get(name)
        if value is None or (name == "echo" and value is False) or (name == "best_of" and value == 1):
            continue
        raise InvalidRequest(f"'{name}' cannot be honoured here: {reason}.", name)


def _prompt(prompt: Any) -> str:
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str) or not prompt:
        raise InvalidRequest("'prompt' must be one text, or a list that holds one.", "prompt")
    return prompt


WIRE = CompletionsWire()


@asgi("/v1/completions", copy_scope=False)
async def completions(scope: Scope, receive: Receive, send: Send) -> None:
    await exchange(WIRE, scope, receive, send)
