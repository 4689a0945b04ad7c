"""What came of an experiment: each conversation once, for the arm that it was given."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.experiment import measured, values
from distill.outcome import Outcome
from distill.store.store import TraceStore
from distill.trace import Draft, Trace
from router.chat import AnswerMessage, ChatRequest, FunctionCall, Message, ToolCall
from router.decision import Arm, Decision

NOW = 1e6


def trace(conversation: str, turn: int = 0, arm: str = "a", by: Arm = "student", **more: object) -> Trace:
    given: dict[str, object] = {
        "id": f"{conversation}-{turn}",
        "created": 1000.0 * turn,
        "conversation": conversation,
        "request": ChatRequest("nightschool", [Message("user", f"What is the question number {turn}?")]),
        "state": "completed",
        "decision": Decision(by, "verified" if by == "student" else "doubtful"),
        "experiments": {"who": arm} if arm else {},
        "answer": AnswerMessage("An answer."),
        "finish_reason": "stop",
        "seconds": {"total": 2.0 + turn},
        **more,
    }
    return Trace(**given)  # type: ignore[arg-type]


def test_the_measures_of_a_conversation() -> None:
    draft = Draft(AnswerMessage("No."))
    found = values([trace("c", 0), trace("c", 1, by="teacher", draft=draft)], [])
    assert found == {"went_wrong": 0.0, "by_student": 0.5, "rejected": 0.5, "seconds": 2.5}


@pytest.mark.parametrize("kind", ["tool_error", "repaired", "repeated", "asked_again"])
def test_what_goes_wrong_counts_once_for_each_request(kind: str) -> None:
    outcomes = [Outcome("c-0", kind, 1.0), Outcome("c-0", "tool_error", 1.0), Outcome("other", kind, 1.0)]  # type: ignore[arg-type]
    assert values([trace("c", 0), trace("c", 1)], outcomes)["went_wrong"] == 0.5


def test_failures_and_bad_words_count_and_good_ones_do_not() -> None:
    outcomes = [Outcome("c-0", "feedback", 1.0, score=-1.0), Outcome("c-1", "feedback", 1.0, score=0.5)]
    found = values([trace("c", 0), trace("c", 1), trace("c", 2, state="failed")], outcomes)
    assert found["went_wrong"] == pytest.approx(2 / 3)
    assert found["feedback"] == -0.25
    assert found["seconds"] == 2.5  # a request that failed took no time of an answer's


async def test_conversations_count_for_their_arms(tmp_path: Path) -> None:
    call = ToolCall("call_1", FunctionCall("look", "{}"))
    asked = Message("user", "Where is it?")
    result = Message("tool", "Error: no such file", tool_call_id="call_1")
    after = ChatRequest("n", [asked, Message("assistant", None, [call]), result])
    failing = [
        trace("d", 0, "b", request=ChatRequest("n", [asked]), answer=AnswerMessage(None, [call])),
        trace("d", 1, "b", request=after),
    ]
    async with await TraceStore.open(tmp_path / "traces.db") as store:
        await store.insert([trace("c", 0), trace("c", 1), *failing, trace("e", 5), trace("f", 0, "")])
        await store.insert([trace("g", 0, "a"), trace("g", 1, "b")])
        await store.add_outcomes([Outcome("c-1", "feedback", 5.0, score=-1.0)])
        found = await measured(store, await store.watermark(), "who", NOW)
    assert found.mixed == 1
    assert sorted(found.order) == ["a", "a", "b"]
    assert found.sums["a"]["went_wrong"].units == 2
    assert found.sums["a"]["went_wrong"].sum == 0.5
    assert found.sums["b"]["went_wrong"].sum == 0.5  # the tool's error is found, though no night has looked yet
    assert found.sums["a"]["feedback"].units == 1
    assert found.days == pytest.approx(5000 / 86_400)
