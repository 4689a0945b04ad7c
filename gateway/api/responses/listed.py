"""Input items as the API lists them: with an id, a type, a status and content in parts.

Owns what is filled in. Knows nothing of what an item means.
"""

from __future__ import annotations

import secrets
from typing import Any

_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "compaction": "cmp",
}
_WITH_STATUS = frozenset({"message", "function_call", "function_call_output"})


def new_id(kind: str) -> str:
    """A fresh id for an item of a type."""
    return f"{_PREFIXES.get(kind, 'item')}_{secrets.token_hex(16)}"


def listed(item: dict[str, Any]) -> dict[str, Any]:
    """An item that was read without complaint, with nothing left out. An id that the client gave stays."""
    kind = item.get("type") or "message"
    own = item.get("id")
    full: dict[str, Any] = {**item, "type": kind, "id": own if isinstance(own, str) and own else new_id(kind)}
    if kind in _WITH_STATUS:
        full["status"] = item.get("status") or "completed"
    if kind == "message" and isinstance(item.get("content"), str):
        if item["role"] == "assistant":
            full["content"] = [{"type": "output_text", "text": item["content"], "annotations": []}]
        else:
            full["content"] = [{"type": "input_text", "text": item["content"]}]
    return full
