"""A chat request through the engine: rendered, generated, read as text and calls, written as OpenAI writes it.

Owns the meaning of every request field here and the shape of answers and stream chunks. Knows nothing of sockets, nor
of how tokens are made.
"""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec

from gateway.engine.errors import ContextExceeded, EngineError, NotSupported, http_answer
from gateway.engine.generator import Job, Started, Token
from gateway.engine.sampling import sampler
from gateway.engine.served import ServedModel
from gateway.engine.text import TextStream
from gateway.engine.toolcalls import Parsed, parse, releasable
from router.chat import (
    AnswerMessage,
    ChatRequest,
    ChatResponse,
    Choice,
    ChoiceLogprobs,
    EngineNote,
    TokenLogprob,
    ToolCall,
    Usage,
)

_TEXT_PARTS = frozenset({"text", "input_text", "output_text", "refusal"})


class Turn:
    """One request on its way: what was asked, and what has been generated so far."""

    def __init__(self, served: ServedModel, request: ChatRequest, job: Job) -> None:
        self._served = served
        self._request = request
        self._job = job
        self.id = f"chatcmpl-{uuid.uuid4().hex}"
        self.created = int(time.time())
        self.finish: str | None = None
        self.ids: list[int] = []
        self._logprobs: list[float] = []
        self._cached = 0
        stops = [request.stop] if isinstance(request.stop, str) else request.stop or []
        self.text = TextStream(served.renderer.decode, served.renderer.eos_ids, stops)
        self.names = _offered(request)
        self.wants_ids = bool(request.extra.get("return_token_ids"))

    @property
    def request(self) -> ChatRequest:
        return self._request

    @property
    def prompt(self) -> list[int]:
        return self._job.prompt

    async def events(self) -> AsyncGenerator[Token]:
        """Generate; each token is taken in before it is handed on. Ends early at a stop string."""
        async with aclosing(self._served.generator.run(self._job)) as events:
            async for event in events:
                if isinstance(event, Started):
                    self._cached = event.cached
                    continue
                self._take(event)
                yield event
                if self.finish:
                    return

    def _take(self, token: Token) -> None:
        self.ids.append(token.id)
        self._logprobs.append(token.logprob)
        self.text.feed(token.id)
        self.finish = "stop" if self.text.stopped else token.finish

    def parsed(self) -> Parsed:
        """The finished text as content and calls. A request without tools gets its text as it is."""
        text = self.text.finish()
        return parse(text, self.names) if self.names else Parsed(text, [])

    def finish_reason(self, parsed: Parsed) -> str | None:
        """`length` wins over `tool_calls`: the client must know that something was cut off."""
        return "tool_calls" if parsed.calls and self.finish != "length" else self.finish

    def logprobs(self, start: int = 0) -> ChoiceLogprobs | None:
        """Of every generated token from `start` on, those of calls and of the turn's end included; if asked for."""
        if not self._request.logprobs:
            return None
        return ChoiceLogprobs([self._logprob(i) for i in range(start, len(self.ids))])

    def usage(self) -> Usage:
        asked, said = len(self.prompt), len(self.ids)
        return Usage(asked, said, asked + said, prompt_tokens_details={"cached_tokens": self._cached})

    def note(self) -> EngineNote:
        return EngineNote(
            raw=self.text.text,
            model=self._served.info.digest,
            adapter=self._job.key,
            template=self._served.renderer.template_digest,
            tokenizer=self._served.renderer.tokenizer_digest,
        )

    def _logprob(self, index: int) -> TokenLogprob:
        text = self._served.renderer.decode([self.ids[index]])
        whole = None if "\ufffd" in text else list(text.encode())
        return TokenLogprob(text, self._logprobs[index], whole)


async def prepare(served: ServedModel, request: ChatRequest) -> Turn:
    """Check and render a request. Raises what the error table maps; nothing is generated yet."""
    adapter = served.adapter(request.model)
    _check_supported(request)
    tools = request.tools if request.tool_choice != "none" else None
    prompt = await asyncio.to_thread(served.renderer.prompt, request.messages, tools)
    room = served.info.context - len(prompt)
    if room < 1:
        raise ContextExceeded(
            f"This model's maximum context length is {served.info.context} tokens. However, your messages resulted in "
            f"{len(prompt)} tokens. Please reduce the length of the messages.",
            param="messages",
        )
    temperature = served.defaults.temperature if request.temperature is None else request.temperature
    top_p = served.defaults.top_p if request.top_p is None else request.top_p
    seed = secrets.randbits(63) if request.seed is None else request.seed % 2**63
    limit = min(request.completion_limit or room, room)
    return Turn(served, request, Job(prompt, limit, sampler(temperature, top_p, seed), adapter))


async def answer(turn: Turn) -> ChatResponse:
    """The whole answer at once."""
    async with aclosing(turn.events()) as events:
        async for _ in events:
            pass
    parsed = turn.parsed()
    calls = [ToolCall(_call_id(), call) for call in parsed.calls] or None
    choice = Choice(
        message=AnswerMessage(content=parsed.content, tool_calls=calls),
        finish_reason=turn.finish_reason(parsed),
        logprobs=turn.logprobs(),
        token_ids=turn.ids if turn.wants_ids else None,
    )
    return ChatResponse(
        turn.id,
        turn.created,
        turn.request.model,
        [choice],
        usage=turn.usage(),
        prompt_token_ids=turn.prompt if turn.wants_ids else None,
        nightschool=turn.note(),
    )


async def frames(turn: Turn) -> AsyncGenerator[bytes]:
    """The answer as server-sent events, ended by `[DONE]`; one that breaks ends with an error event instead."""
    chunks = _Chunks(turn)
    yield chunks.first()
    try:
        async with aclosing(turn.events()) as events:
            async for _ in events:
                if (chunk := chunks.grown()) is not None:
                    yield chunk
    except EngineError as error:
        yield _frame(http_answer(error)[1])
        return
    for chunk in chunks.last():
        yield chunk
    yield b"data: [DONE]\n\n"


class _Chunks:
    """What of a turn has been sent, and the next chunk of it."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        options = turn.request.stream_options
        self._wants_usage = options is not None and options.include_usage
        self._characters = 0
        self._tokens = 0

    def first(self) -> bytes:
        more: dict[str, Any] = {"prompt_token_ids": self._turn.prompt} if self._turn.wants_ids else {}
        return self._chunk({"role": "assistant", "content": ""}, tokens=False, **more)

    def grown(self) -> bytes | None:
        """The text that is new and certain to stay content, if any."""
        text = self._turn.text.text
        end = self._turn.text.settled()
        if self._turn.names:
            end = releasable(text[:end], self._characters)
        if end <= self._characters:
            return None
        piece, self._characters = text[self._characters : end], end
        return self._chunk({"content": piece})

    def last(self) -> list[bytes]:
        """What was held back: the rest of the text, the calls, the finish reason, usage if asked for."""
        parsed = self._turn.parsed()
        rest = (parsed.content or "")[self._characters :]
        chunks = [self._chunk({"content": rest})] if rest else []
        for index, call in enumerate(parsed.calls):
            named = {"name": call.name, "arguments": ""}
            head = {"index": index, "id": _call_id(), "type": "function", "function": named}
            chunks.append(self._chunk({"tool_calls": [head]}))
            chunks.append(self._chunk({"tool_calls": [{"index": index, "function": {"arguments": call.arguments}}]}))
        chunks.append(self._chunk({}, finish=self._turn.finish_reason(parsed), nightschool=self._turn.note()))
        if self._wants_usage:
            chunks.append(_frame({**self._head(), "choices": [], "usage": self._turn.usage()}))
        return chunks

    def _head(self) -> dict[str, Any]:
        turn = self._turn
        return {
            "id": turn.id,
            "object": "chat.completion.chunk",
            "created": turn.created,
            "model": turn.request.model,
        }

    def _chunk(self, delta: dict[str, Any], *, finish: str | None = None, tokens: bool = True, **more: Any) -> bytes:
        choice: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": finish}
        if tokens and self._tokens < len(self._turn.ids):
            if self._turn.request.logprobs:
                choice["logprobs"] = self._turn.logprobs(self._tokens)
            if self._turn.wants_ids:
                choice["token_ids"] = self._turn.ids[self._tokens :]
            self._tokens = len(self._turn.ids)
        usage = {"usage": None} if self._wants_usage else {}
        return _frame({**self._head(), "choices": [choice], **usage, **more})


def _frame(payload: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(payload) + b"\n\n"


def _call_id() -> str:
    return f"call_{uuid.uuid4().hex[:24]}"


def _offered(request: ChatRequest) -> frozenset[str]:
    """The names of the tools that the model may call."""
    if not request.tools or request.tool_choice == "none":
        return frozenset()
    return frozenset(tool.function.name for tool in request.tools)


def _check_supported(request: ChatRequest) -> None:
    """What this engine cannot honour it refuses, so that nobody is served less than was asked for."""
    refused = {
        "n": (request.n or 1) > 1,
        "top_logprobs": bool(request.top_logprobs),
        "tool_choice": request.tool_choice not in (None, "auto", "none"),
        "response_format": (request.response_format or {}).get("type", "text") != "text",
        "presence_penalty": bool(request.extra.get("presence_penalty")),
        "frequency_penalty": bool(request.extra.get("frequency_penalty")),
        "logit_bias": bool(request.extra.get("logit_bias")),
    }
    for name, value in refused.items():
        if value:
            raise NotSupported(f"This value of '{name}' is not supported by this engine.", param=name)
    for index, message in enumerate(request.messages):
        parts = message.content if isinstance(message.content, list) else []
        if any(part.get("type", "text") not in _TEXT_PARTS for part in parts):
            raise NotSupported("This model reads text only.", param=f"messages[{index}].content")
