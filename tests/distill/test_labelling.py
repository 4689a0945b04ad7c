"""The teacher asked again: whom, how often, what is kept of it, and when it is left alone."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from distill.collecting import Collector
from distill.day import DayError, DayRefused
from distill.filters import Rules, Sifted, explain
from distill.labelling import Labelled, Limits, label
from distill.store.store import TraceStore
from distill.trace import Trace
from router.chat import AnswerMessage
from tests.distill.filters.scenes import Scene, make_repository, new_scene

_LIMITS = Limits()
SECRET = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[TraceStore]:
    async with await TraceStore.open(tmp_path / "traces.db") as opened:
        yield opened


def scenes(tmp_path: Path, ours: bool, count: int = 1) -> list[Scene]:
    root = make_repository(tmp_path, 3)
    found = []
    for number in range(count):
        made = new_scene(root, random.Random(number))
        made.ours = ours
        found.append(made.ask().search().read().say())
    return found


async def filled(store: TraceStore, made: list[Scene]) -> list[Trace]:
    traces = [trace for number, scene in enumerate(made) for trace in scene.traces(f"c{number}")]
    await store.insert(traces)
    return traces


class Teacher:
    """Says what `says` makes of a trace; remembers what it was asked."""

    def __init__(self, says: Callable[[Trace], AnswerMessage]) -> None:
        self._says = says
        self.asked: list[tuple[str, int]] = []

    async def again(self, trace: Trace, number: int) -> AnswerMessage:
        self.asked.append((trace.id, number))
        return self._says(trace)


def same(trace: Trace) -> AnswerMessage:
    assert trace.answer is not None
    return trace.answer


def other(trace: Trace) -> AnswerMessage:
    return AnswerMessage("It stands in vendor/elsewhere.py.")


async def labelled(store: TraceStore, data: Path, teacher: Teacher, limits: Limits = _LIMITS) -> Labelled:
    return await label(store, Collector(store, data, Rules()), await store.watermark(), teacher.again, limits)


async def sifted(store: TraceStore, data: Path) -> list[Sifted]:
    return [one async for one in Collector(store, data, Rules()).sifted(await store.watermark())]


async def test_a_natural_conversation_is_learnt_once_the_teacher_stands_by_it(
    store: TraceStore, tmp_path: Path
) -> None:
    await filled(store, scenes(tmp_path, ours=False))
    (before,) = await sifted(store, tmp_path)
    assert (before.examples, before.dropped) == ([], {"unconfirmed": 1})
    teacher = Teacher(same)
    first = await labelled(store, tmp_path, teacher)
    assert (first.answers, first.agreed, first.disagreed, first.left) == (9, 1, 0, 0)
    assert teacher.asked[:3] == [("c0.2", number) for number in range(3)]  # the answer that ends it first
    (after,) = await sifted(store, tmp_path)
    assert (len(after.examples), after.dropped) == (1, {})
    assert (await labelled(store, tmp_path, teacher)).answers == 0  # nobody is asked twice
    assert len(teacher.asked) == 9


async def test_where_the_answer_is_not_agreed_on_the_calls_are_not_asked_about(
    store: TraceStore, tmp_path: Path
) -> None:
    await filled(store, scenes(tmp_path, ours=False))
    teacher = Teacher(other)
    done = await labelled(store, tmp_path, teacher)
    assert (done.answers, done.agreed, done.disagreed) == (3, 0, 1)
    (after,) = await sifted(store, tmp_path)
    assert after.dropped == {"disagreed": 1}


async def test_a_call_that_is_not_agreed_on_is_masked(store: TraceStore, tmp_path: Path) -> None:
    await filled(store, scenes(tmp_path, ours=False))
    await labelled(store, tmp_path, Teacher(lambda trace: other(trace) if trace.id == "c0.0" else same(trace)))
    (after,) = await sifted(store, tmp_path)
    assert after.masked == {"disagreed": 1}
    (example,) = after.examples
    assert example.learnt is not None
    assert len(example.learnt) == 2


async def test_only_what_waits_for_it_is_asked_about(store: TraceStore, tmp_path: Path) -> None:
    await filled(store, scenes(tmp_path, ours=False))
    teacher = Teacher(same)
    lenient = Collector(store, tmp_path, Rules(confirm=False))
    assert await label(store, lenient, 99, teacher.again, Limits()) == Labelled()
    assert teacher.asked == []


async def test_what_samples_give_away_does_not_reach_the_disk(store: TraceStore, tmp_path: Path) -> None:
    traces = await filled(store, scenes(tmp_path, ours=False))
    await labelled(store, tmp_path, Teacher(lambda trace: AnswerMessage(f"{same(trace).content} {SECRET}")))
    outcomes = await store.outcomes([trace.id for trace in traces])
    assert [outcome.kind for outcome in outcomes] == ["sample"] * 9
    assert SECRET not in msgspec.json.encode(outcomes).decode()
    assert explain(traces, await Collector(store, tmp_path, Rules()).told(traces)).trajectories


async def test_a_night_asks_so_often_and_the_next_goes_on(store: TraceStore, tmp_path: Path) -> None:
    await filled(store, scenes(tmp_path, ours=False, count=3))
    teacher = Teacher(same)
    first = await labelled(store, tmp_path, teacher, Limits(requests=10, at_once=1))
    assert (first.answers, first.agreed, first.left, first.more) == (9, 1, 0, True)
    second = await labelled(store, tmp_path, teacher, Limits(requests=100, at_once=1))
    assert (second.answers, second.agreed, second.left, second.more) == (18, 2, 0, False)
    assert len(set(teacher.asked)) == len(teacher.asked) == 27


async def test_a_teacher_that_does_not_answer_is_left_alone(store: TraceStore, tmp_path: Path) -> None:
    await filled(store, scenes(tmp_path, ours=False, count=4))

    def away(trace: Trace) -> AnswerMessage:
        raise DayError("nobody there")

    teacher = Teacher(away)
    done = await labelled(store, tmp_path, teacher, Limits(at_once=1))
    assert (done.answers, done.failed, done.error) == (0, 6, "nobody there")
    assert (done.agreed, done.disagreed, done.left, done.more) == (0, 0, 2, True)
    assert (await labelled(store, tmp_path, Teacher(same))).agreed == 4


async def test_a_night_that_ran_out_of_answers_leaves_no_call_unconfirmed(store: TraceStore, tmp_path: Path) -> None:
    await filled(store, scenes(tmp_path, ours=False))
    teacher = Teacher(same)
    first = await labelled(store, tmp_path, teacher, Limits(requests=4))
    assert (first.answers, first.agreed, first.left) == (3, 0, 1)
    (between,) = await sifted(store, tmp_path)
    (example,) = between.examples
    assert example.learnt == [len(example.messages) - 1]  # the answer, and none of the calls that nobody confirmed
    assert between.masked == {"unconfirmed": 2}
    second = await labelled(store, tmp_path, teacher)
    assert (second.answers, second.agreed, second.left) == (6, 1, 0)
    (after,) = await sifted(store, tmp_path)
    assert len(after.examples[0].learnt or ()) == 3
    assert len(set(teacher.asked)) == len(teacher.asked) == 9


async def test_samples_that_are_missing_are_asked_for_with_other_seeds(store: TraceStore, tmp_path: Path) -> None:
    traces = await filled(store, scenes(tmp_path, ours=False))
    away = {0, 1}

    async def some(trace: Trace, number: int) -> AnswerMessage:
        if number in away:
            raise DayError("busy")
        return same(trace)

    collector = Collector(store, tmp_path, Rules())
    assert (await label(store, collector, 99, some, Limits())).left == 1
    teacher = Teacher(same)
    await labelled(store, tmp_path, teacher)
    assert [number for name, number in teacher.asked if name == "c0.2"] == [3, 4]
    known = await store.outcomes([trace.id for trace in traces])
    assert [sum(one.trace == trace.id for one in known) for trace in traces] == [3, 3, 3]


async def test_requests_that_are_refused_keep_nobody_else_waiting(store: TraceStore, tmp_path: Path) -> None:
    await filled(store, scenes(tmp_path, ours=False, count=4))

    def picky(trace: Trace) -> AnswerMessage:
        if trace.conversation != "c3":
            raise DayRefused("403 may not leave the machine")
        return same(trace)

    done = await labelled(store, tmp_path, Teacher(picky), Limits(requests=9, at_once=1))
    assert (done.agreed, done.disagreed, done.left, done.failed) == (1, 0, 3, 9)


async def test_a_call_that_is_refused_keeps_no_other_call_waiting(store: TraceStore, tmp_path: Path) -> None:
    await filled(store, scenes(tmp_path, ours=False))

    def picky(trace: Trace) -> AnswerMessage:
        if trace.id == "c0.1":
            raise DayRefused("400 too long")
        return same(trace)

    done = await labelled(store, tmp_path, Teacher(picky))
    assert (done.answers, done.agreed, done.left) == (6, 0, 1)
    (after,) = await sifted(store, tmp_path)
    assert after.masked == {"unconfirmed": 1}


async def test_messages_that_are_not_learnt_anyway_are_not_asked_about(store: TraceStore, tmp_path: Path) -> None:
    scene = scenes(tmp_path, ours=False)[0]
    traces = scene.traces("c0")
    await store.insert([msgspec.structs.replace(traces[0], finish_reason="length"), *traces[1:]])
    teacher = Teacher(same)
    assert (await labelled(store, tmp_path, teacher)).agreed == 1
    assert {name for name, _ in teacher.asked} == {"c0.1", "c0.2"}


async def test_where_the_time_is_over_nobody_is_asked_any_more(store: TraceStore, tmp_path: Path) -> None:
    await filled(store, scenes(tmp_path, ours=False, count=3))
    teacher = Teacher(same)
    done = await labelled(store, tmp_path, teacher, Limits(until=time.time() - 1))
    assert (done.answers, done.left > 0, teacher.asked) == (0, True, [])
