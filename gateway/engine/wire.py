"""A turn as OpenAI writes it: the whole answer, or server-sent events.

Owns the shape of answers and chunks. Knows nothing of sockets, nor of how a turn is read out of tokens.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

import msgspec

from gateway.engine.errors import EngineError, http_answer
from gateway.engine.reading import Piece, Said, Thought
from gateway.engine.turn import Candidate, Turn
from router.chat import (
    AnswerMessage,
    ChatResponse,
    Choice,
    ChoiceLogprobs,
    EngineNote,
    TokenLogprob,
    ToolCall,
)

_DONE = b"data: [DONE]\n\n"


async def answer(turn: Turn) -> ChatResponse:
    """The whole answer at once."""
    async with aclosing(turn.events()) as events:
        async for _ in events:
            pass
    return ChatResponse(
        turn.id,
        turn.created,
        turn.request.model,
        [_choice(turn, index) for index in range(len(turn.candidates))],
        usage=turn.usage(),
        prompt_token_ids=turn.prompt if turn.wants_ids else None,
        nightschool=_note(turn, turn.candidates[0]),
    )


async def frames(turn: Turn) -> AsyncGenerator[bytes]:
    """The answer as server-sent events, ended by `[DONE]`; one that breaks ends with an error event instead."""
    chunks = [_Chunks(turn, index) for index in range(len(turn.candidates))]
    for begun in chunks:
        yield begun.first()
    try:
        async with aclosing(turn.events()) as events:
            async for index, pieces in events:
                for chunk in chunks[index].grown(pieces):
                    yield chunk
    except EngineError as error:
        yield _frame(http_answer(error)[1])
        return
    if turn.request.stream_options is not None and turn.request.stream_options.include_usage:
        yield _frame({**_head(turn), "choices": [], "usage": turn.usage()})
    yield _DONE


class _Chunks:
    """One choice as chunks: what of it has been sent, and what comes next."""

    def __init__(self, turn: Turn, index: int) -> None:
        self._turn = turn
        self._index = index
        self._candidate = turn.candidates[index]
        self._tokens = 0
        self._calls = 0
        options = turn.request.stream_options
        self._usage: dict[str, Any] = {"usage": None} if options is not None and options.include_usage else {}

    def first(self) -> bytes:
        more: dict[str, Any] = {"prompt_token_ids": self._turn.prompt} if self._turn.wants_ids else {}
        return self._chunk({"role": "assistant", "content": ""}, **more)

    def grown(self, pieces: list[Piece]) -> Iterator[bytes]:
        """Chunks for what became certain, and the last one once the choice has ended."""
        for piece in pieces:
            match piece:
                case Said(text):
                    yield self._chunk({"content": text})
                case Thought(text):
                    yield self._chunk({"reasoning_content": text})
                case call:
                    named = {"name": call.name, "arguments": ""}
                    head = {"index": self._calls, "id": _call_id(), "type": "function", "function": named}
                    yield self._chunk({"tool_calls": [head]})
                    rest = {"index": self._calls, "function": {"arguments": call.arguments}}
                    yield self._chunk({"tool_calls": [rest]})
                    self._calls += 1
        if self._candidate.ended:
            note = _note(self._turn, self._candidate)
            yield self._chunk({}, finish=self._candidate.finish_reason, nightschool=note)

    def _chunk(self, delta: dict[str, Any], *, finish: str | None = None, **more: Any) -> bytes:
        choice: dict[str, Any] = {"index": self._index, "delta": delta, "finish_reason": finish}
        start, self._tokens = self._tokens, len(self._candidate.tokens)
        if start < self._tokens:
            if self._turn.request.logprobs:
                choice["logprobs"] = _logprobs(self._turn, self._candidate, start)
            if self._turn.wants_ids:
                choice["token_ids"] = [token.id for token in self._candidate.tokens[start:]]
        return _frame({**_head(self._turn), "choices": [choice], **self._usage, **more})


def _choice(turn: Turn, index: int) -> Choice:
    candidate = turn.candidates[index]
    parsed = candidate.parsed
    empty = None if parsed.calls or parsed.reasoning else ""  # a plain answer that says nothing is still text
    message = AnswerMessage(
        content=parsed.content or empty,
        tool_calls=[ToolCall(_call_id(), call) for call in parsed.calls] or None,
        reasoning_content=parsed.reasoning or None,
    )
    return Choice(
        message,
        candidate.finish_reason,
        index,
        logprobs=_logprobs(turn, candidate, 0) if turn.request.logprobs else None,
        token_ids=[token.id for token in candidate.tokens] if turn.wants_ids else None,
    )


def _logprobs(turn: Turn, candidate: Candidate, start: int) -> ChoiceLogprobs:
    """Of every generated token from `start` on, those of calls, thoughts and the turn's end included."""
    content: list[TokenLogprob] = []
    for token in candidate.tokens[start:]:
        text, octets = _spelled(turn, token.id)
        top = [_likely(turn, other, logprob) for other, logprob in token.top]
        content.append(TokenLogprob(text, token.logprob, octets, top))
    return ChoiceLogprobs(content)


def _likely(turn: Turn, token: int, logprob: float) -> dict[str, Any]:
    text, octets = _spelled(turn, token)
    return {"token": text, "logprob": logprob, "bytes": octets}


def _spelled(turn: Turn, token: int) -> tuple[str, list[int] | None]:
    """A token's text and its bytes; a part of a character has no bytes of its own to show."""
    text = turn.served.renderer.decode([token])
    return text, None if "\ufffd" in text else list(text.encode())


def _note(turn: Turn, candidate: Candidate) -> EngineNote:
    renderer = turn.served.renderer
    return EngineNote(
        raw=candidate.raw,
        model=turn.served.info.digest,
        adapter=candidate.job.key,
        template=renderer.template_digest,
        tokenizer=renderer.tokenizer_digest,
    )


def _head(turn: Turn) -> dict[str, Any]:
    return {
        "id": turn.id,
        "object": "chat.completion.chunk",
        "created": turn.created,
        "model": turn.request.model,
    }


def _frame(payload: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(payload) + b"\n\n"


def _call_id() -> str:
    return f"call_{uuid.uuid4().hex[:24]}"
