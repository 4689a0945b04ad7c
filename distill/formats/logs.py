"""Logs of other gateways, a request and its answer a line: OpenPipe, LiteLLM, TensorZero.

* `openpipe`: the export of request logs of OpenPipe's hosted service (2024 to 2025): {input, output, tags}, a chat
  completion's request and its answer;
* `litellm`: LiteLLM's StandardLoggingPayload (1.50 to 1.8x), as its callbacks for files and buckets write it: messages,
  response, model_parameters, startTime, trace_id;
* `tensorzero`: rows of TensorZero's ChatInference and chat datapoints (2024 to 2026): input, output, tool_params,
  episode_id, each as JSON or as a JSON text.

A line without an answer is listed as bad.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from distill.formats.conversation import Conversation, Told
from distill.formats.lines import BadLine, Unreadable, guarded, moment, records, written_at
from distill.formats.messages import arguments_text
from distill.trace import Trace
from router.chat import (
    AnswerMessage,
    ChatRequest,
    FunctionCall,
    FunctionSpec,
    Message,
    Tool,
    ToolCall,
    Usage,
    parse_request,
)

OPENPIPE, LITELLM, TENSORZERO = "openpipe", "litellm", "tensorzero"
_WITHHELD = "redacted-by-litellm"  # what LiteLLM writes in place of texts that it was told not to log

L = TypeVar("L")


class _Choice(msgspec.Struct):
    message: AnswerMessage
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    id: str | None = None
    created: float | None = None
    model: str | None = None
    usage: Usage | None = None


class _OpenPipe(msgspec.Struct):
    input: dict[str, Any]
    output: _Completion


class _LiteLlm(msgspec.Struct, rename={"start": "startTime"}):
    messages: list[dict[str, Any]]
    response: _Completion
    model: str = ""
    model_parameters: dict[str, Any] | None = None
    start: float | None = None
    trace_id: str | None = None


class _Block(msgspec.Struct):
    type: str
    text: str | None = None
    value: Any = None
    id: str | None = None
    name: str | None = None
    raw_name: str | None = None
    arguments: Any = None
    raw_arguments: str | None = None
    result: str | None = None


class _Said(msgspec.Struct):
    role: str
    content: str | list[_Block]


class _Input(msgspec.Struct):
    messages: list[_Said]
    system: Any = None


class _ToolParams(msgspec.Struct):
    tools_available: list[FunctionSpec] = []


class _TensorZero(msgspec.Struct):
    input: Any
    output: Any
    tool_params: Any = None
    episode_id: str | None = None
    inference_id: str | None = None
    id: str | None = None
    timestamp: str | None = None
    variant_name: str | None = None


def read_openpipe(path: Path) -> Iterator[Trace | BadLine]:
    return _read(path, _OpenPipe, _openpipe)


def read_litellm(path: Path) -> Iterator[Trace | BadLine]:
    return _read(path, _LiteLlm, _litellm)


def read_tensorzero(path: Path) -> Iterator[Trace | BadLine]:
    return _read(path, _TensorZero, _tensorzero)


def _read(path: Path, kind: type[L], made: Callable[[L, float], Iterator[Trace]]) -> Iterator[Trace | BadLine]:
    written = written_at(path)
    for record in records(path, msgspec.json.Decoder(kind)):
        if isinstance(record, BadLine):
            yield record
        else:
            yield from guarded(path, record[0], made(record[1], written))


def _openpipe(line: _OpenPipe, written: float) -> Iterator[Trace]:
    request = parse_request(line.input)
    yield from _traces(OPENPIPE, "", request, line.output, moment(line.output.created, written))


def _litellm(line: _LiteLlm, written: float) -> Iterator[Trace]:
    request = parse_request({**(line.model_parameters or {}), "model": line.model, "messages": line.messages})
    if any(choice.message.content == _WITHHELD for choice in line.response.choices):
        raise Unreadable("its texts were not logged")
    yield from _traces(LITELLM, line.trace_id or "", request, line.response, moment(line.start, written))


def _traces(form: str, name: str, request: ChatRequest, answered: _Completion, at: float) -> Iterator[Trace]:
    """One trace; requests with the same beginning belong together where the log names no conversation."""
    if not answered.choices:
        raise Unreadable("there is no answer in it")
    choice = answered.choices[0]
    told = Told(at, answered.model or request.model, choice.finish_reason, answered.usage, answered.id or "")
    conversation = Conversation(form, name or _opening(form, request.messages), tools=request.tools or ())
    for message in request.messages:
        conversation.say(message)
    found = conversation.answer(choice.message, told)
    if not found:
        raise Unreadable("there is no answer in it")
    for trace in found:
        metadata = {**(request.metadata or {}), **(trace.request.metadata or {})} or None
        whole = msgspec.structs.replace(trace, request=msgspec.structs.replace(request, metadata=metadata))
        msgspec.json.encode(whole)  # what cannot be written is refused here, and not where the trace is kept
        yield whole


def _opening(form: str, messages: list[Message]) -> str:
    """A name for all conversations that begin with these words of the user's."""
    first = next((at for at, message in enumerate(messages) if message.role == "user"), len(messages))
    return f"{form}-{hashlib.sha256(msgspec.json.encode(messages[: first + 1])).hexdigest()[:16]}"


def _tensorzero(line: _TensorZero, written: float) -> Iterator[Trace]:
    told = _convert(line.input, _Input)
    system = told.system if isinstance(told.system, str) else told.system and arguments_text(told.system)
    messages = [Message("system", system)] if system else []
    for turn in told.messages:
        messages += _said(turn)
    blocks = _convert(line.output, list[_Block])
    tools = [Tool(spec) for spec in _convert(line.tool_params or {}, _ToolParams).tools_available]
    request = ChatRequest(line.variant_name or "", messages, tools or None)
    completion = _Completion([_Choice(_answer(blocks))], line.inference_id or line.id)
    yield from _traces(TENSORZERO, line.episode_id or "", request, completion, moment(line.timestamp, written))


def _convert(value: Any, kind: Any) -> Any:
    """A column that is JSON, or a JSON text."""
    return msgspec.json.decode(value, type=kind) if isinstance(value, str) else msgspec.convert(value, kind)


def _said(turn: _Said) -> list[Message]:
    """Results of tools first, right behind the calls; then what is said besides."""
    blocks = [_Block("text", text=turn.content)] if isinstance(turn.content, str) else turn.content
    if turn.role == "assistant":
        answer = _answer(blocks)
        return [Message("assistant", answer.content, answer.tool_calls, reasoning_content=answer.reasoning_content)]
    results = [block for block in blocks if block.type == "tool_result"]
    messages = [Message("tool", block.result or "", tool_call_id=block.id, name=block.name) for block in results]
    text = "\n".join(_text(block) for block in blocks if block.type in ("text", "raw_text"))
    return [*messages, Message("user", text)] if text or not results else messages


def _answer(blocks: list[_Block]) -> AnswerMessage:
    text = "".join(_text(block) for block in blocks if block.type == "text")
    thoughts = "".join(block.text or "" for block in blocks if block.type == "thought")
    calls = [_call(block) for block in blocks if block.type == "tool_call"]
    return AnswerMessage(text or None, calls or None, reasoning_content=thoughts or None)


def _text(block: _Block) -> str:
    """A text, or the values that a template was filled with."""
    if block.text is not None:
        return block.text
    values = block.value if block.value is not None else block.arguments
    return values if isinstance(values, str) else arguments_text(values)


def _call(block: _Block) -> ToolCall:
    """As the model wrote it, where that is told."""
    arguments = block.raw_arguments if block.raw_arguments is not None else arguments_text(block.arguments)
    return ToolCall(block.id or "", FunctionCall(block.name or block.raw_name or "", arguments))
