"""A corrected answer takes the place of the one it corrects, where whoever said so may teach."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from distill.dataset import Example
from distill.dataset.corrections import corrected
from distill.outcome import Outcome
from distill.trace import Trace
from router.chat import AnswerMessage, ChatRequest, FunctionCall, Message, ToolCall
from router.decision import Decision
from tests.distill.dataset.making import TOOLS

_CALL = ToolCall("c1", FunctionCall("t", "{}"))
_HISTORY = [
    Message("user", "Where is it?"),
    Message("assistant", None, [_CALL]),
    Message("tool", "a.py", tool_call_id="c1"),
    Message("assistant", "In b.py."),
    Message("user", "And what is it?"),
    Message("assistant", "A class."),
]


def traces(**changes: Any) -> list[Trace]:
    """The three turns of one conversation, oldest first."""
    made = []
    for number, at in enumerate((1, 3, 5)):
        said = _HISTORY[at]
        request = ChatRequest("m", _HISTORY[:at], tools=TOOLS)
        answer = AnswerMessage(said.text or None, said.tool_calls)
        made.append(
            Trace(f"t{number}", 10.0 + number, "c", request, "completed", Decision("teacher", "policy"), answer=answer)
        )
    return [msgspec.structs.replace(trace, **changes) for trace in made]


EXAMPLE = Example("c", "r", ["t0", "t1", "t2"], _HISTORY, TOOLS, created=12.0)


def better(text: str, trace: str = "t1", at: float = 20.0, **fields: Any) -> Outcome:
    return Outcome(trace, "feedback", at, **{"corrected": AnswerMessage(text), **fields})


def test_the_correction_is_learnt_and_nothing_behind_it() -> None:
    found = corrected(EXAMPLE, traces(), [better("In a.py.")])
    assert found.messages == [*_HISTORY[:3], Message("assistant", "In a.py.")]
    assert (found.traces, found.created, found.tools) == (["t0", "t1"], 11.0, TOOLS)
    assert (found.conversation, found.repository) == ("c", "r")


def test_a_corrected_call_is_learnt_too() -> None:
    call = ToolCall("c9", FunctionCall("t", '{"a": 1}'))
    found = corrected(EXAMPLE, traces(), [better("", trace="t0", corrected=AnswerMessage(None, [call]))])
    assert found.messages == [_HISTORY[0], Message("assistant", None, [call])]
    assert found.traces == ["t0"]


def test_the_first_answer_that_was_wrong_counts_and_the_last_word_on_it() -> None:
    said = [
        better("A function.", "t2"),
        better("In c.py.", at=21.0),
        better("In a.py.", at=30.0),
        better("No.", at=22.0),
    ]
    for outcomes in (said, said[::-1]):
        assert corrected(EXAMPLE, traces(), outcomes).messages[-1].text == "In a.py."
    same = [better("In a.py."), better("In c.py.")]
    assert corrected(EXAMPLE, traces(), same) == corrected(EXAMPLE, traces(), same[::-1])


@pytest.mark.parametrize(
    "outcome",
    [
        better("In a.py.", teach=False),
        better("In a.py.", trace="another"),
        better("", corrected=None),
        better(""),
        Outcome("t1", "asked_again", 20.0, corrected=AnswerMessage("In a.py.")),
        Outcome("t1", "feedback", 20.0, score=-1.0, comment="wrong"),
    ],
)
def test_what_may_not_teach_or_says_nothing_changes_nothing(outcome: Outcome) -> None:
    assert corrected(EXAMPLE, traces(), [outcome]) is EXAMPLE


def test_nor_does_a_correction_of_a_trace_that_may_not_teach() -> None:
    assert corrected(EXAMPLE, traces(teach=False), [better("In a.py.")]) is EXAMPLE


def test_one_that_may_not_teach_does_not_take_the_place_of_one_that_may() -> None:
    said = [better("In a.py.", at=20.0), better("In poison.py.", at=30.0, teach=False)]
    assert corrected(EXAMPLE, traces(), said).messages[-1].text == "In a.py."
