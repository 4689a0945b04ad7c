"""Errors as the Messages API words them.

Owns the types, and what clients act upon: the sentences by which Claude Code knows that a prompt is too long, and the
details by which Anthropic's package knows that it has to send whole conversations. Knows nothing of HTTP.
"""

from __future__ import annotations

import re
from typing import Any

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}
_DETAILED = ("thread_unsupported_request",)
# How servers of chat completions say it: the context's size, what the prompt takes, and what the answer would.
_CONTEXT = re.compile(r"context (?:length|size|window)\D{0,20}(\d+)")
_INPUT = re.compile(
    r"resulted in (\d+) tokens|request \((\d+) tokens\)|has (\d+) input tokens"
    r"|(\d+) (?:in|tokens from) the (?:input )?messages"
)
_OUTPUT = re.compile(r"(\d+) (?:in|tokens for) the completion|too large: (\d+)")


def anthropic_form(status: int, body: dict[str, Any]) -> dict[str, Any]:
    """OpenAI's error body in Anthropic's form."""
    error = body["error"]
    kind = _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    message = str(error["message"])
    if kind == "invalid_request_error":
        message = _too_long(message, error["code"]) or message
    details = {"details": {"error_code": error["code"]}} if error["code"] in _DETAILED else {}
    return {"type": "error", "error": {"type": kind, "message": message, **details}, "request_id": None}


def _too_long(message: str, code: str | None) -> str:
    """The sentence that makes Claude Code shorten its conversation, or ask for less; empty if this is not about it."""
    context, prompt, answer = (_number(pattern, message) for pattern in (_CONTEXT, _INPUT, _OUTPUT))
    if context and prompt > context:
        return f"prompt is too long: {prompt} tokens > {context} maximum"
    if context and prompt and answer:
        return (
            f"input length and `max_tokens` exceed context limit: {prompt} + {answer} > {context}, "
            "decrease input length or `max_tokens` and try again"
        )
    return f"prompt is too long: {message}" if code == "context_length_exceeded" else ""


def _number(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.search(text)
    return int(next(group for group in found.groups() if group)) if found else 0
