"""Two students on the same requests: what is paired, and what the pairs prove."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from distill.outcome import Outcome
from distill.routing.pairing import Pairs, paired
from distill.store.store import TraceStore
from distill.trace import Draft
from router.chat import AnswerMessage
from tests.distill.routing.test_replaying import call, trace


async def _pairs(folder: Path, old: float, new: float, conversations: int, seed: int = 0) -> Pairs:
    """Drafts of two students, which are wrong in such shares of the requests, independently."""
    chance = random.Random(seed)
    async with await TraceStore.open(folder / "traces.db") as store:
        for number in range(conversations):
            asked = trace(f"c{number}", 0)
            await store.insert([asked])
            await store.add_outcomes(
                [
                    Outcome(asked.id, "draft", 2.0, client=name, draft=_draft(asked.answer, chance.random() < wrong))
                    for name, wrong in (("old", old), ("new", new))
                ]
            )
        return await paired(store, await store.watermark(), "new", "old")


def _draft(right: AnswerMessage | None, wrong: bool) -> Draft:
    return Draft(call("elsewhere") if wrong or right is None else right, "tool_calls")


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [(0.4, 0.05, "better"), (0.05, 0.4, "not decided"), (0.01, 0.01, "no worse by 2%")],
)
async def test_the_verdict_is_of_the_one_that_is_better(tmp_path: Path, old: float, new: float, verdict: str) -> None:
    found = await _pairs(tmp_path, old, new, 400)
    assert found.verdict == verdict
    assert (found.requests, found.conversations) == (400, 400)
    assert (found.won > found.lost) == (old > new) or old == new


async def test_without_drafts_of_both_there_is_no_pair(tmp_path: Path) -> None:
    async with await TraceStore.open(tmp_path / "traces.db") as store:
        asked = trace("c", 0)
        await store.insert([asked])
        await store.add_outcomes([Outcome(asked.id, "draft", 2.0, client="new", draft=_draft(asked.answer, False))])
        found = await paired(store, await store.watermark(), "new", "old")
    assert (found.requests, found.verdict) == (0, "not decided")


async def test_requests_of_one_conversation_count_once(tmp_path: Path) -> None:
    async with await TraceStore.open(tmp_path / "traces.db") as store:
        for number in range(40):
            for turn in range(3):
                asked = trace(f"c{number}", turn)
                await store.insert([asked])
                drafts = [_draft(asked.answer, turn == 0), _draft(asked.answer, turn == 1)]
                await store.add_outcomes(
                    [
                        Outcome(asked.id, "draft", 2.0, client=name, draft=draft)
                        for name, draft in zip(("old", "new"), drafts, strict=True)
                    ]
                )
        found = await paired(store, await store.watermark(), "new", "old")
    assert found.no_worse.seen == found.conversations <= 40
    assert found.requests > found.conversations
