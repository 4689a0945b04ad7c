"""What a night does for the router: a certificate is earned, stays while nothing speaks against it, and ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from distill.redact.redactor import Redactor
from distill.routing.certifying import is_due
from distill.routing.labels import set_of
from distill.routing.learning import Findings, Holding, learn
from distill.routing.replaying import Limits, conversation_of
from distill.store.store import TraceStore
from distill.trace import Draft, Trace
from router.certificate import Certificate
from router.chat import AnswerMessage, TokenLogprob
from tests.distill.routing.test_replaying import call, trace

MANY = Limits(requests=10_000, at_once=16)


class Student:
    """Says what the teacher says, but in conversations whose names begin with "bad", and, unsure of it, "unsure"."""

    def __init__(self) -> None:
        self.drafts: list[str] = []

    async def draft(self, asked: Trace, student: str) -> Draft:
        self.drafts.append(asked.id)
        unsure = asked.conversation.startswith("unsure")
        said = call("elsewhere" if unsure or asked.conversation.startswith("bad") else str(asked.turn))
        if asked.answer is not None and asked.answer.content:
            said = asked.answer
        return Draft(
            said,
            "tool_calls" if said.tool_calls else "stop",
            [TokenLogprob("x", -3.0 if unsure else -0.1)],
            seconds=0.5,
        )

    async def instead(self, asked: Trace) -> AnswerMessage:
        return call(str(asked.turn))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[TraceStore]:
    async with await TraceStore.open(tmp_path / "traces.db") as opened:
        yield opened


async def came(store: TraceStore, name: str, count: int, created: float = 1000.0, **more: object) -> list[Trace]:
    traces = [msgspec.structs.replace(trace(f"{name}{one}", 0), created=created, **more) for one in range(count)]
    await store.insert(traces)
    return traces


async def night(store: TraceStore, now: Holding = Holding(), doubted: frozenset[str] = frozenset()) -> Findings:  # noqa: B008
    return await learn(store, Redactor(b"k" * 32), "adapter-1", Student(), "expert", MANY, now=now, doubted=doubted)


def holding(found: Findings, before: Holding = Holding(), since: float = 1500.0) -> Holding:  # noqa: B008
    """What the gateway would know of the student in the next night."""
    labels = found.tested or before.labels
    return Holding(found.certificate, found.gates, since, before.times + bool(found.tested), labels, found.counts_from)


async def test_of_a_conversation_each_group_of_answers_calibrates(store: TraceStore) -> None:
    """Two calls and an answer in words."""
    for turn in (0, 1):
        await store.insert([trace(f"c{one}", turn) for one in range(400)])
    await store.insert([trace(f"c{one}", 2, answer=AnswerMessage("done")) for one in range(400)])
    found = await night(store)
    calibrating = sum(set_of(conversation_of(trace(f"c{one}", 0))) == "calibrate" for one in range(400))
    assert found.certificate is not None
    assert {group: proven.labels for group, proven in found.certificate.groups.items()} == {
        "call": calibrating,
        "text": calibrating,
    }
    assert found.tested == 2 * calibrating


async def test_a_certificate_stays_when_a_later_test_fails(store: TraceStore) -> None:
    await came(store, "good", 700)
    first = await night(store)
    assert first.certificate is not None
    assert first.tested > 120
    await came(store, "bad", 40)
    second = await night(store, holding(first))
    assert (second.certificate, second.tested) == (first.certificate, 0)  # hardly more labels: no test
    await came(store, "bad again", 300)
    third = await night(store, holding(first))
    assert third.tested > first.tested
    assert (third.certificate, third.missing) == (first.certificate, {})
    assert (await night(store)).certificate is None  # such a student would earn none now


async def test_what_was_served_and_worse_ends_it_and_only_what_came_since_counts(store: TraceStore) -> None:
    await came(store, "good", 700)
    first = await night(store)
    assert first.certificate is not None
    await came(store, "unsure", 200, 2000.0, decision=_served(first.certificate), answer=call("elsewhere"))
    broken = await night(store, holding(first))
    assert broken.broken
    assert (broken.certificate, broken.counts_from) == (None, 1500.0)
    assert sum(broken.labels.values()) < 300
    now = holding(broken, holding(first))
    later = await night(store, now)
    assert sum(later.labels.values()) == sum(broken.labels.values())  # and not all there is again
    await came(store, "good later", 2000, 3000.0)
    again = await night(store, holding(later, now))
    assert again.certificate is not None  # of far fewer labels than those that count no more


async def test_what_is_served_is_compared_although_much_came_before(store: TraceStore) -> None:
    """With 40 requests a night, and hundreds that nobody was asked about yet."""
    await came(store, "good", 700)
    first = await night(store)
    assert first.certificate is not None
    await came(store, "good and more", 300, 1600.0)
    await came(store, "bad", 200, 2000.0, decision=_served(first.certificate), answer=call("elsewhere"))
    few = Limits(requests=40, at_once=16)
    student = Student()
    found = await learn(store, Redactor(b"k" * 32), "adapter-1", student, "expert", few, now=holding(first))
    assert sum(guard.seen for guard in found.watched.values()) == 20
    assert found.broken


async def test_a_certificate_is_kept_where_all_labels_are_forgotten(store: TraceStore) -> None:
    traces = await came(store, "good", 700)
    first = await night(store)
    await store.forget([one.id for one in traces])
    assert (await night(store, holding(first))).certificate == first.certificate


async def test_a_day_that_is_doubted_says_nothing_of_the_student(store: TraceStore) -> None:
    await came(store, "good", 700)
    bad = frozenset(one.id for one in await came(store, "bad", 300))
    assert (await night(store)).certificate is None
    found = await night(store, doubted=bad)
    assert found.certificate is not None
    assert sum(found.worse.values()) == 0


async def test_of_a_student_that_cannot_earn_one_only_those_that_teach_are_asked_for(store: TraceStore) -> None:
    traces = [*await came(store, "good", 200), *await came(store, "bad", 300)]
    student = Student()
    found = await learn(store, Redactor(b"k" * 32), "adapter-1", student, "expert", MANY)
    teach = {one.id for one in traces if set_of(conversation_of(one)) == "train"}
    assert found.replayed.futile
    assert set(student.drafts) <= teach


def test_labels_are_tested_again_once_there_are_a_quarter_more() -> None:
    assert is_due(0, 0)
    assert not is_due(149, 120)
    assert is_due(150, 120)
    assert not is_due(100, 120)
    assert is_due(96, 120)  # others than those: the old ones count no more


def _served(certificate: Certificate) -> object:
    return msgspec.structs.replace(trace("x", 0).decision, arm="student", certificate=certificate.name)
