"""Server-sent events of chat completions: taken apart, put together, and a finished answer told as a stream.

Owns the wire form of a stream alone; knows nothing of backends, decisions or sockets.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from gateway.errors import BackendBroken
from router.chat import (
    AnswerMessage,
    ChatResponse,
    Choice,
    ChoiceLogprobs,
    EngineNote,
    FunctionCall,
    TokenLogprob,
    ToolCall,
    Usage,
)

DONE = b"data: [DONE]\n\n"
_EVENT_LIMIT = 16 * 1024 * 1024  # bytes of one event; more is no chat completion
MOST_KEPT = 32 * 1024 * 1024  # of one answer, in bytes as they are counted here: some 400 000 tokens
_PIECE, _LOGPROB = 64, 256  # bytes that a piece takes beside its text, and a token's log-probability


class FunctionDelta(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class CallDelta(msgspec.Struct):
    index: int = 0
    id: str | None = None
    function: FunctionDelta | None = None


class Delta(msgspec.Struct):
    """Thoughts come under either of two names, as in a Message."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[CallDelta] | None = None


class ChunkChoice(msgspec.Struct):
    index: int = 0
    delta: Delta | None = None
    finish_reason: str | None = None
    logprobs: ChoiceLogprobs | None = None
    token_ids: list[int] | None = None


class Chunk(msgspec.Struct):
    """What is read of an event; the event itself is handed on as the bytes it came in."""

    id: str = ""
    created: int = 0
    model: str = ""
    prompt_token_ids: list[int] | None = None
    nightschool: EngineNote | None = None
    choices: list[ChunkChoice] = []
    usage: Usage | None = None
    error: Any = None

    @property
    def only_usage(self) -> bool:
        return not self.choices and self.usage is not None


class Event(msgspec.Struct):
    """One event: its bytes with the blank line that ends it, and its chunk; `chunk` is None for [DONE] alone."""

    raw: bytes
    chunk: Chunk | None

    def plain(self) -> Event:
        """Without what only we asked for: log-probabilities, token ids and the engine's own note."""
        if self.chunk is None or not _EXTRA.search(self.raw):
            return self
        said = without_ids(msgspec.json.decode(self.raw[5:]))
        said.pop("nightschool", None)
        for choice in said.get("choices", ()):
            choice.pop("logprobs", None)
        return Event(encode_event(said), self.chunk)

    def without_ids(self) -> Event:
        """Without the token ids that only we asked for."""
        if self.chunk is None or b"token_ids" not in self.raw:
            return self
        return Event(encode_event(without_ids(msgspec.json.decode(self.raw[5:]))), self.chunk)


def without_ids(said: dict[str, Any]) -> dict[str, Any]:
    """A decoded answer or chunk, from which its token ids are taken."""
    said.pop("prompt_token_ids", None)
    for choice in said.get("choices", ()):
        choice.pop("token_ids", None)
    return said


_EXTRA = re.compile(rb'"(?:logprobs|token_ids|prompt_token_ids|nightschool)"')
_chunk_decoder = msgspec.json.Decoder(Chunk)


class Splitter:
    """Bytes as they arrive, cut into events. Comments and fields other than `data` are dropped."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Event]:
        """The events that are complete. Raises BackendBroken for one that is no chunk, is an error or never ends."""
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        *parts, self._rest = (self._rest + data).split(b"\n\n")
        if len(self._rest) > _EVENT_LIMIT:
            raise BackendBroken("The model sent an event without end.")
        return [event for part in parts if (event := _event(part)) is not None]


def _event(part: bytes) -> Event | None:
    if not part.startswith(b"data:") or b"\n" in part:
        lines = [line[5:].lstrip() for line in part.split(b"\n") if line.startswith(b"data:")]
        if not lines:
            return None
        part = b"data: " + b"\n".join(lines)
    payload = part[5:].strip()
    if payload == b"[DONE]":
        return Event(DONE, None)
    try:
        chunk = _chunk_decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BackendBroken("The model sent an event that is not a chat-completion chunk.") from error
    if chunk.error is not None:
        said: Any = chunk.error.get("message") if isinstance(chunk.error, dict) else chunk.error
        raise BackendBroken(f"The model's stream broke off: {said}")
    return Event(part + b"\n\n", chunk)


class _OpenCall:
    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []


class Collector:
    """Puts the chunks of a stream together again: the first choice of it. Of an answer without end it holds the
    beginning, and is `full` then."""

    def __init__(self) -> None:
        self.full = False
        self._size = 0
        self.finish_reason: str | None = None
        self.tokens = 0  # of text; where the backend gives no log-probabilities, its pieces
        self._id = ""
        self._model = ""
        self._created = 0
        self.usage: Usage | None = None
        self._text: list[str] = []
        self._thoughts: list[str] = []
        self._logprobs: list[TokenLogprob] = []
        self._note: EngineNote | None = None
        self._prompt_ids: list[int] | None = None
        self._ids: list[int] = []
        self._refusal: list[str] = []
        self._calls: dict[int, _OpenCall] = {}

    def take(self, batch: Sequence[Event]) -> None:
        for event in batch:
            if event.chunk is not None:
                self._add(event.chunk)

    @property
    def has_calls(self) -> bool:
        return bool(self._calls)

    @property
    def choice(self) -> Choice:
        """What there is so far."""
        logprobs = ChoiceLogprobs(self._logprobs) if self._logprobs else None
        ids = self._ids if self._prompt_ids is not None else None
        return Choice(message=self.message, finish_reason=self.finish_reason, logprobs=logprobs, token_ids=ids)

    @property
    def response(self) -> ChatResponse:
        """What there is so far, as an answer."""
        created = self._created or int(time.time())
        return ChatResponse(
            self._id,
            created,
            self._model,
            [self.choice],
            usage=self.usage,
            prompt_token_ids=self._prompt_ids,
            nightschool=self._note,
        )

    def _add(self, chunk: Chunk) -> None:
        self._id = chunk.id or self._id
        self._model = chunk.model or self._model
        self._created = chunk.created or self._created
        self.usage = chunk.usage or self.usage
        self._note = chunk.nightschool or self._note
        self._prompt_ids = chunk.prompt_token_ids or self._prompt_ids
        for choice in chunk.choices:
            if choice.index != 0:
                continue  # the trace keeps the first choice
            self.finish_reason = choice.finish_reason or self.finish_reason
            logprobs = (choice.logprobs.content if choice.logprobs else None) or []
            self._size += _size_of(choice.delta) + _LOGPROB * len(logprobs)
            self.full = self._size > MOST_KEPT
            if self.full:
                continue
            self._logprobs += logprobs
            self._ids += choice.token_ids or ()
            if choice.delta is not None:
                self._add_delta(choice.delta, len(logprobs) or 1)

    def _add_delta(self, delta: Delta, tokens: int) -> None:
        if delta.content:
            self._text.append(delta.content)
            self.tokens += tokens
        if thought := delta.reasoning_content or delta.reasoning:
            self._thoughts.append(thought)
        if delta.refusal:
            self._refusal.append(delta.refusal)
        for part in delta.tool_calls or ():
            call = self._calls.setdefault(part.index, _OpenCall())
            call.id = part.id or call.id
            if part.function is not None:
                call.name += part.function.name or ""
                call.arguments.append(part.function.arguments or "")

    @property
    def message(self) -> AnswerMessage:
        calls = [
            ToolCall(id=call.id, function=FunctionCall(name=call.name, arguments="".join(call.arguments)))
            for _, call in sorted(self._calls.items())
        ]
        return AnswerMessage(
            content="".join(self._text) or None,
            tool_calls=calls or None,
            reasoning_content="".join(self._thoughts) or None,
            refusal="".join(self._refusal) or None,
        )


def _size_of(delta: Delta | None) -> int:
    if delta is None:
        return 0
    texts = [delta.content, delta.reasoning_content or delta.reasoning, delta.refusal]
    for part in delta.tool_calls or ():
        texts += [part.id or "-"]
        texts += [part.function.name, part.function.arguments] if part.function is not None else []
    return sum(len(text) + _PIECE for text in texts if text)


def events_of(response: ChatResponse) -> list[Event]:
    """A finished answer as the events of a stream, usage included."""
    return Splitter().feed(b"".join(as_events(response, include_usage=True)))


def as_events(response: ChatResponse, include_usage: bool) -> Iterator[bytes]:
    """A finished answer as OpenAI streams it: role, thoughts, text, refusal, for each call head and arguments, finish,
    usage, [DONE]."""
    choice = response.choices[0]
    head = {"id": response.id, "object": "chat.completion.chunk", "created": response.created, "model": response.model}

    def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return encode_event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    yield event({"role": "assistant", "content": None if choice.message.tool_calls else ""})
    if choice.message.thoughts:
        yield event({"reasoning_content": choice.message.thoughts})
    if choice.message.content:
        yield event({"content": choice.message.content})
    if choice.message.refusal:
        yield event({"refusal": choice.message.refusal})
    for index, call in enumerate(choice.message.tool_calls or ()):
        opening = {"name": call.function.name, "arguments": ""}
        yield event({"tool_calls": [{"index": index, "id": call.id, "type": "function", "function": opening}]})
        yield event({"tool_calls": [{"index": index, "function": {"arguments": call.function.arguments}}]})
    yield event({}, choice.finish_reason)
    if include_usage:
        yield encode_event({**head, "choices": [], "usage": response.usage})
    yield DONE


def encode_event(payload: Any) -> bytes:
    return b"data: " + msgspec.json.encode(payload) + b"\n\n"


def with_extra(event: Event, extra: Mapping[str, Any]) -> bytes:
    """The event with more fields at its top level."""
    return encode_event({**msgspec.json.decode(event.raw[5:]), **extra})
