"""A student asked again what the teacher answered: which requests, once each, and what is kept of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from distill.day import DayError, DayRefused, DaySpent
from distill.outcome import Outcome
from distill.redact.key import key_at
from distill.redact.redactor import Redactor
from distill.routing.labels import Label, Set, set_of
from distill.routing.learning import of_now
from distill.routing.replaying import Limits, Replayed, conversation_of, drawn, labels, replay
from distill.store.store import TraceStore
from distill.trace import Draft, Trace
from router.chat import (
    AnswerMessage,
    ChatRequest,
    EngineNote,
    FunctionCall,
    FunctionSpec,
    Message,
    TokenLogprob,
    Tool,
    ToolCall,
)
from router.decision import Arm, Decision, Reason
from tests.distill.routing.school import drafts

TOOLS = [Tool(FunctionSpec("look", "", {"type": "object", "properties": {"at": {"type": "string"}}}))]
SECRET = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[TraceStore]:
    async with await TraceStore.open(tmp_path / "traces.db") as opened:
        yield opened


@pytest.fixture
def redactor(tmp_path: Path) -> Redactor:
    return Redactor(key_at(tmp_path / "redact.key"))


def call(at: str) -> AnswerMessage:
    return AnswerMessage(tool_calls=[ToolCall("call_1", FunctionCall("look", f'{{"at": "{at}"}}'))])


def trace(conversation: str, turn: int, reason: Reason = "uncertified", arm: Arm = "teacher", **more: object) -> Trace:
    """Turn after turn of a conversation about places, each answered by a call."""
    messages = [Message("user", f"Where is {conversation}?")]
    for number in range(turn):
        messages += [
            Message("assistant", None, [ToolCall("call_1", FunctionCall("look", f'{{"at": "{number}"}}'))]),
            Message("tool", "nothing", tool_call_id="call_1"),
        ]
    return msgspec.structs.replace(
        Trace(
            id=f"trace-{conversation}-{turn}",
            created=1000.0 + turn,
            conversation=conversation,
            request=ChatRequest("nightschool", messages, tools=TOOLS, temperature=0.3),
            state="completed",
            decision=Decision(arm=arm, reason=reason),
            turn=turn,
            answer=call(str(turn)),
            finish_reason="tool_calls",
            seconds={"teacher": 2.0},
        ),
        **more,
    )


def stored(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.glob("traces.db*"))


class Student:
    """Makes the teacher's call at even turns and another at odd ones; remembers what it was asked."""

    def __init__(self, error: Exception | None = None, note: str = "") -> None:
        self.asked: list[tuple[str, str]] = []
        self._error, self._note = error, note

    async def instead(self, trace: Trace) -> AnswerMessage:
        """The teacher's answer."""
        self.asked.append((trace.id, "teacher"))
        return call(str(trace.turn))

    async def draft(self, trace: Trace, student: str) -> Draft:
        self.asked.append((trace.id, student))
        if self._error is not None:
            raise self._error
        said = call(str(trace.turn) if trace.turn % 2 == 0 else "elsewhere")
        if self._note:
            said = AnswerMessage(self._note)
        return Draft(
            said, "tool_calls" if said.tool_calls else "stop", [TokenLogprob(self._note or "x", -0.1)], seconds=0.5
        )


async def replayed(store: TraceStore, redactor: Redactor, student: Student, limits: Limits = Limits()) -> Replayed:  # noqa: B008
    """Those that teach, and those that calibrate with what is left."""
    until = await store.watermark()
    first = await replay(store, redactor, until, "adapter-1", student, "train", limits)
    if first.left_alone:
        return first
    rest = msgspec.structs.replace(limits, requests=limits.requests - first.asked)
    return first.and_then(await replay(store, redactor, until, "adapter-1", student, "calibrate", rest))


async def known(store: TraceStore, student: str = "adapter-1") -> list[Label]:
    return [label async for label in labels(store, await store.watermark(), student)]


async def test_drafts_are_held_beside_what_the_teacher_said(store: TraceStore, redactor: Redactor) -> None:
    await store.insert([trace(f"c{number}", turn) for number in range(20) for turn in range(4)])
    student = Student()
    told = await replayed(store, redactor, student)
    found = await known(store)
    assert told.drafts == len(student.asked) == len(found)
    for label in found:
        turn = int(label.trace.rsplit("-", 1)[1])
        assert label.worse == (turn % 2 == 1)
        assert (label.how, label.seconds, label.draft.seconds, label.tokens) == ("call", 2.0, 0.5, 1)
    counts = [sum(label.conversation.endswith(f"c{number}") for label in found) for number in range(20)]
    sets = [set_of(conversation_of(trace(f"c{number}", 0))) for number in range(20)]
    assert [{"train": 3, "calibrate": 1}[part] for part in sets] == counts
    assert {*sets} == {"train", "calibrate"}


async def test_nobody_is_asked_twice_and_another_student_anew(store: TraceStore, redactor: Redactor) -> None:
    await store.insert([trace(f"c{number}", 0) for number in range(6)])
    await replayed(store, redactor, Student())
    again = Student()
    told = await replayed(store, redactor, again)
    assert (told.drafts, told.known, again.asked) == (0, 6, [])
    assert await known(store, "adapter-2") == []


async def test_a_replay_that_was_stopped_goes_on(store: TraceStore, redactor: Redactor) -> None:
    await store.insert([trace(f"c{number}", 0) for number in range(9)])
    first = await replayed(store, redactor, Student(), Limits(requests=4, at_once=2))
    second = await replayed(store, redactor, Student(), Limits(at_once=2))
    assert (first.drafts, second.drafts, len(await known(store))) == (4, 5, 9)


@pytest.mark.parametrize("reason", ["capability", "requested", "stays_here", "cached"])
async def test_requests_that_had_no_choice_say_nothing(store: TraceStore, redactor: Redactor, reason: Reason) -> None:
    await store.insert([trace("c", 0, reason)])
    student = Student()
    await replayed(store, redactor, student)
    assert student.asked == []


async def test_an_answer_that_is_not_whole_is_no_answer(store: TraceStore, redactor: Redactor) -> None:
    await store.insert([trace("a", 0, state="failed"), trace("b", 0, answer=None), trace("c", 0)])
    student = Student()
    await replayed(store, redactor, student)
    assert [name for name, _ in student.asked] == ["trace-c-0"]


async def test_what_the_student_answered_is_put_to_the_teacher(store: TraceStore, redactor: Redactor) -> None:
    """Else only what was escalated would have labels, and that is the harder part."""
    await store.insert([trace("c", 0, "verified", "student"), trace("d", 1, "verified", "student")])
    student = Student()
    told = await replayed(store, redactor, student)
    assert (told.drafts, told.answers) == (2, 2)
    assert [label.worse for label in await known(store)] == [False, True]
    again = await replayed(store, redactor, student)
    assert (again.drafts, again.answers, again.known, len(student.asked)) == (0, 0, 2, 4)


async def test_another_answer_is_no_worse_where_the_teacher_s_went_wrong(store: TraceStore, redactor: Redactor) -> None:
    """Told by somebody's feedback here; by the tool's result, where the conversation goes on from it."""
    await store.insert([trace("c", 1), trace("d", 1), trace("e", 0)])
    await store.add_outcomes([Outcome("trace-c-1", "feedback", 2.0, score=-1.0)])
    await store.add_outcomes([Outcome("trace-e-0", "feedback", 2.0, score=-1.0)])
    await replayed(store, redactor, Student())
    found = {label.trace: (label.worse, label.how) for label in await known(store)}
    assert found == {
        "trace-c-1": (False, "teacher_wrong"),
        "trace-d-1": (True, "call"),
        "trace-e-0": (False, "call"),  # it says the same
    }


async def test_a_teacher_s_call_that_ended_in_an_error_is_found_in_the_next_request(
    store: TraceStore, redactor: Redactor
) -> None:
    asked = [Message("user", "Where is c?")]
    made = call("1").tool_calls
    after = [*asked, Message("assistant", None, made), Message("tool", "Error: no such file", tool_call_id="call_1")]
    first = trace("c", 1, request=ChatRequest("nightschool", asked, tools=TOOLS))
    second = trace("c", 2, created=1010.0, request=ChatRequest("nightschool", after, tools=TOOLS))
    await store.insert([first, second])
    await replayed(store, redactor, Student(), Limits(taught=9))
    found = {label.trace: label.how async for label in labels(store, await store.watermark(), "adapter-1", 9)}
    assert found.get("trace-c-1", "teacher_wrong") == "teacher_wrong"
    assert found.get("trace-c-2", "call") == "call"


async def test_a_teacher_that_disagrees_with_itself_is_told_and_either_answer_will_do(
    store: TraceStore, redactor: Redactor
) -> None:
    await store.insert([trace("c", 1), trace("d", 1), trace("e", 1)])
    await store.add_outcomes([Outcome("trace-c-1", "sample", 2.0, sample=call("elsewhere"))])
    await store.add_outcomes([Outcome("trace-d-1", "sample", 2.0, sample=call("1"))])
    await replayed(store, redactor, Student())
    found = {label.trace: (label.worse, label.teachers, label.split) for label in await known(store)}
    assert found == {"trace-c-1": (False, 2, True), "trace-d-1": (True, 2, False), "trace-e-1": (True, 1, False)}


async def test_a_draft_of_a_wrong_form_is_worse_whatever_the_teacher_did(store: TraceStore, redactor: Redactor) -> None:
    await store.insert([trace("c", 0)])
    await store.add_outcomes([Outcome("trace-c-0", "feedback", 2.0, score=-1.0)])
    broken = Draft(AnswerMessage(tool_calls=[ToolCall("call_1", FunctionCall("look", "{"))]), "tool_calls")
    await store.add_outcomes([Outcome("trace-c-0", "draft", 2.0, client="adapter-1", draft=broken)])
    assert [(label.worse, label.how) for label in await known(store)] == [(True, "form")]


async def test_a_student_that_fails_is_left_alone(store: TraceStore, redactor: Redactor) -> None:
    await store.insert([trace(f"c{number}", 0) for number in range(40)])
    student = Student(DayError("it is down"))
    told = await replayed(store, redactor, student, Limits(at_once=2, failures=5))
    assert 5 <= len(student.asked) <= 8
    assert (told.drafts, told.error) == (0, "it is down")
    refused = Student(DayRefused("too long"))
    assert (await replayed(store, redactor, refused, Limits(at_once=2))).failed == len(refused.asked) == 40


async def test_what_nobody_was_asked_takes_nothing_of_a_night_s_requests(store: TraceStore, redactor: Redactor) -> None:
    await store.insert([trace(f"c{number}", 0) for number in range(9)])
    boundless, bounded = Student(DaySpent()), Student(DaySpent())
    await replayed(store, redactor, boundless, Limits(at_once=1))
    await replayed(store, redactor, bounded, Limits(at_once=1, requests=3))
    assert len(boundless.asked) == len(bounded.asked) > 3


async def test_no_secret_of_a_draft_is_kept(store: TraceStore, redactor: Redactor, tmp_path: Path) -> None:
    await store.insert([trace("c", 0)])
    await replayed(store, redactor, Student(note=f"The token is {SECRET}."))
    (label,) = await known(store)
    assert SECRET not in str(label)
    assert label.draft.logprobs is None
    await store.close()
    assert SECRET.encode() not in stored(tmp_path)


def named(part: Set) -> str:
    """A conversation that teaches, or one that calibrates."""
    return next(name for name in map(str, range(99)) if set_of(conversation_of(trace(name, 0))) == part)


def test_which_requests_teach_does_not_hang_on_what_they_say() -> None:
    traces = [trace(named("train"), turn) for turn in range(10)]
    changed = [msgspec.structs.replace(one, answer=AnswerMessage("other")) for one in traces]
    assert len(drawn(traces, 3)) == 3
    assert [one.id for one in drawn(traces, 3)] == [one.id for one in drawn(changed, 3)]


def test_of_each_group_of_answers_one_calibrates_by_lot() -> None:
    name = named("calibrate")
    turns = [trace(name, turn) for turn in range(30)]
    told = [msgspec.structs.replace(one, answer=AnswerMessage("done")) for one in turns[20:]]
    found = drawn([*turns[:20], *told], 3)
    assert len(found) == 2
    assert {one.turn < 20 for one in found} == {True, False}
    again = [*turns[:20], *(msgspec.structs.replace(one, answer=AnswerMessage("not yet")) for one in told)]
    assert [one.id for one in drawn(again, 3)] == [one.id for one in found]
    (alone,) = drawn(turns[:20], 3)
    assert alone.id in {one.id for one in found}
    assert len({drawn(turns[first : first + 20], 3)[0].turn - first for first in range(10)}) > 1  # not always the first


async def test_what_may_teach_nothing_teaches_no_gate(store: TraceStore, redactor: Redactor) -> None:
    await store.insert([trace(f"c{number}", 0, teach=False) for number in range(20)])
    student = Student()
    await replayed(store, redactor, student)
    asked = {name for name, _ in student.asked}
    sets = {f"trace-c{number}-0": set_of(conversation_of(trace(f"c{number}", 0))) for number in range(20)}
    assert asked == {name for name, part in sets.items() if part == "calibrate"}
    assert 0 < len(asked) < 20


def test_drafts_of_another_student_and_beside_another_teacher_do_not_count() -> None:
    note = EngineNote(model="base", adapter="new", template="t")
    mine = [
        msgspec.structs.replace(
            label, draft=msgspec.structs.replace(label.draft, note=note), teacher="big" if number % 3 else ""
        )
        for number, label in enumerate(drafts(30, seed=1))
    ]
    older = msgspec.structs.replace(mine[0], draft=msgspec.structs.replace(mine[0].draft, note=None))
    other = msgspec.structs.replace(mine[1], teacher="another")
    assert of_now([older, other, *mine]) == mine
    assert of_now([]) == []


async def test_where_the_time_is_over_no_student_is_asked(store: TraceStore, redactor: Redactor) -> None:
    await store.insert([trace(f"c{number}", 0) for number in range(9)])
    student = Student()
    await replayed(store, redactor, student, Limits(until=1.0))
    assert student.asked == []
