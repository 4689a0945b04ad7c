"""Traces to files: lines of bytes, each ended, in the formats that others read.

Owns what each format says of a trace. Knows nothing of files or of where traces come from: a conversation is whatever
iterable of traces the caller makes of one, and of each no more than the longest trace is held.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from distill.formats.conversation import said
from distill.trace import Trace
from router.chat import Message, Tool, ToolCall, request_body


def traces(found: Iterable[Trace]) -> Iterator[bytes]:
    """One JSON object for each trace, whole; `wire_id` is the id that the client saw, "" where there was none."""
    for trace in found:
        yield _line({**msgspec.to_builtins(trace), "wire_id": trace.wire_id})


def openai(conversations: Iterable[Iterable[Trace]]) -> Iterator[bytes]:
    """OpenAI's format for fine-tuning: messages and tools, one line for each conversation that was answered.

    Thoughts are left out, for which it has no name.
    """
    for trace in _longest(conversations):
        body = request_body(trace.request)
        line: dict[str, Any] = {"messages": [_for_openai(message) for message in _messages(trace)]}
        line |= {key: body[key] for key in ("tools", "parallel_tool_calls") if body.get(key) not in (None, [])}
        yield _line(line)


def trl(conversations: Iterable[Iterable[Trace]]) -> Iterator[bytes]:
    """Messages and tools as TRL reads them: arguments are objects, contents text, and tools one JSON text, which TRL
    decodes and which keeps tables with a column for each key of a schema from being made of them."""
    for trace in _longest(conversations):
        names: dict[str, str] = {}
        messages = [_for_trl(message, names) for message in _messages(trace)]
        tools = msgspec.json.encode(trace.request.tools).decode() if trace.request.tools else None
        yield _line({"messages": messages, "tools": tools})


def plan(conversations: Iterable[Iterable[Trace]]) -> Iterator[bytes]:
    """{query, reasoning, tool_calls: [{tool, args}], answer}: one line for each question that was answered in words.

    `args` are the arguments' values in the order of the tool's schema; the arguments themselves, as an object, where
    they are not its first ones.
    """
    for trace in _longest(conversations):
        yield from planned(_messages(trace), trace.request.tools or ())


def planned(messages: list[Message], tools: Iterable[Tool]) -> Iterator[bytes]:
    """The lines that `plan` has for one conversation."""
    orders = {tool.function.name: _names(tool.function.parameters) for tool in tools}
    for question in _questions(messages):
        yield _line(_for_plan(question, orders))


def _longest(conversations: Iterable[Iterable[Trace]]) -> Iterator[Trace]:
    for conversation in conversations:
        answered = (trace for trace in conversation if trace.state == "completed" and trace.answer is not None)
        longest = max(answered, key=lambda trace: len(trace.request.messages), default=None)
        if longest is not None:
            yield longest


def _messages(trace: Trace) -> list[Message]:
    return [*trace.request.messages, *([said(trace.answer)] if trace.answer is not None else [])]


def _for_openai(message: Message) -> dict[str, Any]:
    written: dict[str, Any] = msgspec.to_builtins(message)
    for key in ("reasoning_content", "reasoning", *(["name"] if message.role == "tool" else [])):
        written.pop(key, None)
    return written


def _for_trl(message: Message, names: dict[str, str]) -> dict[str, Any]:
    """`names` are those of the tools that were called, by the calls' ids."""
    written: dict[str, Any] = {"role": message.role, "content": message.text}
    if thoughts := message.reasoning_content or message.reasoning:
        written["reasoning_content"] = thoughts
    if message.tool_calls:
        names |= {call.id: call.function.name for call in message.tool_calls}
        written["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.function.name, "arguments": _arguments(call)},
            }
            for call in message.tool_calls
        ]
    if message.role == "tool":
        called = message.tool_call_id or ""
        written |= {"tool_call_id": called, "name": message.name or names.get(called, "")}
    return written


def _questions(messages: list[Message]) -> Iterator[list[Message]]:
    """What was said from each of the user's words to the answer in words. A user message right behind a tool's result
    is a reminder and no question."""
    question: list[Message] = []
    for at, message in enumerate(messages):
        if message.role == "user" and (at == 0 or messages[at - 1].role != "tool"):
            question = [message]
        elif question and message.role == "assistant":
            question.append(message)
            if not message.tool_calls and message.text.strip():
                yield question
                question = []


def _for_plan(question: list[Message], orders: dict[str, list[str]]) -> dict[str, Any]:
    asked, *turns = question
    thoughts = [turn.reasoning_content or turn.reasoning or "" for turn in turns]
    thoughts += [turn.text for turn in turns[:-1]]
    calls = [call for turn in turns for call in turn.tool_calls or ()]
    return {
        "query": asked.text,
        "reasoning": "\n\n".join(thought for thought in thoughts if thought),
        "tool_calls": [{"tool": call.function.name, "args": _args(call, orders)} for call in calls],
        "answer": turns[-1].text,
    }


def _args(call: ToolCall, orders: dict[str, list[str]]) -> Any:
    arguments = _arguments(call)
    order = orders.get(call.function.name, [])[: len(arguments)]
    return [arguments[name] for name in order] if set(order) == set(arguments) else arguments


def _names(parameters: dict[str, Any]) -> list[str]:
    properties = parameters.get("properties")
    return list(properties) if isinstance(properties, dict) else []


def _arguments(call: ToolCall) -> dict[str, Any]:
    """The arguments as an object; what is none becomes one that holds the text, as where messages are rendered."""
    try:
        arguments = msgspec.json.decode(call.function.arguments or "{}")
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        arguments = None
    return arguments if isinstance(arguments, dict) else {"arguments": call.function.arguments}


def _line(value: dict[str, Any]) -> bytes:
    return msgspec.json.encode(value) + b"\n"
