"""Is a student's draft well-formed? Owns the rules of form that need no model and no judgement.

Knows nothing of confidence, certificates or who answers instead.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jsonschema_rs
import msgspec

from router.chat import ChatRequest, Choice, Tool, ToolCall, this_turn

_LEFTOVERS = ("<tool_call", "</tool_call", "<tool_response", "<function=", "[TOOL_CALLS]")


def fault(request: ChatRequest, choice: Choice) -> str:
    """What is wrong with the form of a draft, in a few words; empty when nothing is."""
    if choice.finish_reason == "length":
        return "cut off by the token limit"
    if choice.finish_reason not in ("stop", "tool_calls"):
        return f"finish reason {choice.finish_reason}"
    calls = choice.message.tool_calls or []
    problem = _against_choice(request.tool_choice, calls)
    if problem:
        return problem
    if calls:
        return _calls(request, calls)
    text = choice.message.content or ""
    return text_fault(text, bool(request.tools)) or _against_format(request.response_format, text)


def _against_choice(tool_choice: str | dict[str, Any] | None, calls: list[ToolCall]) -> str:
    if tool_choice == "none" and calls:
        return "a tool call where tool_choice is none"
    if tool_choice == "required" and not calls:
        return "no tool call where tool_choice is required"
    if isinstance(tool_choice, dict):
        wanted = tool_choice.get("function", {}).get("name")
        if not calls or any(call.function.name != wanted for call in calls):
            return f"not the tool that tool_choice names: {wanted}"
    return ""


def _against_format(wanted: dict[str, Any] | None, text: str) -> str:
    kind = (wanted or {}).get("type", "text")
    if kind == "text":
        return ""
    value = _decode(text)
    if value == text:
        return "the text is not the JSON that response_format asks for"
    schema = ((wanted or {}).get("json_schema") or {}).get("schema") if kind == "json_schema" else None
    return _against_schema("the text", schema or {}, value) if isinstance(value, dict) or schema else ""


def _calls(request: ChatRequest, calls: list[ToolCall]) -> str:
    if request.parallel_tool_calls is False and len(calls) > 1:
        return "several calls where parallel_tool_calls is false"
    tools = {tool.function.name: tool for tool in request.tools or ()}
    made = [call for message in this_turn(request.messages) for call in message.tool_calls or ()]
    for call in calls:
        problem = call_fault(call, tools)
        if problem:
            return problem
        if _was_made(call, made):
            return f"the same call again: {call.function.name}"
        made.append(call)
    return ""


def _was_made(call: ToolCall, made: list[ToolCall]) -> bool:
    """Whether one of the calls made means the same; most are told apart before they are spelt out."""
    wanted = _decode(call.function.arguments)
    return any(
        other.function.name == call.function.name
        and (other.function.arguments == call.function.arguments or _decode(other.function.arguments) == wanted)
        and canonical(other) == canonical(call)  # to Python 1 is true, and 1.0
        for other in made
    )


def call_fault(call: ToolCall, tools: dict[str, Tool]) -> str:
    """What is wrong with one call to one of the named tools; empty when nothing is."""
    name = call.function.name
    if name not in tools:
        return f"unknown tool: {name}"
    arguments = _decode(call.function.arguments)
    if not isinstance(arguments, dict):
        return f"the arguments of {name} are not a JSON object"
    return _against_schema(name, tools[name].function.parameters, arguments)


def _against_schema(name: str, schema: dict[str, Any], arguments: Any) -> str:
    if not schema:
        return ""
    validator = _validator(msgspec.json.encode(schema, order="deterministic"))
    if validator is None:
        return f"the schema of {name} cannot be checked"
    try:
        error = next(iter(validator.iter_errors(arguments)), None)
    except ValueError as problem:  # jsonschema_rs raises it for values beyond its number range
        return f"the arguments of {name} cannot be checked: {problem}"
    return "" if error is None else f"the arguments of {name} do not fit its schema: {error.message[:200]}"


@lru_cache(maxsize=512)
def _validator(schema: bytes) -> Any:
    """A validator that fetches nothing and matches patterns in linear time; None when the schema allows neither."""
    try:
        return jsonschema_rs.validator_for(
            msgspec.json.decode(schema), pattern_options=jsonschema_rs.RegexOptions(), offline=True
        )
    except (ValueError, jsonschema_rs.ReferencingError):  # ValidationError is a ValueError
        return None


def canonical(call: ToolCall) -> tuple[str, bytes]:
    """A call as what it means: two that differ in the order of their arguments, or in spaces, are one."""
    arguments = _decode(call.function.arguments)
    return call.function.name, msgspec.json.encode(arguments, order="deterministic")


def _decode(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return text


def text_fault(text: str, with_tools: bool) -> str:
    """What is wrong with the form of an answer in words; empty when nothing is."""
    if not text.strip():
        return "an empty answer"
    if any(mark in text for mark in _LEFTOVERS):
        return "tool-call markup left in the text"
    if with_tools and '"name"' in text and ('"arguments"' in text or '"parameters"' in text):
        return "a tool call written as text"
    return ""
