"""Conversations whose traces agree, and those that branch, are edited, compacted or asked twice."""

from __future__ import annotations

import cProfile
import pstats
import random
from pathlib import Path

import msgspec

from distill.store.store import TraceStore
from distill.trace import State, Trace
from distill.trajectory import by_conversation, same_question, trajectories
from router.chat import AnswerMessage, ChatRequest, FunctionCall, Message, ToolCall
from router.decision import Decision
from tests.distill.store.made import grown

SYSTEM = Message("system", "Look.")


def user(text: str) -> Message:
    return Message("user", text)


def said(text: str | None, *calls: ToolCall) -> Message:
    return Message("assistant", text, [*calls] or None)


def call(identity: str, arguments: str = '{"path": "a.py"}') -> ToolCall:
    return ToolCall(identity, FunctionCall("read", arguments))


def trace(
    name: str, messages: list[Message], answer: Message | None, state: State = "completed", at: float = 0
) -> Trace:
    reply = None if answer is None else AnswerMessage(answer.text or None, answer.tool_calls)
    return Trace(name, at, "c", ChatRequest("m", messages), state, Decision("teacher", "policy"), answer=reply)


def names(traces: list[Trace]) -> list[list[str]]:
    return [[one.id for one in found.traces] for found in trajectories(traces)]


def test_turns_that_follow_each_other_are_one_way() -> None:
    asked = [SYSTEM, user("a")]
    one = trace("1", asked, said(None, call("x")))
    told = [*asked, said(None, call("x")), Message("tool", "r", tool_call_id="x")]
    two = trace("2", told, said("A."))
    three = trace("3", [*told, said("A."), user("b")], said("B."))
    (found,) = trajectories([three, one, two])
    assert [one.id for one in found.traces] == ["1", "2", "3"]
    assert [(step.at, step.trace.id if step.trace else "") for step in found.steps] == [(2, "1"), (4, "2"), (6, "3")]
    assert [(run.start, run.end, run.question) for run in found.runs] == [(0, 5, "a"), (5, 7, "b")]
    assert [run.final.message.text if run.final else None for run in found.runs] == ["A.", "B."]
    assert found.steps[0].result_of(call("x")) == "r"
    assert found.steps[0].result_of(call("y")) is None


def test_what_agents_change_on_the_way_does_not_part_a_conversation() -> None:
    """Dates in system prompts, other ids, white space, the JSON of arguments."""
    one = trace("1", [SYSTEM, user("a")], said("Well.\n", call("x", '{"a":1,"b":2}')))
    again = [
        *(Message("system", "It is Tuesday."), user("a"), Message("system", "Be quick.")),
        *(said(" Well.", call("y", '{"b": 2, "a": 1}')), Message("tool", "r", tool_call_id="y")),
    ]
    assert names([one, trace("2", again, said("A."))]) == [["1", "2"]]
    other = [user("a"), said("Well.", call("x", '{"a":1,"b":3}')), Message("tool", "r", tool_call_id="x")]
    assert names([one, trace("2", other, said("A."))]) == [["2"], ["1"]]


def test_a_branch_and_its_beginning() -> None:
    one = trace("1", [user("a")], said("A."), at=1)
    left = trace("2", [user("a"), said("A."), user("b")], said("B."), at=2)
    right = trace("3", [user("a"), said("A."), user("c"), said("not ours"), user("d")], said("D."), at=3)
    assert names([one, left, right]) == [["1", "3"], ["1", "2"]]
    longest = trajectories([one, left, right])[0]
    assert [author.id if author else None for author in longest.authors] == [None, "1", None, None, None, "3"]


def test_an_edited_question_a_compaction_and_a_failure_are_ways_of_their_own() -> None:
    first = trace("1", [user("a"), said("x"), user("b")], said("B."))
    edited = trace("2", [user("a, I mean")], said("A."))
    compacted = trace("3", [user("Summary: a was asked."), user("c")], said("C."))
    failed = trace("4", [user("a"), said("x"), user("b"), said("B."), user("d")], None, "failed")
    assert sorted(map(sorted, names([first, edited, compacted, failed]))) == [["1", "4"], ["2"], ["3"]]


def test_of_two_that_are_the_same_the_better_one_is_gone_on_from() -> None:
    broken = trace("1", [user("a")], said("A."), "aborted", at=1)
    whole = trace("2", [user("a")], said("A."), at=2)
    after = trace("3", [user("a"), said("A."), user("b")], said("B."), at=3)
    assert names([broken, whole, after]) == [["2", "3"], ["1"]]


def test_reminders_beside_results_begin_no_run() -> None:
    messages = [user("a"), said(None, call("x")), Message("tool", "r", tool_call_id="x"), user("Mind the tests.")]
    (found,) = trajectories([trace("1", messages, said("A."))])
    assert [(run.start, run.end) for run in found.runs] == [(0, 5)]


def test_every_trace_is_somewhere_and_the_order_does_not_matter() -> None:
    chance = random.Random(3)
    made: list[Trace] = []
    for number in range(60):
        if made and chance.random() < 0.7:
            before = chance.choice(made)
            start = [*before.request.messages, said(before.answer.content if before.answer else "")]
        else:
            start = [SYSTEM]
        answer = said(f"answer {chance.randrange(8)}") if chance.random() < 0.9 else None
        made.append(trace(str(number), [*start, user(f"question {chance.randrange(4)}")], answer, at=number))
    found = trajectories(made)
    assert {one.id for way in found for one in way.traces} == {one.id for one in made}
    assert names(chance.sample(made, len(made))) == names(made)
    for way in found:
        assert len(way.authors) == len(way.messages)
        assert [run.end for run in way.runs][-1] == len(way.messages)
        assert sum(len(run.steps) for run in way.runs) == len(way.steps)


def test_odd_content_is_placed_too() -> None:
    odd = [
        *(user("\ud800\x00"), Message("user", [{"type": "image_url", "image_url": {"url": "data:x"}}])),
        said(None, ToolCall("x", FunctionCall("\ud800", '{"a": '))),
    ]
    one = trace("1", odd[:2], odd[2])
    two = trace("2", [*odd, Message("tool", "r", tool_call_id="x")], said("A."))
    assert names([one, two]) == [["1", "2"]]
    shown = msgspec.structs.replace(odd[1], content=[{"type": "image_url", "image_url": {"url": "data:y"}}])
    other = trace("2", [odd[0], shown, odd[2], Message("tool", "r", tool_call_id="x")], said("A."))
    assert names([one, other]) == [["2"], ["1"]]


def test_clients_share_no_conversation() -> None:
    mine, theirs = trace("1", [user("a")], said("A.")), trace("2", [user("a")], said("A."))
    theirs = msgspec.structs.replace(theirs, client="other")
    assert [[one.id for one in group] for group in by_conversation([mine, theirs, mine])] == [["1", "1"], ["2"]]


async def test_a_long_conversation_takes_no_time_by_the_square_of_its_turns(tmp_path: Path) -> None:
    turns = 100
    async with await TraceStore.open(tmp_path / "t.db") as store:
        await store.insert(grown("long", turns))
        (traces,) = [found async for found in store.conversations()]
    for work in (trajectories, lambda traces: list(same_question(traces))):
        profile = cProfile.Profile()
        profile.runcall(work, traces)
        calls = {name: count for (_, _, name), (count, *_) in pstats.Stats(profile).stats.items()}  # type: ignore[attr-defined]
        assert turns < calls["_after"] <= 3 * turns + 2  # each message of the longest request once, and each answer
