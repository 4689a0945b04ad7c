"""Traces cut and put together again, whatever is in them; and that what is there already is not stored again."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.store.parts import cut, packed, shared, unpacked
from distill.store.store import TraceStore
from distill.store.writing import encodable
from distill.trace import Draft, Served, Trace
from router.chat import AnswerMessage, ChatRequest, FunctionCall, FunctionSpec, Message, Tool, ToolCall
from router.decision import Decision
from tests.distill.store.made import grown, trace

TEXT = st.text(max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
CALLS = st.lists(st.builds(ToolCall, TEXT, st.builds(FunctionCall, TEXT, TEXT)), min_size=1, max_size=2)
PARTS = st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": TEXT}), max_size=2)
MESSAGES = st.builds(
    Message,
    st.sampled_from(["system", "user", "assistant", "tool"]),
    st.none() | TEXT | PARTS,
    tool_calls=st.none() | CALLS,
    tool_call_id=st.none() | TEXT,
    reasoning_content=st.none() | TEXT,
)
ANSWERS = st.builds(
    AnswerMessage,
    st.none() | TEXT,
    st.none() | CALLS,
    reasoning=st.none() | TEXT,
    refusal=st.none() | TEXT,
)
IDS = st.lists(st.integers(0, 200_000), max_size=20)
TRACES = st.builds(
    Trace,
    id=st.uuids().map(str),
    created=st.floats(0, 2e9),
    conversation=TEXT,
    request=st.builds(
        ChatRequest,
        TEXT,
        st.lists(MESSAGES, max_size=5),
        tools=st.none() | st.lists(st.builds(Tool, st.builds(FunctionSpec, TEXT, TEXT)), max_size=2),
        metadata=st.none() | st.dictionaries(TEXT, JSON, max_size=2),
        extra=st.dictionaries(TEXT, JSON, max_size=2),
    ),
    state=st.sampled_from(["completed", "failed", "aborted"]),
    decision=st.builds(Decision, st.sampled_from(["student", "teacher"]), st.just("policy"), TEXT),
    answer=st.none() | ANSWERS,
    draft=st.none() | st.builds(Draft, ANSWERS),
    served=st.none() | st.builds(Served, IDS, IDS),
    unread=st.dictionaries(TEXT, JSON, max_size=2),
    error=TEXT,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(TRACES, min_size=1, max_size=4))
def test_whatever_goes_in_comes_out(traces: list[Trace]) -> None:
    async def through() -> list[Trace]:
        async with await TraceStore.open(Path(":memory:")) as store:
            await store.insert(traces)
            return [found for _, found in await store.after(0)]

    def plain(trace: Trace) -> Any:
        return msgspec.to_builtins(msgspec.structs.replace(trace, parent=""))

    assert [plain(trace) for trace in asyncio.run(through())] == [plain(trace) for trace in traces]


@given(IDS, IDS)
def test_what_two_prompts_share_is_their_common_beginning(one: list[int], other: list[int]) -> None:
    count = shared(one, other)
    assert one[:count] == other[:count]
    assert one[count : count + 1] != other[count : count + 1] or count == min(len(one), len(other))
    assert unpacked(packed(one)) == one


async def test_a_long_conversation_stores_each_message_and_each_token_once(tmp_path: Path) -> None:
    turns = grown("a", 60)
    async with await TraceStore.open(tmp_path / "t.db") as store:
        for number in range(0, 60, 7):  # in several batches, as they come
            await store.insert(turns[number : number + 7])
        back = [found for _, found in await store.after(0)]
        assert [msgspec.structs.replace(found, parent="") for found in back] == turns
        assert [found.parent for found in back] == ["", *[found.id for found in turns[:-1]]]
    raw = sqlite3.connect(tmp_path / "t.db")
    said = len(turns[-1].request.messages) + 1
    assert raw.execute("SELECT count(*) FROM blobs").fetchone()[0] == said + 1  # and the tools
    assert raw.execute("SELECT count(*) FROM links").fetchone()[0] == said - 1  # an answer is none until it is answered
    ids = raw.execute("SELECT sum(length(prompt) + length(completion)) / 4 FROM served").fetchone()[0]
    assert ids == len(turns[-1].served.prompt) + len(turns[-1].served.completion)  # type: ignore[union-attr]
    raw.close()


async def test_two_clients_share_texts_and_never_a_turn_before(tmp_path: Path) -> None:
    async with await TraceStore.open(tmp_path / "t.db") as store:
        await store.insert(grown("a", 1, client="one"))
        mine = msgspec.structs.replace(grown("a", 2, client="two")[1], id="other")
        await store.insert([mine])
        found = await store.get("other")
        assert found is not None
        assert found.parent == ""
        assert found.served == mine.served


def test_an_answer_is_the_message_that_it_becomes() -> None:
    first, second = grown("a", 2)
    parts, following = cut(first), cut(second)
    assert parts.answer in {link.blob for link in following.links}
    assert following.before == [parts.head]


@pytest.mark.parametrize("text", ["\ud800", "a\udfff\x00b"])
def test_lone_surrogates_become_question_marks(text: str) -> None:
    odd = trace("a", request=ChatRequest("m", [Message("user", text)], metadata={text: [text]}))
    clean = encodable(odd)
    assert "?" in clean.request.messages[0].text
    assert msgspec.json.encode(clean)
    assert encodable(clean) is clean
