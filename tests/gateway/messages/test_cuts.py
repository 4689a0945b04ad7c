"""However a chat stream is cut into chunks and bytes, its message is that of the whole answer."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.messages.answer import message_of
from gateway.api.messages.events import MessageEvents
from gateway.backends.stream import DONE, Splitter, encode_event
from router.chat import AnswerMessage, ChatRequest, ChatResponse, Choice, FunctionCall, Message, ToolCall, Usage
from tests.gateway.messages import judged

REQUEST = ChatRequest(model="m", messages=[Message("user", "Hi")])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(st.text(max_size=4), VALUES, max_size=3).map(
    lambda value: msgspec.json.encode(value).decode()
)
CALLS = st.lists(
    st.builds(FunctionCall, st.sampled_from(["read_file", "ls"]), ARGUMENTS | st.text(max_size=12)), max_size=3
).map(lambda calls: [ToolCall(f"call_{index}", call) for index, call in enumerate(calls)])
TEXT = st.text(max_size=30)


@st.composite
def answers(draw: st.DrawFn) -> ChatResponse:
    calls = draw(CALLS)
    message = AnswerMessage(content=draw(TEXT) or None, tool_calls=calls or None, reasoning_content=draw(TEXT) or None)
    finish = draw(st.sampled_from(["stop", "length", "tool_calls", "content_filter"]))
    prompt, said, cached = draw(st.integers(0, 99)), draw(st.integers(0, 99)), draw(st.integers(0, 99))
    usage = Usage(prompt, said, prompt + said, {"cached_tokens": cached}, {"reasoning_tokens": said})
    return ChatResponse("c", 1, "large", [Choice(message, finish)], usage=draw(st.just(usage) | st.none()))


def pieces(draw: st.DrawFn, text: str) -> list[str]:
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=4)) | {0, len(text)})
    return [text[start:end] for start, end in pairwise(cuts)]


def merged(draw: st.DrawFn, queues: list[list[Any]]) -> list[Any]:
    """One list in which each queue keeps its order."""
    order = draw(st.permutations([index for index, queue in enumerate(queues) for _ in queue]))
    waiting = [iter(queue) for queue in queues]
    return [next(waiting[index]) for index in order]


@st.composite
def streams(draw: st.DrawFn, answer: ChatResponse) -> bytes:
    """An answer as a stream: thoughts first, then text and calls cut up and mixed, then how it ended."""
    message = answer.choices[0].message
    queues: list[list[dict[str, Any]]] = [[{"content": piece} for piece in pieces(draw, message.content or "")]]
    for index, call in enumerate(message.tool_calls or ()):
        head = {"index": index, "id": call.id, "type": "function", "function": {"name": call.function.name}}
        rest = [{"index": index, "function": {"arguments": part}} for part in pieces(draw, call.function.arguments)]
        queues.append([{"tool_calls": [part]} for part in (head, *rest)])
    thoughts = [{"reasoning_content": piece} for piece in pieces(draw, message.reasoning_content or "")]
    deltas = [{"role": "assistant"}, *thoughts, *merged(draw, queues)]
    chunks = [{"choices": [{"delta": delta}]} for delta in deltas]
    chunks.append({"choices": [{"delta": {}, "finish_reason": answer.choices[0].finish_reason}]})
    if answer.usage is not None:
        chunks.append({"choices": [], "usage": answer.usage})
    return b"".join(map(encode_event, chunks)) + DONE


@given(st.data())
def test_any_cut_gives_the_message_of_the_whole(data: st.DataObject) -> None:
    answer = data.draw(answers())
    stream = data.draw(streams(answer))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=6)) | {0, len(stream)})
    splitter, events = Splitter(), MessageEvents("msg_1", "m", REQUEST)
    batches = [splitter.feed(stream[start:end]) for start, end in pairwise(cuts)]
    told = b"".join([events.feed(batch, {}) for batch in batches if batch])
    whole = judged.message(msgspec.json.decode(msgspec.json.encode(message_of("msg_1", "m", REQUEST, answer))))
    assert judged.stream(told).to_dict() == whole.to_dict()
