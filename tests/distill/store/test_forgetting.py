"""What is forgotten is gone from the file, and what others hold stays."""

from __future__ import annotations

from pathlib import Path

import msgspec

from distill.outcome import Outcome
from distill.store.store import TraceStore
from distill.trace import Trace
from router.chat import AnswerMessage
from tests.distill.store.made import grown


def bytes_of(path: Path) -> bytes:
    return b"".join(part.read_bytes() for part in sorted(path.parent.glob(f"{path.name}*")))


async def test_nothing_of_a_forgotten_conversation_stays_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    async with await TraceStore.open(path) as store:
        await store.insert(grown("mine", 5, words="zebra_secret"))
        await store.insert(grown("other", 3))
        await store.add_outcomes([Outcome("mine-1", "feedback", 1.0, comment="zebra_secret comment")])
        while await store.index_some():
            pass
        assert b"zebra_secret" in bytes_of(path)
        gone = await store.with_those_after(["mine-0"])
        assert list(gone) == [f"mine-{turn}" for turn in range(5)]
        assert gone["mine-2"] == "chatcmpl-mine-2"
        assert await store.forget(list(gone)) == 5
        assert b"zebra" not in bytes_of(path)
        assert await store.search("zebra_secret") == []
        assert await store.outcomes(["mine-1"]) == []
        assert [fault async for fault in store.faults()] == []
        assert [found.id for _, found in await store.after(0)] == ["other-0", "other-1", "other-2"]
        assert sum(found.traces for found in await store.sums()) == 3
        assert [found.id for found in await store.search("explore")] != []  # the shared system prompt


async def test_a_turn_takes_those_after_it_along_and_none_before(tmp_path: Path) -> None:
    async with await TraceStore.open(tmp_path / "t.db") as store:
        turns = grown("a", 4)
        await store.insert(turns)
        gone = await store.with_those_after(["a-2", "nobody"])
        assert list(gone) == ["a-2", "a-3"]
        await store.forget(list(gone))
        back = [msgspec.structs.replace(found, parent="") for _, found in await store.after(0)]
        assert back == turns[:2]
        assert [fault async for fault in store.faults()] == []


async def test_numbers_are_never_given_twice(tmp_path: Path) -> None:
    async with await TraceStore.open(tmp_path / "t.db") as store:
        await store.insert(grown("a", 2))
        await store.forget(["a-0", "a-1"])
        await store.insert(grown("b", 1))
        assert [seq for seq, _ in await store.after(0)] == [3]


async def test_the_oldest_go_by_age_and_by_size(tmp_path: Path) -> None:
    async with await TraceStore.open(tmp_path / "t.db") as store:
        for number in range(30):
            await store.insert(grown(f"c{number:02}", 2, start=1000.0 * number, words="w" * 30000))
        assert await store.oldest(2000.0, None) == ["c00-0", "c00-1", "c01-0", "c01-1"]
        assert await store.oldest(None, 10**9) == []
        size = await store.size()
        many = await store.oldest(None, size // 2)
        assert many[:2] == ["c00-0", "c00-1"]
        assert 25 <= len(many) <= 35
        await store.forget(many)
        assert await store.size() < size * 0.7
        assert [fault async for fault in store.faults()] == []


async def test_what_an_older_trace_brought_is_found_with_the_next_that_has_it(tmp_path: Path) -> None:
    def one(name: str) -> Trace:
        return msgspec.structs.replace(grown("same", 1)[0], id=name, conversation=name)

    async with await TraceStore.open(tmp_path / "t.db") as store:
        await store.insert([one("first"), one("second")])
        while await store.index_some():
            pass
        assert [found.id for found in await store.search("handler")] == ["first"]
        await store.forget(["first"])
        assert [found.id for found in await store.search("handler")] == ["second"]


async def test_what_is_told_of_a_trace_that_is_gone_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    async with await TraceStore.open(path) as store:
        await store.insert(grown("a", 2))
        await store.forget(["a-1"])
        late = [Outcome(name, "sample", 1.0, sample=AnswerMessage("zebra_secret")) for name in ("a-0", "a-1")]
        await store.add_outcomes([*late, *late])
        assert await store.outcomes(["a-0", "a-1"]) == late[:1]
