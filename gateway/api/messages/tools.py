"""The tools of a Messages request, and the choice among them, as a chat completion has them.

Owns which tools can be offered here. Knows nothing of messages.
"""

from __future__ import annotations

import re
from typing import Any

from gateway.api.messages.form import AnyChoice, Choice, NoChoice, Tool, ToolChoice
from router.chat import InvalidRequest

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")


def functions(tools: list[Tool]) -> tuple[list[dict[str, Any]], list[str]]:
    """The client's own tools as functions, and the names of those left out because only their vendor can run or knows
    them. Raises InvalidRequest."""
    kept: list[dict[str, Any]] = []
    skipped: list[str] = []
    for index, tool in enumerate(tools):
        if tool.input_schema is None and tool.type not in (None, "custom"):
            skipped.append(tool.name or str(tool.type))
        else:
            kept.append({"type": "function", "function": _function(tool, f"tools[{index}]")})
    return kept, skipped


def _function(tool: Tool, where: str) -> dict[str, Any]:
    if tool.name is None or not _NAME.fullmatch(tool.name):
        field = f"{where}.name"
        raise InvalidRequest(f"{field}: a tool's name is 1 to 128 letters, digits, '_' or '-'.", field)
    if tool.input_schema is None:
        field = f"{where}.input_schema"
        raise InvalidRequest(f"{field}: the tool '{tool.name}' has no schema.", field)
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.input_schema}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return function


def choice_fields(choice: Choice | None, kept: list[dict[str, Any]], skipped: list[str]) -> dict[str, Any]:
    """`tool_choice` and `parallel_tool_calls`, where the request has something to say there. Raises InvalidRequest."""
    if isinstance(choice, ToolChoice):
        _check_named(choice.name, kept, skipped)
    if isinstance(choice, AnyChoice) and not kept:
        raise InvalidRequest("tool_choice: there is no tool that could be called.", "tool_choice")
    if choice is None or not kept:
        return {}
    alone = {"parallel_tool_calls": False} if choice.disable_parallel_tool_use else {}
    return {"tool_choice": _wanted(choice), **alone}


def _check_named(name: str, kept: list[dict[str, Any]], skipped: list[str]) -> None:
    if any(tool["function"]["name"] == name for tool in kept):
        return
    why = "is run by its vendor and not offered here" if name in skipped else "is not among the tools"
    raise InvalidRequest(f"tool_choice.name: '{name[:128]}' {why}.", "tool_choice.name")


def _wanted(choice: Choice) -> str | dict[str, Any]:
    if isinstance(choice, ToolChoice):
        return {"type": "function", "function": {"name": choice.name}}
    if isinstance(choice, AnyChoice):
        return "required"
    return "none" if isinstance(choice, NoChoice) else "auto"
