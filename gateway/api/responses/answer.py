"""The Response object around an answer's items.

Owns its fields, those that repeat the request included, and what usage and errors are called here. Knows nothing of
chunks or events.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.api.responses.request import ResponsesRequest
from router.chat import Usage

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}  # by finish reason
_FUNCTION = {"description": None, "parameters": None, "strict": None}
_DEFAULTS = {"temperature": 1.0, "top_p": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}


def new_response(response_id: str, request: ResponsesRequest, *, stored: bool) -> dict[str, Any]:
    """A response that is under way. What had no effect reads as it is here, not as it was asked for."""
    sampling = {name: _given(getattr(request, name), default) for name, default in _DEFAULTS.items()}
    reasoning = request.reasoning or {}
    return {
        "id": response_id,
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "background": False,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": request.max_tool_calls,
        "metadata": request.metadata or {},
        "model": request.model,
        "output": [],
        "parallel_tool_calls": _given(request.parallel_tool_calls, True),
        "previous_response_id": request.previous_response_id,
        "prompt_cache_key": request.prompt_cache_key,
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "safety_identifier": request.safety_identifier,
        "service_tier": "default",
        "store": stored,
        **sampling,
        "text": _text(request),
        "tool_choice": _given(request.tool_choice, "auto"),
        "tools": [{**_FUNCTION, **tool} if tool.get("type") == "function" else tool for tool in request.tools or ()],
        "top_logprobs": 0,
        "truncation": "disabled",
        "usage": None,
    }


def ended(
    response: Mapping[str, Any], items: Sequence[dict[str, Any]], finish: str | None, usage: Usage | None
) -> dict[str, Any]:
    """The response with its answer: completed, or incomplete for the finish reason."""
    reason = incomplete_reason(finish)
    return {
        **response,
        "status": "incomplete" if reason else "completed",
        "completed_at": None if reason else int(time.time()),
        "incomplete_details": {"reason": reason} if reason else None,
        "output": list(items),
        "usage": told_usage(usage),
    }


def failed(response: Mapping[str, Any], items: Sequence[dict[str, Any]], error: Mapping[str, Any]) -> dict[str, Any]:
    """The response with what there was before `error` (an OpenAI error without its wrapping) ended it."""
    told = {"code": _error_code(error), "message": error["message"]}
    return {**response, "status": "failed", "error": told, "output": list(items)}


def incomplete_reason(finish: str | None) -> str:
    """Why an answer with this finish reason is incomplete; empty if it is complete."""
    return _INCOMPLETE.get(finish or "", "")


def told_usage(usage: Usage | None) -> dict[str, Any] | None:
    if usage is None:
        return None
    prompt, completion = usage.prompt_tokens_details or {}, usage.completion_tokens_details or {}
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": prompt.get("cached_tokens") or 0, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": completion.get("reasoning_tokens") or 0},
        "total_tokens": usage.total_tokens,
    }


def _error_code(error: Mapping[str, Any]) -> str:
    """A code that clients of this API act upon: Codex compacts, waits or gives up by it."""
    if error.get("code") in ("context_length_exceeded", "rate_limit_exceeded"):
        return str(error["code"])
    return "invalid_prompt" if error.get("type") == "invalid_request_error" else "server_error"


def _text(request: ResponsesRequest) -> dict[str, Any]:
    """The text settings; formats are told as OpenAI does, with everything they may hold."""
    form = request.text.format if request.text else None
    if form is None or form.type == "text":
        return {"format": {"type": "text"}}
    if form.type == "json_object":
        return {"format": {"type": "json_object"}}
    told = {"type": form.type, "name": form.name, "description": form.description}
    return {"format": {**told, "schema": form.schema, "strict": bool(form.strict)}}


def _given(value: Any, default: Any) -> Any:
    return default if value is None else value
