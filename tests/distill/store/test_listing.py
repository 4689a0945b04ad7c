"""Lists, searches and sums."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from distill.store.listing import Wanted
from distill.store.store import TraceStore
from router.chat import AnswerMessage, ChatRequest, Message
from router.decision import Decision
from tests.distill.store.made import grown, trace


async def test_the_newest_come_first_and_fields_choose(tmp_path: Path) -> None:
    teacher = Decision(arm="teacher", reason="holdout")
    async with await TraceStore.open(tmp_path / "t.db") as store:
        await store.insert([*grown("a", 3, client="me"), trace("t", "b", created=500.0, decision=teacher, model="m")])
        assert [found.id for found in await store.listed()] == ["t", "a-2", "a-1", "a-0"]
        assert [found.id for found in await store.listed(limit=1)] == ["t"]
        for wanted, ids in (
            (Wanted(arm="teacher"), ["t"]),
            (Wanted(client="me", before=3), ["a-1", "a-0"]),
            (Wanted(conversation="b"), ["t"]),
            (Wanted(since=102.0, until=500.0), ["a-2"]),
            (Wanted(model="m", reason="holdout", state="completed"), ["t"]),
            (Wanted(state="failed"), []),
        ):
            assert [found.id for found in await store.listed(wanted)] == ids, wanted
        first = (await store.listed())[-1]
        assert (first.said, first.seconds, first.prompt_tokens, first.turn) == (
            "Where is the handler of a?",
            0.5,
            50,
            0,
        )


@pytest.mark.parametrize("indexed", [True, False])
async def test_a_search_finds_the_trace_that_brought_the_words(tmp_path: Path, indexed: bool) -> None:
    async with await TraceStore.open(tmp_path / "t.db") as store:
        await store.insert(grown("alpha", 3, words="parse_request"))
        await store.insert(grown("beta", 2, words="render"))
        while indexed and await store.index_some():
            pass
        assert [found.id for found in await store.search("render")] == ["beta-1", "beta-0"]
        assert [found.id for found in await store.search("alpha.py")] == ["alpha-2"]
        assert [found.id for found in await store.search("parse_request1")] == ["alpha-1"]
        assert [found.id for found in await store.search("explore")] == ["alpha-0"]  # the system prompt, brought once
        assert [found.id for found in await store.search("render line", Wanted(conversation="alpha"))] == []
        assert await store.search("nowhere_to_be_found") == []
        assert await store.search('" OR (*') == []


async def test_what_is_put_in_while_searches_are_prepared_is_found_too(tmp_path: Path) -> None:
    async with await TraceStore.open(tmp_path / "t.db") as store:
        await store.insert(grown("alpha", 1))
        while await store.index_some():
            pass
        await store.insert(grown("beta", 1))
        assert [found.id for found in await store.search("handler")] == ["beta-0", "alpha-0"]
        assert await store.index_some() is False
        assert [found.id for found in await store.search("handler")] == ["beta-0", "alpha-0"]


async def test_thoughts_are_found(tmp_path: Path) -> None:
    async with await TraceStore.open(tmp_path / "t.db") as store:
        await store.insert([trace("a", answer=AnswerMessage("Yes.", reasoning_content="Perhaps a walrus"))])
        assert [found.id for found in await store.search("walrus")] == ["a"]


async def test_sums_are_by_day_and_kind(tmp_path: Path) -> None:
    day = 86400.0
    async with await TraceStore.open(tmp_path / "t.db") as store:
        await store.insert(grown("a", 3, start=10 * day))
        await store.insert([*grown("a", 3, start=10 * day), *grown("b", 2, start=11 * day)])  # the first are known
        told = [(found.day, found.traces, found.seconds, found.completion_tokens) for found in await store.sums()]
        assert told == [(10, 3, 1.5, 21), (11, 2, 1.0, 14)]
        assert [found.day for found in await store.sums(11)] == [11]


async def test_conversations_come_in_the_order_they_began(tmp_path: Path) -> None:
    a, b = grown("a", 3, client="x"), grown("b", 2, client="x")
    async with await TraceStore.open(tmp_path / "t.db") as store:
        await store.insert([a[0], b[0]])
        await store.insert([b[1], a[1]])
        until = await store.watermark()
        await store.insert([a[2], *grown("later", 1)])
        found = [[trace.id for trace in traces] async for traces in store.conversations(until)]
        assert found == [["a-0", "a-1"], ["b-0", "b-1"]]


async def test_a_trace_is_found_by_the_id_that_the_client_saw(tmp_path: Path) -> None:
    async with await TraceStore.open(tmp_path / "t.db") as store:
        await store.insert([*grown("a", 2), trace("none", request=ChatRequest("m", [Message("user", "Hi")]))])
        found = await store.get("chatcmpl-a-1")
        assert found is not None
        assert found.id == "a-1"
        assert await store.get("") is None
        assert msgspec.json.encode(found)
