"""Examples for training: OpenAI's fine-tuning JSONL, TRL's messages and tools, and {query, reasoning, tool_calls,
answer}.

`openai` and `trl` are read alike, and each may do what the other does:

* OpenAI's supervised chat format of 2023 to 2026: `messages`, `tools` or `functions`; `weight` 0 is not learnt;
* TRL's conversational formats, as of TRL 0.12 to 1.x: `messages`, or `prompt` and `completion` as lists of messages,
  with `tools` as a list or a JSON text, and arguments as objects.

`plan` has calls as {tool, args}, where args are the arguments' values, or the arguments themselves. It does not hold
what the tools said, so an answer behind calls is marked incomplete.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from distill.formats.conversation import Conversation, Told
from distill.formats.lines import BadLine, Unreadable, guarded, records, written_at
from distill.formats.messages import WrittenMessage, answer_of, arguments_text, chat_messages, chat_tools
from distill.tools import SPECS
from distill.trace import Trace
from router.chat import AnswerMessage, FunctionCall, Message, Tool, ToolCall

OPENAI, TRL, PLAN = "openai", "trl", "plan"
_ORDERS = {tool.function.name: list(tool.function.parameters["properties"]) for tool in SPECS}


class _Example(msgspec.Struct):
    messages: list[WrittenMessage] | None = None
    prompt: list[WrittenMessage] | None = None
    completion: list[WrittenMessage] | None = None
    tools: Any = None
    functions: Any = None


class _PlannedCall(msgspec.Struct):
    tool: str
    args: list[Any] | dict[str, Any] | None = None


class _Planned(msgspec.Struct):
    query: str
    answer: str | None = None
    reasoning: str | None = None
    tool_calls: list[_PlannedCall] | None = None


_EXAMPLES = msgspec.json.Decoder(_Example)
_PLANNED = msgspec.json.Decoder(_Planned)


def read_openai(path: Path) -> Iterator[Trace | BadLine]:
    return _read(path, OPENAI)


def read_trl(path: Path) -> Iterator[Trace | BadLine]:
    return _read(path, TRL)


def read_plan(path: Path) -> Iterator[Trace | BadLine]:
    told = Told(written_at(path))
    for record in records(path, _PLANNED):
        if isinstance(record, BadLine):
            yield record
        else:
            yield from guarded(path, record[0], _planned(record[1], told))


def conversation_of(form: str, messages: Sequence[Message], tools: list[Tool]) -> Conversation:
    """One that has no name of its own is named after what is said in it."""
    name = hashlib.sha256(msgspec.json.encode([form, messages])).hexdigest()[:16]
    called = [call.function.name for message in messages for call in message.tool_calls or ()]
    return Conversation(form, f"{form}-{name}", tools=tools, called=called)


def _read(path: Path, form: str) -> Iterator[Trace | BadLine]:
    told = Told(written_at(path))
    for record in records(path, _EXAMPLES):
        if isinstance(record, BadLine):
            yield record
        else:
            yield from guarded(path, record[0], _learnt(record[1], form, told))


def _learnt(example: _Example, form: str, told: Told) -> Iterator[Trace]:
    """A trace for each assistant message that is to be learnt."""
    prompt, completion = example.prompt or [], example.completion or example.messages or []
    messages = chat_messages([*prompt, *completion])
    conversation = conversation_of(form, messages, chat_tools(example.tools or example.functions))
    to_learn = [False for _ in prompt] + [message.weight != 0 for message in completion]
    found = False
    for message, learnt in zip(messages, to_learn, strict=True):
        if message.role == "assistant" and learnt:
            for trace in conversation.answer(answer_of(message), told):
                found = True
                yield trace
        else:
            conversation.say(message)
    if not found:
        raise Unreadable("no assistant message in it answers anything")


def _planned(planned: _Planned, told: Told) -> Iterator[Trace]:
    calls = [
        ToolCall(f"call_{number}", FunctionCall(call.tool, arguments_text(_arguments(call))))
        for number, call in enumerate(planned.tool_calls or (), start=1)
    ]
    if not calls and not planned.answer:
        raise Unreadable("neither a call nor an answer")
    known = all(call.function.name in _ORDERS for call in calls)
    asked = Message("user", planned.query)
    turns = [AnswerMessage(None, calls, reasoning_content=planned.reasoning)] if calls else []
    if planned.answer:
        turns.append(AnswerMessage(planned.answer, reasoning_content=None if calls else planned.reasoning))
    messages = [asked, *(Message("assistant", turn.content, turn.tool_calls) for turn in turns)]
    conversation = conversation_of(PLAN, messages, SPECS if known else [])
    conversation.say(asked)
    for turn in turns:
        yield from conversation.answer(turn, told)
        conversation.incomplete = True  # what the tools said is not told


def _arguments(call: _PlannedCall) -> dict[str, Any]:
    if isinstance(call.args, dict):
        return call.args
    values = call.args or []
    names = _ORDERS.get(call.tool, [])
    return dict(zip(names, values, strict=False)) if len(values) <= len(names) else {"args": values}
