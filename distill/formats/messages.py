"""Messages and tools of chat completions, in the variants that files show.

Owns what files do otherwise than the API: arguments as objects, calls and results without ids, functions in place of
tools, tools as a JSON text. Knows nothing of whole lines or of traces.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

import msgspec

from distill.formats.lines import Unreadable
from router.chat import AnswerMessage, FunctionCall, FunctionSpec, Message, Role, Tool, ToolCall

FAILED = "Error: "  # before a tool's complaint, which a tool message can tell in no other way
PICTURE = "[image]"  # where one was: pictures themselves are left out


class WrittenFunction(msgspec.Struct):
    name: str
    arguments: Any = None


class WrittenCall(msgspec.Struct):
    function: WrittenFunction
    id: str | None = None


class WrittenMessage(msgspec.Struct):
    """A message of a file. `weight` 0 says that nothing is to be learnt from it."""

    role: Role
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[WrittenCall] | None = None
    function_call: WrittenFunction | None = None
    tool_call_id: str | None = None
    name: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    weight: float | None = None


def chat_messages(written: Sequence[WrittenMessage]) -> list[Message]:
    """One message for each. Calls without an id get one, and results without one belong to the first call that has
    none, of their tool if they name it. Raises what msgspec does for arguments that cannot be written."""
    numbers = count(1)
    open_calls: list[ToolCall] = []
    messages = []
    for message in written:
        if message.role == "assistant":
            calls = open_calls = _calls(message, numbers)
            thoughts = message.reasoning_content or message.reasoning
            messages.append(Message("assistant", message.content, calls or None, reasoning_content=thoughts))
        elif message.role in ("tool", "function"):
            call_id = message.tool_call_id or _answered(message.name, open_calls)
            open_calls = [call for call in open_calls if call.id != call_id]
            messages.append(Message("tool", message.content, tool_call_id=call_id, name=message.name))
        else:
            messages.append(Message(message.role, message.content, name=message.name))
    return messages


def answer_of(message: Message) -> AnswerMessage:
    """An assistant's message as the answer that it was."""
    return AnswerMessage(message.text or None, message.tool_calls, reasoning_content=message.reasoning_content)


def arguments_text(arguments: Any) -> str:
    """Arguments as the JSON text that a model writes."""
    if isinstance(arguments, str):
        return arguments
    return msgspec.json.encode({} if arguments is None else arguments).decode()


def chat_tools(written: Any) -> list[Tool]:
    """Tools from a list, or from a JSON text of one; each with or without its wrapping.

    Raises Unreadable, or what msgspec does, for anything else.
    """
    listed = msgspec.json.decode(written) if isinstance(written, str) and written else written
    if not listed:
        return []
    if not isinstance(listed, list) or not all(isinstance(tool, dict) for tool in listed):
        raise Unreadable("'tools' is no list of tools")
    return [
        msgspec.convert(tool, Tool) if "function" in tool else Tool(msgspec.convert(tool, FunctionSpec))
        for tool in listed
    ]


def _calls(message: WrittenMessage, numbers: count[int]) -> list[ToolCall]:
    written = list(message.tool_calls or ())
    if message.function_call is not None:
        written.append(WrittenCall(message.function_call))
    return [_call(call, numbers) for call in written]


def _call(call: WrittenCall, numbers: count[int]) -> ToolCall:
    arguments = arguments_text(call.function.arguments)
    return ToolCall(call.id or f"call_{next(numbers)}", FunctionCall(call.function.name, arguments))


def _answered(name: str | None, calls: list[ToolCall]) -> str:
    of_that_tool = [call.id for call in calls if call.function.name == name]
    return next(iter([*of_that_tool, *(call.id for call in calls)]), "")
