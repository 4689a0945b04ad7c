"""A judge's opinion of what passed: who is asked what, how it is read, and what it drops."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from distill.collecting import Collector
from distill.day import DayError, DayRefused
from distill.filters import Rules, Sifted
from distill.judging import Judged, Opinion, judge, opinion_of
from distill.store.store import TraceStore
from distill.trace import Trace
from router.chat import AnswerMessage, ChatRequest
from tests.distill.test_labelling import SECRET, filled, scenes

RULES = Rules(confirm=False)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[TraceStore]:
    async with await TraceStore.open(tmp_path / "traces.db") as opened:
        yield opened


class Judge:
    """Says the same of everything; remembers what it was asked."""

    def __init__(self, says: str) -> None:
        self._says = says
        self.asked: list[tuple[ChatRequest, bool]] = []

    async def ask(self, request: ChatRequest, stays: bool) -> AnswerMessage:
        self.asked.append((request, stays))
        if not self._says:
            raise DayError("nobody there")
        return AnswerMessage(self._says)


def collector(store: TraceStore, data: Path, model: str = "mentor") -> Collector:
    return Collector(store, data, RULES, judge=model)


async def judged(store: TraceStore, data: Path, by: Judge, model: str = "mentor") -> Judged:
    return await judge(store, collector(store, data, model), await store.watermark(), by.ask)


async def sifted(store: TraceStore, data: Path, model: str = "mentor") -> list[Sifted]:
    return [one async for one in collector(store, data, model).sifted(await store.watermark())]


@pytest.mark.parametrize(("good", "kept", "dropped"), [(True, 1, {}), (False, 0, {"judged_bad": 1})])
async def test_what_a_judge_finds_bad_is_dropped(
    store: TraceStore, tmp_path: Path, good: bool, kept: int, dropped: dict[str, int]
) -> None:
    (scene,) = made = scenes(tmp_path, ours=False)
    await filled(store, made)
    by = Judge(f'{{"good": {str(good).lower()}, "why": "It says {SECRET}."}}')
    assert await judged(store, tmp_path, by) == Judged(good=int(good), bad=int(not good))
    ((request, stays),) = by.asked
    assert (request.model, request.temperature, stays) == ("mentor", 0.0, False)
    shown = request.messages[1].text
    for text in (scene.messages[1].text, scene.messages[-1].text, scene.messages[3].text[:50]):
        assert text in shown
    (after,) = await sifted(store, tmp_path)
    assert (len(after.examples), after.dropped) == (kept, dropped)
    (outcome,) = await store.outcomes(["c0.2"])
    assert outcome.kind == "judged"
    assert SECRET not in outcome.comment
    await judged(store, tmp_path, by)  # nobody is asked twice
    assert len(by.asked) == 1


async def test_only_what_would_be_learnt_is_judged(store: TraceStore, tmp_path: Path) -> None:
    traces = [trace for number, scene in enumerate(scenes(tmp_path, False, 2)) for trace in scene.traces(f"c{number}")]
    barred = [msgspec.structs.replace(t, teach=False) if t.conversation == "c0" else stay(t) for t in traces]
    await store.insert(barred)
    by = Judge('{"good": true}')
    assert (await judged(store, tmp_path, by)).good == 1
    assert [stays for _, stays in by.asked] == [True]


def stay(trace: Trace) -> Trace:
    return msgspec.structs.replace(trace, may_leave_machine=False)


@pytest.mark.parametrize("says", ["I cannot say.", ""])
async def test_a_judge_that_says_nothing_clear_drops_nothing(store: TraceStore, tmp_path: Path, says: str) -> None:
    await filled(store, scenes(tmp_path, ours=False, count=10))
    by = Judge(says)
    told = await judged(store, tmp_path, by)
    assert (told.good, told.bad, told.error) == (0, 0, "" if says else "nobody there")
    assert told.unclear == len(by.asked) == (10 if says else 8)  # one that fails is left alone after the second four
    assert all(one.examples and not one.dropped for one in await sifted(store, tmp_path))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"good": true, "why": "x"}', Opinion(True, "x")),
        ('```json\n{"good": false}\n```', Opinion(False)),
        ('First {"good": true}, no: {"good": false, "why": "y"}.', Opinion(False, "y")),
        ('{"good": "yes"}', None),
        ("good", None),
        ("{" * 100_000, None),
    ],
)
def test_opinions_are_read_out_of_whatever_stands_around_them(text: str, expected: Opinion | None) -> None:
    assert opinion_of(text) == expected


async def test_requests_that_a_judge_refuses_keep_nobody_else_waiting(store: TraceStore, tmp_path: Path) -> None:
    made = [trace for number, scene in enumerate(scenes(tmp_path, False, 9)) for trace in scene.traces(f"c{number}")]
    await store.insert([stay(trace) if trace.conversation != "c8" else trace for trace in made])

    async def elsewhere(request: ChatRequest, stays: bool) -> AnswerMessage:
        if stays:
            raise DayRefused("403 may not leave the machine")
        return AnswerMessage('{"good": true}')

    done = await judge(store, collector(store, tmp_path), 99, elsewhere)
    assert (done.good, done.unclear, done.error) == (1, 8, "403 may not leave the machine")


async def test_a_judge_that_says_nothing_clear_is_asked_once_and_drops_nothing(
    store: TraceStore, tmp_path: Path
) -> None:
    await filled(store, scenes(tmp_path, ours=False))
    by = Judge("I would rather not say.")
    assert await judged(store, tmp_path, by) == Judged(unclear=1)
    assert await judged(store, tmp_path, by) == Judged()
    (after,) = await sifted(store, tmp_path)
    assert (len(by.asked), len(after.examples)) == (1, 1)


async def test_only_the_judge_that_is_named_has_a_say(store: TraceStore, tmp_path: Path) -> None:
    await filled(store, scenes(tmp_path, ours=False))
    await judged(store, tmp_path, Judge('{"good": false}'), "strict")
    assert [(await sifted(store, tmp_path, model))[0].dropped for model in ("strict", "mild", "")] == [
        {"judged_bad": 1},
        {},
        {},
    ]
    mild = Judge('{"good": true}')
    assert (await judged(store, tmp_path, mild, "mild")).good == 1
    assert len(mild.asked) == 1
