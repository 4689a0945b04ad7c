"""What was said already is known again, to the very same messages and from the teacher alone."""

from __future__ import annotations

import msgspec

from distill.agent import Said, Turn
from distill.school.recall import from_traces, from_turns
from distill.trace import Trace
from router.chat import AnswerMessage, ChatRequest, FunctionCall, Message, ToolCall, Usage
from router.decision import Decision

ASKED = [Message("system", "s"), Message("user", "Where is Basket?")]
CALL = ToolCall("call_1", FunctionCall("list_files", "{}"))
THEN = [*ASKED, Message("assistant", None, [CALL]), Message("tool", "shop.py", tool_call_id="call_1")]


def trace(messages: list[Message], answer: AnswerMessage, arm: str = "teacher") -> Trace:
    return Trace(
        id=f"trace-{len(messages)}",
        created=1.0,
        conversation="c",
        request=ChatRequest("teacher", messages),
        state="completed",
        decision=Decision(arm, "requested"),  # type: ignore[arg-type]
        answer=answer,
        finish_reason="stop",
        usage=Usage(100, 10, 110),
        seconds={"total": 2.0},
    )


def test_of_traces() -> None:
    first, last = trace(ASKED, AnswerMessage(None, [CALL])), trace(THEN, AnswerMessage("In shop.py."))
    recall = from_traces([first, last])
    found = recall(list(ASKED))
    assert found == Said(AnswerMessage(None, [CALL]), "stop", Turn("teacher", "requested", "trace-2", 2.0, 100, 10))
    assert recall(THEN) is not None
    assert recall([*ASKED[:1], Message("user", "Where is Other?")]) is None
    assert recall(THEN[:3]) is None


def test_what_was_broken_off_or_said_by_another_is_not_known() -> None:
    whole = trace(ASKED, AnswerMessage("x"))
    aborted = msgspec.structs.replace(whole, state="aborted")
    for one in (aborted, msgspec.structs.replace(whole, answer=None), trace(ASKED, AnswerMessage("x"), "student")):
        assert from_traces([one])(ASKED) is None


def test_of_turns_of_this_run() -> None:
    said = Said(AnswerMessage(None, [CALL]), "tool_calls", Turn("", "", "", 1.0))
    before = from_traces([trace(THEN, AnswerMessage("In shop.py."))])
    recall = from_turns(THEN, [said], before)
    assert recall(ASKED) is said
    assert recall(THEN) == before(THEN)
    assert recall([*ASKED[:1], Message("user", "Other?")]) is None
