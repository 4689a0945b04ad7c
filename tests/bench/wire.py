"""One chat request over HTTP, streamed or not, and all that can be seen of its answer from outside.

Speaks OpenAI's wire as nightschool's engine, mlx_lm.server and llama-server speak it. Knows nothing of loads.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec

LONGEST = 600.0  # seconds until a request counts as hung


@dataclass
class Answer:
    """`times` are when pieces of the answer (text or call) came, in seconds of time.perf_counter; `error` is the
    reason when the status is not 200 or the stream broke."""

    status: int = 0
    sent: float = 0.0
    done: float = 0.0
    times: list[float] = field(default_factory=list)
    content: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)
    finish: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    token_ids: list[int] = field(default_factory=list)
    prompt_ids: list[int] = field(default_factory=list)
    error: str = ""

    @property
    def first(self) -> float:
        """Seconds to the first piece of the answer; to its end when no piece came."""
        return (self.times[0] if self.times else self.done) - self.sent

    @property
    def seconds(self) -> float:
        return self.done - self.sent

    @property
    def prompt_tokens(self) -> int:
        return int(self.usage.get("prompt_tokens", 0))

    @property
    def cached_tokens(self) -> int:
        return int((self.usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)

    @property
    def output_tokens(self) -> int:
        return int(self.usage.get("completion_tokens", 0))

    @property
    def gaps(self) -> list[tuple[float, float]]:
        """(when it ended, seconds) of every wait between two pieces."""
        return [(later, later - earlier) for earlier, later in zip(self.times, self.times[1:], strict=False)]

    @property
    def message(self) -> dict[str, Any]:
        """The answer as the next request repeats it."""
        message: dict[str, Any] = {"role": "assistant", "content": self.content or None}
        if self.calls:
            message["tool_calls"] = self.calls
        elif not self.content:
            message["content"] = ""
        return message


class BrokenAnswerError(RuntimeError):
    """A server answered with an error or not at all, where the benchmark cannot go on without the answer."""


@asynccontextmanager
async def session(longest: float = LONGEST) -> AsyncIterator[aiohttp.ClientSession]:
    """Every request on a connection of its own: not every server says that it closes one."""
    timeout, connector = aiohttp.ClientTimeout(total=longest), aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as http:
        yield http


async def ask(http: aiohttp.ClientSession, url: str, body: dict[str, Any], **headers: str) -> Answer:
    """Send one request and read its whole answer. Raises what aiohttp raises where there is no HTTP answer."""
    if body.get("stream"):
        body = {"stream_options": {"include_usage": True}, **body}
    answer = Answer(sent=time.perf_counter())
    async with http.post(f"{url}/v1/chat/completions", json=body, headers=headers) as reply:
        answer.status = reply.status
        if reply.status != 200:
            answer.error = (await reply.text())[:500]
        elif body.get("stream"):
            await _read_stream(reply, answer)
        else:
            take(answer, msgspec.json.decode(await reply.read()), "message")
    answer.done = time.perf_counter()
    return answer


async def must(http: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> Answer:
    """As `ask`. Raises BrokenAnswerError when the answer is an error."""
    answer = await ask(http, url, body)
    if answer.error:
        raise BrokenAnswerError(f"{url} answered {answer.status}: {answer.error}")
    return answer


async def _read_stream(reply: aiohttp.ClientResponse, answer: Answer) -> None:
    whole = False
    async for line in reply.content:
        data = line.strip().removeprefix(b"data: ")
        if data == line.strip():
            continue  # a comment, or the empty line between two events
        if data == b"[DONE]":
            whole = True
            continue
        take(answer, msgspec.json.decode(data), "delta")
    if not whole and not answer.error:
        answer.error = "the stream ended without [DONE]"


def take(answer: Answer, payload: dict[str, Any], part: str) -> None:
    """Add a whole answer (`part` is message) or a chunk of a stream (delta)."""
    if payload.get("error"):
        answer.error = str(payload["error"])[:500]
    answer.usage = payload.get("usage") or answer.usage
    answer.prompt_ids = payload.get("prompt_token_ids") or answer.prompt_ids
    for choice in payload.get("choices") or ():
        said = choice.get(part) or {}
        text = said.get("content") or ""
        if text or said.get("tool_calls") or said.get("reasoning_content") or said.get("reasoning"):
            answer.times.append(time.perf_counter())
        answer.content += text
        for call in said.get("tool_calls") or ():
            _take_call(answer.calls, call)
        answer.token_ids += choice.get("token_ids") or ()
        answer.finish = choice.get("finish_reason") or answer.finish


def _take_call(calls: list[dict[str, Any]], piece: dict[str, Any]) -> None:
    index = piece.get("index", len(calls))
    while len(calls) <= index:
        calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
    call, function = calls[index], piece.get("function") or {}
    call["id"] = piece.get("id") or call["id"]
    call["function"]["name"] += function.get("name") or ""
    call["function"]["arguments"] += function.get("arguments") or ""
