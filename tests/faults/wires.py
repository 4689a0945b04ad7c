"""What a client of each wire is sent, and what it sees of the answer: how much of the text, how it ended, which error.

Knows nothing of faults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

Json = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """`ends` are the terminal events of a stream, or 1 for a whole answer; `error` is the code or type of an error and
    `after` what came behind it."""

    status: int
    text: str = ""
    ends: int = 0
    error: str = ""
    after: int = 0


@dataclass(frozen=True)
class Wire:
    """`said` is the text in one event, or in a whole answer; `failed` the error in either, empty if it is none;
    `ends` whether an event is the last of an answer that is complete."""

    path: str
    ask: Callable[[str], Json]
    said: Callable[[Json], str]
    failed: Callable[[Json], str]
    ends: Callable[[Json], bool]

    def body(self, model: str, text: str, stream: bool) -> Json:
        return {"model": model, "stream": stream, **self.ask(text)}

    def read(self, status: int, answer: bytes, stream: bool) -> Seen:
        if status != 200:
            return Seen(status, error=self.failed(msgspec.json.decode(answer)))
        if not stream:
            return Seen(status, self.said(msgspec.json.decode(answer)), ends=1)
        events = list(_events(answer))
        failed = next((number for number, event in enumerate(events) if self.failed(event)), len(events))
        return Seen(
            status,
            text="".join(self.said(event) for event in events),
            ends=sum(self.ends(event) for event in events),
            error=self.failed(events[failed]) if failed < len(events) else "",
            after=len(events[failed + 1 :]),
        )


_DONE = {"type": "[DONE]"}


def _events(answer: bytes) -> Iterator[Json]:
    """The data of a stream's events. Fails where the stream ends within one."""
    assert answer.endswith(b"\n\n"), answer[-200:]
    for block in answer[:-2].split(b"\n\n"):
        data = [line[6:] for line in block.split(b"\n") if line.startswith(b"data: ")]
        if data:
            yield _DONE if data == [b"[DONE]"] else msgspec.json.decode(data[0])


def _is_done(event: Json) -> bool:
    return event is _DONE


def _chat(text: str) -> Json:
    return {"messages": [{"role": "user", "content": text}]}


def _chat_said(answer: Json) -> str:
    choices = answer.get("choices") or ()
    return "".join((choice.get("message") or choice.get("delta") or {}).get("content") or "" for choice in choices)


def _openai_failed(answer: Json) -> str:
    """An error in OpenAI's form, all of it."""
    if not answer.get("error"):
        return ""
    assert set(answer["error"]) == {"message", "type", "param", "code"}
    assert answer["error"]["message"]
    return str(answer["error"]["code"])


def _completions_said(answer: Json) -> str:
    return "".join(choice["text"] for choice in answer.get("choices") or ())


def _messages_said(answer: Json) -> str:
    if answer["type"] == "message":
        return "".join(block["text"] for block in answer["content"])
    return str(answer["delta"].get("text", "")) if answer["type"] == "content_block_delta" else ""


def _messages_failed(answer: Json) -> str:
    if answer["type"] != "error":
        return ""
    assert answer["error"]["message"]
    return str(answer["error"]["type"])


def _responses_said(answer: Json) -> str:
    if "output" in answer:
        return "".join(part["text"] for item in answer["output"] for part in item["content"])
    return str(answer["delta"]) if answer["type"] == "response.output_text.delta" else ""


def _responses_failed(answer: Json) -> str:
    """As a whole it is OpenAI's error; in a stream it is a response that failed."""
    if answer.get("type") == "response.failed":
        error = answer["response"]["error"]
        assert answer["response"]["status"] == "failed"
        assert error["message"]
        return str(error["code"])
    return _openai_failed(answer) if "type" not in answer else ""


WIRES = {
    "chat": Wire("/v1/chat/completions", _chat, _chat_said, _openai_failed, _is_done),
    "Messages": Wire(
        "/v1/messages",
        lambda text: {"max_tokens": 99, **_chat(text)},
        _messages_said,
        _messages_failed,
        lambda event: event["type"] == "message_stop",
    ),
    "Responses": Wire(
        "/v1/responses",
        lambda text: {"input": text},
        _responses_said,
        _responses_failed,
        lambda event: event["type"] in ("response.completed", "response.incomplete"),
    ),
    "completions": Wire("/v1/completions", lambda text: {"prompt": text}, _completions_said, _openai_failed, _is_done),
}
