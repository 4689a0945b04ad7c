"""A trace in parts that are stored once each: its messages, its tools, its answer, and the rest.

Owns how a trace is cut and put together again. Messages, tools and answers are named by a digest of their JSON; a
conversation is a chain of links, each of which names the one before it and a message, so that a conversation that grows
adds what is new and nothing else. Knows nothing of SQL.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence
from typing import Any

import msgspec

from distill.trace import Served, Trace
from router.chat import AnswerMessage, ChatRequest, Message, Tool

ROOT = b""  # what the first message of a conversation follows
_DIGEST_BYTES = 16
_SAID = 120  # characters of the user's last words, for lists
_PARENTS = 4  # of a conversation's places where a turn may have ended, how many are looked at

_encode = msgspec.json.Encoder().encode
_message = msgspec.json.Decoder(Message).decode
_tools = msgspec.json.Decoder(list[Tool]).decode
_rest = msgspec.json.Decoder(Trace).decode


class Link(msgspec.Struct, frozen=True):
    """A message in its place: behind `parent`, which is the name of another link."""

    name: bytes
    parent: bytes
    blob: bytes


class Parts(msgspec.Struct, frozen=True):
    """`blobs` are texts by their digests. `head` names the link of the request's last message, `tools` and `answer` are
    blobs (None: there are none), `rest` is the trace without all these, as JSON. `before` names the links with which
    the turn before may have ended, the latest first."""

    blobs: dict[bytes, bytes]
    links: list[Link]
    head: bytes
    tools: bytes | None
    answer: bytes | None
    rest: bytes
    before: list[bytes]
    said: str


def cut(trace: Trace) -> Parts:
    """The parts of a trace. Token ids as served are not among them: they hang on the turn before."""
    blobs: dict[bytes, bytes] = {}
    request = trace.request
    links, head = [], ROOT
    for message in request.messages:
        link = _link(head, _blob(blobs, b"message", message))
        links.append(link)
        head = link.name
    tools = _blob(blobs, b"tools", request.tools) if request.tools is not None else None
    said = _as_message(trace.answer)
    rest = msgspec.structs.replace(
        trace,
        request=msgspec.structs.replace(request, messages=[], tools=None),
        answer=None if said is not None else trace.answer,
        served=None,
    )
    return Parts(
        blobs=blobs,
        links=links,
        head=head,
        tools=tools,
        answer=_blob(blobs, b"message", said) if said is not None else None,
        rest=_encode(rest),
        before=_turns_before(request, links),
        said=_last_words(request),
    )


def joined(
    rest: bytes, messages: list[Message], tools: bytes | None, answer: bytes | None, served: Served | None, parent: str
) -> Trace:
    """The trace again. Raises msgspec.DecodeError for parts that are damaged."""
    trace = _rest(rest)
    request = msgspec.structs.replace(
        trace.request, messages=messages, tools=_tools(tools) if tools is not None else None
    )
    said = trace.answer if answer is None else _as_answer(_message(answer))
    return msgspec.structs.replace(trace, request=request, answer=said, served=served, parent=parent)


def teachable(rest: bytes) -> bytes:
    """What is left of a trace when all parts are cut off, with the right to learn from it."""
    return _encode(msgspec.structs.replace(_rest(rest), teach=True))


def movable(rest: bytes, allowed: bool) -> bytes:
    """The same with or without the right to show it to a model on another machine."""
    return _encode(msgspec.structs.replace(_rest(rest), may_leave_machine=allowed))


def message_of(blob: bytes) -> Message:
    """Raises msgspec.DecodeError."""
    return _message(blob)


def digest_of(kind: bytes, body: bytes) -> bytes:
    """The name of a blob; `kind` is message or tools."""
    return hashlib.blake2b(body, digest_size=_DIGEST_BYTES, person=kind).digest()


def words_of(body: bytes) -> str:
    """What a search finds of a blob: the texts of a message and what its calls say. Empty for tools."""
    try:
        message = _message(body)
    except msgspec.DecodeError:
        return ""
    calls = [f"{call.function.name} {call.function.arguments}" for call in message.tool_calls or ()]
    return "\n".join([message.text, message.reasoning_content or message.reasoning or "", *calls]).strip()


def packed(ids: Sequence[int]) -> bytes:
    """Token ids as little-endian 32-bit numbers."""
    return array("i", ids).tobytes()


def unpacked(data: bytes) -> list[int]:
    ids = array("i")
    ids.frombytes(data)
    return ids.tolist()


def shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many token ids two prompts begin with alike."""
    low, high = 0, min(len(one), len(other))
    while low < high:  # slices compare at C's speed
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _link(parent: bytes, blob: bytes) -> Link:
    return Link(hashlib.blake2b(parent + blob, digest_size=_DIGEST_BYTES, person=b"link").digest(), parent, blob)


def _blob(blobs: dict[bytes, bytes], kind: bytes, value: Any) -> bytes:
    body = _encode(value)
    name = digest_of(kind, body)
    blobs[name] = body
    return name


def _turns_before(request: ChatRequest, links: list[Link]) -> list[bytes]:
    """The links behind which an assistant spoke: each was the head of an earlier request."""
    ends = [links[at - 1].name for at, said in enumerate(request.messages) if said.role == "assistant" and at]
    return ends[: -_PARENTS - 1 : -1]


def _as_message(answer: AnswerMessage | None) -> Message | None:
    """An answer as the message that it is in the next request; None for one that no message can carry."""
    if answer is None or answer.refusal is not None or answer.role != "assistant":
        return None
    return Message(
        "assistant",
        answer.content,
        answer.tool_calls,
        reasoning_content=answer.reasoning_content,
        reasoning=answer.reasoning,
    )


def _as_answer(message: Message) -> AnswerMessage:
    content = message.content if isinstance(message.content, str) or message.content is None else message.text
    return AnswerMessage(
        content, message.tool_calls, reasoning_content=message.reasoning_content, reasoning=message.reasoning
    )


def _last_words(request: ChatRequest) -> str:
    said = next((message.text for message in reversed(request.messages) if message.role == "user"), "")
    return " ".join(said[: _SAID * 4].split())[:_SAID]
