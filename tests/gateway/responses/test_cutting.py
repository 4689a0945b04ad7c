"""However a backend cuts and mixes its stream: the final response is that of the whole answer, one item at a time."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.api.responses.reply import ResponsesReply, Visit
from gateway.api.responses.request import read_request
from gateway.api.responses.stored import ResponseStore
from gateway.backends.stream import DONE, Splitter, encode_event
from gateway.errors import BackendBroken
from router.chat import AnswerMessage, ChatResponse, Choice, FunctionCall, ToolCall, Usage
from tests.gateway.responses.judged import bare, judged, stream

TOOLS = [
    {"type": "function", "name": "read"},
    {"type": "custom", "name": "patch"},
    {"type": "namespace", "name": "mcp__x", "description": "", "tools": [{"type": "function", "name": "list"}]},
]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ARGUMENTS = st.one_of(
    st.dictionaries(TEXT, st.one_of(st.integers(), TEXT, st.just({"a": [{}]})), max_size=3),
    TEXT.map(lambda text: {"input": text}),
).map(lambda value: msgspec.json.encode(value).decode())
CALLS = st.lists(st.tuples(st.sampled_from(["read", "patch", "mcp__x__list", "other"]), ARGUMENTS), max_size=3)
USAGE = Usage(prompt_tokens=5, completion_tokens=7, total_tokens=12)


def reply() -> ResponsesReply:
    store = ResponseStore()
    include = ["reasoning.encrypted_content"]
    body = {"model": "nightschool", "input": "Hi", "tools": TOOLS, "stream": True, "include": include}
    return ResponsesReply(read_request(body, store, ""), Visit(store))


def answer(thoughts: str, text: str, calls: list[tuple[str, str]], finish: str) -> ChatResponse:
    made = [ToolCall(f"call_{at}", FunctionCall(name, arguments)) for at, (name, arguments) in enumerate(calls)]
    message = AnswerMessage(text or None, made or None, reasoning_content=thoughts or None)
    return ChatResponse("c", 1, "m", [Choice(message, finish)], usage=USAGE)


def cut(data: st.DataObject, text: str) -> list[str]:
    """A text in pieces, empty ones among them."""
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]


def chunks(data: st.DataObject, response: ChatResponse) -> list[dict[str, Any]]:
    """The deltas of an answer: thoughts, text, then its calls, whose arguments may take turns."""
    message = response.choices[0].message
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": piece} for piece in cut(data, message.thoughts)]
    deltas += [{"content": piece} for piece in cut(data, message.content or "")]
    queues = []
    for index, call in enumerate(message.tool_calls or ()):
        head = {"index": index, "id": call.id, "function": {"name": call.function.name, "arguments": ""}}
        rest = [{"index": index, "function": {"arguments": piece}} for piece in cut(data, call.function.arguments)]
        queues.append([head, *rest])
    begun = 0  # calls begin in their order, whatever comes in between
    while any(queues):
        may = [at for at, queue in enumerate(queues[: begun + 1]) if queue]
        index = data.draw(st.sampled_from(may))
        begun = max(begun, index + 1)
        deltas.append({"tool_calls": [queues[index].pop(0)]})
    return deltas


@settings(max_examples=200, deadline=None)
@given(data=st.data(), thoughts=TEXT, text=TEXT, calls=CALLS, finish=st.sampled_from(["stop", "length"]))
def test_any_cutting_gives_the_response_of_the_whole_answer(
    data: st.DataObject, thoughts: str, text: str, calls: list[tuple[str, str]], finish: str
) -> None:
    response = answer(thoughts, text, calls, finish)
    whole = judged(reply().whole(response, b""))
    head = {"id": "c", "created": 1, "model": "m", "object": "chat.completion.chunk"}
    told = [{**head, "choices": [{"index": 0, "delta": delta}]} for delta in chunks(data, response)]
    told.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    told.append({**head, "choices": [], "usage": USAGE})
    raw = b"".join(encode_event(chunk) for chunk in told) + DONE
    places = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=6)))
    splitter, one, sent = Splitter(), reply(), b""
    for start, end in zip([0, *places], [*places, len(raw)], strict=True):
        if batch := splitter.feed(raw[start:end]):
            sent += one.events(batch, {})
    final = stream(sent)[-1]["response"]
    same = ("status", "incomplete_details", "usage")
    assert [final[name] for name in same] == [whole[name] for name in same]
    assert bare(final) == bare(whole)


def fed(*deltas: dict[str, Any]) -> list[dict[str, Any]]:
    told = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    told.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    return stream(reply().events(Splitter().feed(b"".join(encode_event(one) for one in told) + DONE), {}))


def call(index: int, arguments: str, name: str = "", call_id: str = "") -> dict[str, Any]:
    more = {"id": call_id} if call_id else {}
    return {"tool_calls": [{"index": index, **more, "function": {"name": name, "arguments": arguments}}]}


def test_calls_that_take_turns_are_told_one_after_the_other() -> None:
    deltas = [call(0, '{"a"', "read", "call_a"), call(1, '{"b"', "read", "call_b"), call(0, ": 1}"), call(1, ": 2}")]
    events = fed(*deltas)
    output = events[-1]["response"]["output"]
    assert [(item["call_id"], item["arguments"]) for item in output] == [("call_a", '{"a": 1}'), ("call_b", '{"b": 2}')]


def test_a_call_is_told_as_done_when_the_next_begins() -> None:
    events = fed(call(0, "{}", "read", "a"), call(1, '{"x": ', "read", "b"), call(1, "1}"))
    kinds = [(event["type"], event.get("output_index")) for event in events]
    assert kinds.index(("response.output_item.done", 0)) < kinds.index(("response.output_item.added", 1))


def test_what_backends_leave_out_of_a_call_is_made_up() -> None:
    (item,) = fed(call(0, "", "read"))[-1]["response"]["output"]
    assert (item["name"], item["arguments"]) == ("read", "{}")
    assert item["call_id"].startswith("call_")


def test_a_name_in_pieces_is_whole_when_it_is_told() -> None:
    events = fed(call(0, "", "re", "a"), call(0, "{}", "ad"))
    assert next(event["item"]["name"] for event in events if "item" in event) == "read"


def test_blank_after_a_complete_call_is_nothing_and_more_is_a_fault() -> None:
    done = [call(0, "{}", "read", "a"), call(1, "{}", "read", "b")]
    assert len(fed(*done, call(0, "\n"))[-1]["response"]["output"]) == 2
    with pytest.raises(BackendBroken):
        fed(*done, call(0, '{"more": 1}'))


def test_a_call_that_was_complete_before_the_answer_was_cut_is_complete() -> None:
    cut_off = answer("", "", [("read", '{"path": "a"}')], "length")
    whole = judged(reply().whole(cut_off, b""))
    assert (whole["status"], whole["output"][0]["status"]) == ("incomplete", "completed")
