"""A turn in the words of OpenTelemetry: which attributes its spans have, and what is in them.

Owns the names; those of generative AI are still in development and move, so they are here and nowhere else. Knows
nothing of spans or of how they are sent.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import msgspec

from gateway.answering.calls import Call
from gateway.answering.turn import Turn
from gateway.backends.client import Address
from router.chat import AnswerMessage, ChatRequest, Message, ToolCall, Usage

VERSION = "0.1.0"  # of open-telemetry/semantic-conventions-genai

_INTEGERS = range(-(2**63), 2**63)  # that a span can hold

Attributes = dict[str, str | bool | int | float | list[str]]

_OPERATION, _PROVIDER = "gen_ai.operation.name", "gen_ai.provider.name"
_CONVERSATION = "gen_ai.conversation.id"
_REQUEST_MODEL, _REQUEST_STREAM = "gen_ai.request.model", "gen_ai.request.stream"
_SAMPLING = {  # a request's fields, where it says them
    "completion_limit": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "seed": "gen_ai.request.seed",
    "n": "gen_ai.request.choice.count",
}
_RESPONSE_ID, _RESPONSE_MODEL = "gen_ai.response.id", "gen_ai.response.model"
_FINISH_REASONS = "gen_ai.response.finish_reasons"
_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"  # seconds
_INPUT_TOKENS, _OUTPUT_TOKENS = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
_CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
_INPUT, _OUTPUT = "gen_ai.input.messages", "gen_ai.output.messages"
_ERROR = "error.type"
_ADDRESS, _PORT = "server.address", "server.port"
_OWN = "nightschool."  # what no convention has

_CHAT = "chat"
_OURS = "nightschool"  # the provider, of the gateway and of its own engines
_THEIRS = "openai"  # of any other endpoint: the API it speaks, which is all that is known of it


def span_name(model: str) -> str:
    return f"{_CHAT} {model}" if model else _CHAT


def of_turn(turn: Turn, host: str, port: int) -> Attributes:
    """Of the span of a whole request. `host` and `port` are the gateway's own."""
    ask, request, decision = turn.ask, turn.ask.request, turn.decision
    found: Attributes = {
        _OPERATION: _CHAT,
        _PROVIDER: _OURS,
        _CONVERSATION: ask.conversation,
        _ADDRESS: host,
        _PORT: port,
        f"{_OWN}trace": turn.id,
        f"{_OWN}wire": ask.wire,
        f"{_OWN}arm": decision.arm,
        f"{_OWN}reason": decision.reason,
        f"{_OWN}state": turn.state,
        f"{_OWN}overhead": turn.seconds["overhead"],
        **_asked(request, request.model),
        **_used(turn.usage),
        **_filled({_RESPONSE_MODEL: turn.model, _RESPONSE_ID: ask.wire_id or turn.wire_id, _ERROR: turn.error_class}),
        **_filled({f"{_OWN}client": ask.client, _FINISH_REASONS: [turn.finish_reason] if turn.finish_reason else []}),
    }
    if ask.streamed and "first_byte" in turn.seconds:
        found[_FIRST_CHUNK] = turn.seconds["first_byte"]
    return _that_fit(found)


def of_call(turn: Turn, call: Call) -> Attributes:
    """Of the span of one arm that was asked."""
    found: Attributes = {
        _OPERATION: _CHAT,
        _PROVIDER: _OURS if call.local else _THEIRS,
        _CONVERSATION: turn.ask.conversation,
        f"{_OWN}backend": call.label,
        f"{_OWN}draft": call.is_draft,
        **_where(call.address),
        **_asked(turn.ask.request, call.model),
        **_filled({_ERROR: call.error, f"{_OWN}reason": call.decision.reason if call.decision else ""}),
    }
    if call.response is not None:
        reasons = [choice.finish_reason for choice in call.response.choices if choice.finish_reason]
        found |= _filled({_RESPONSE_MODEL: call.response.model, _RESPONSE_ID: call.response.id})
        found |= {**_filled({_FINISH_REASONS: reasons}), **_used(call.response.usage)}
    if turn.ask.streamed and call.first:
        found[_FIRST_CHUNK] = call.first - call.since
    return _that_fit(found)


def content_of(turn: Turn) -> Attributes:
    """What was said, as JSON."""
    found: Attributes = {_INPUT: _json([_message(message) for message in turn.ask.request.messages])}
    if turn.answer is not None:
        found[_OUTPUT] = _json([{**_message(turn.answer), "finish_reason": turn.finish_reason or ""}])
    return found


def _asked(request: ChatRequest, model: str) -> Attributes:
    said = {name: getattr(request, field) for field, name in _SAMPLING.items()}
    known: Attributes = {name: value for name, value in said.items() if value is not None}
    return {**known, **_filled({_REQUEST_MODEL: model}), _REQUEST_STREAM: bool(request.stream)}


def _used(usage: Usage | None) -> Attributes:
    if usage is None:
        return {}
    used: Attributes = {_INPUT_TOKENS: usage.prompt_tokens, _OUTPUT_TOKENS: usage.completion_tokens}
    return {**used, _CACHED_TOKENS: usage.cached_tokens} if usage.cached_tokens else used


def _where(address: Address) -> Attributes:
    if address.socket:
        return {_ADDRESS: address.socket}
    url = urlsplit(address.url)
    return {_ADDRESS: url.hostname or "", _PORT: url.port or (443 if url.scheme == "https" else 80)}


def _filled(attributes: Attributes) -> Attributes:
    """Those that have a value."""
    return {name: value for name, value in attributes.items() if value}


def _that_fit(attributes: Attributes) -> Attributes:
    """Without numbers that are too large: clients and models may tell any, and one would spoil a whole batch."""
    return {name: value for name, value in attributes.items() if not isinstance(value, int) or value in _INTEGERS}


def _message(message: Message | AnswerMessage) -> dict[str, Any]:
    answers = message.tool_call_id if isinstance(message, Message) else None
    parts = [*_thoughts(message), *_content(message.content, answers)]
    parts += [_call(call) for call in message.tool_calls or ()]
    return {"role": message.role, "parts": parts}


def _thoughts(message: Message | AnswerMessage) -> list[dict[str, Any]]:
    thoughts = message.reasoning_content or message.reasoning
    return [{"type": "reasoning", "content": thoughts}] if thoughts else []


def _content(content: str | list[dict[str, Any]] | None, answers: str | None) -> list[dict[str, Any]]:
    """Of a part that is no text only its type: an image is no use in a span."""
    if answers is not None:
        return [{"type": "tool_call_response", "id": answers, "response": content}]
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    kinds = [(str(part.get("type", "text")), part.get("text")) for part in content or ()]
    return [{"type": kind, "content": text} if text is not None else {"type": kind} for kind, text in kinds]


def _call(call: ToolCall) -> dict[str, Any]:
    return {"type": "tool_call", "id": call.id, "name": call.function.name, "arguments": call.function.arguments}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
