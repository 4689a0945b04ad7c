"""A chat completion as a message of the Messages API.

Owns the content blocks, the stop reason and the usage. Knows nothing of streams.
"""

from __future__ import annotations

import secrets
from typing import Any

import msgspec

from gateway.answering.counting import estimate, tokens_in
from router.chat import AnswerMessage, ChatRequest, ChatResponse, ToolCall, Usage

_STOP = {"length": "max_tokens", "content_filter": "refusal"}
_ELSEWHERE = {"cache_creation": None, "inference_geo": None, "service_tier": None}  # of Anthropic's own machines


def message_of(message_id: str, model: str, request: ChatRequest, response: ChatResponse) -> dict[str, Any]:
    """The finished answer."""
    choice = response.choices[0]
    usage = usage_of(response.usage, request, choice.message)
    return {
        **empty_message(message_id, model, usage),
        "content": blocks_of(choice.message),
        **ending(choice.finish_reason, choice.message),
    }


def empty_message(message_id: str, model: str, usage: dict[str, Any]) -> dict[str, Any]:
    """A message of which nothing is said yet."""
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        "usage": {**usage, **_ELSEWHERE},
    }


def blocks_of(message: AnswerMessage) -> list[dict[str, Any]]:
    """Thoughts, text, calls. A signature would be proof that Anthropic's own model thought so: it is empty."""
    thoughts = message.reasoning_content or message.reasoning
    text = (message.content or "") + (message.refusal or "")
    blocks: list[dict[str, Any]] = []
    if thoughts:
        blocks.append({"type": "thinking", "thinking": thoughts, "signature": ""})
    if text:
        blocks.append({"type": "text", "text": text, "citations": None})
    return blocks + [call_block(call) for call in message.tool_calls or ()]


def call_block(call: ToolCall) -> dict[str, Any]:
    """A call under its own id. Arguments that are no JSON object come as `{"_raw": text}`, so that the client's tool
    refuses them and the model is told, while the answer stays well-formed."""
    call_id = call.id or f"toolu_{secrets.token_hex(12)}"
    return {
        "type": "tool_use",
        "id": call_id,
        "name": call.function.name,
        "input": _input(call.function.arguments),
        "caller": {"type": "direct"},
    }


def _input(arguments: str) -> dict[str, Any]:
    if not arguments.strip():
        return {}
    try:
        decoded = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return {"_raw": arguments}
    return decoded if isinstance(decoded, dict) else {"_raw": arguments}


def ending(finish: str | None, message: AnswerMessage) -> dict[str, Any]:
    """Why the answer ended. A chat completion does not tell whether a stop sequence was met."""
    return {"stop_reason": _reason(finish, message), "stop_sequence": None, "stop_details": None, "container": None}


def _reason(finish: str | None, message: AnswerMessage) -> str:
    """A limit counts for more than calls, and calls for more than a backend's "stop"."""
    if finish in _STOP:
        return _STOP[finish]
    if message.refusal:
        return "refusal"
    return "tool_use" if message.tool_calls else "end_turn"


def usage_of(told: Usage | None, request: ChatRequest, message: AnswerMessage) -> dict[str, Any]:
    """Tokens by Anthropic's count, where those from a cache are no part of the input. A backend that tells none is
    estimated: a client that is told nothing would never shorten its conversation."""
    if told is None:
        said = msgspec.json.encode(blocks_of(message))
        told = Usage(estimate(request), tokens_in(len(said)), 0)
    return usage_told(told)


def usage_told(told: Usage) -> dict[str, Any]:
    """A chat completion's usage in Anthropic's terms."""
    cached = (told.prompt_tokens_details or {}).get("cached_tokens")
    read = min(max(cached, 0), told.prompt_tokens) if isinstance(cached, int) else 0
    thoughts = (told.completion_tokens_details or {}).get("reasoning_tokens")
    return {
        "input_tokens": told.prompt_tokens - read,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": read,
        "output_tokens": told.completion_tokens,
        "output_tokens_details": {"thinking_tokens": max(thoughts, 0)} if isinstance(thoughts, int) else None,
        "server_tool_use": None,
    }
