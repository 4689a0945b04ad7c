"""No example repeats an examination, in whatever form; what only sounds like one is learnt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.dataset import Mixture, build
from distill.dataset.contamination import RUN, Guard, Passage
from distill.examination.items import Item, passages
from distill.generate.question import Oracle, Question
from distill.tools import Toolbox
from router.chat import FunctionCall, Message, ToolCall
from tests.distill.dataset.making import inputs, manifest, parts, prose, spoken

_ASKED = (
    "In which file is the class that reads the settings of the second server defined, and what does it inherit from?"
)
_GUARD = Guard([Passage(_ASKED, "src/settings.py Base"), Passage("What is 17 plus 25?", "42")])


def fault(question: str, answer: str = "Nobody knows.") -> str:
    return _GUARD.fault([Message("system", _ASKED), Message("user", question), Message("assistant", answer)])


@settings(max_examples=200, deadline=None)
@given(
    before=st.integers(0, 60),
    behind=st.integers(0, 60),
    start=st.integers(0, 21 - RUN),
    where=st.sampled_from(["question", "answer", "arguments"]),
    between=st.sampled_from([" ", "\n", ", ", " -- ", "  "]),
)
def test_thirteen_words_in_a_row_are_found_anywhere(
    before: int, behind: int, start: int, where: str, between: str
) -> None:
    copied = _ASKED.replace(",", "").replace("?", "").upper().split()[start : start + RUN]
    text = between.join([*prose("before", before).split(), *copied, *prose("behind", behind).split()])
    call = ToolCall("c", FunctionCall("t", json.dumps({"text": " ".join(copied)})))
    said = {
        "question": [Message("user", text), Message("assistant", "x")],
        "answer": [Message("user", "x"), Message("assistant", text)],
        "arguments": [Message("user", "x"), Message("assistant", None, [call])],
    }
    assert _GUARD.fault(said[where]) == "shared_words"


@settings(max_examples=100, deadline=None)
@given(start=st.integers(0, 8), strange=st.integers(0, RUN - 1))
def test_twelve_are_not(start: int, strange: int) -> None:
    """Thirteen with a strange one among them share at most twelve."""
    copied = _ASKED.split()[start : start + RUN]
    copied[strange] = "zebra"
    assert fault(f"{prose('before', 30)} {' '.join(copied)} {prose('behind', 30)}") == ""


@pytest.mark.parametrize(
    ("question", "answer", "found"),
    [
        ("What is 17 plus 25?", "I do not know.", "shared_whole"),
        ("what is 17 PLUS 25", "42", "shared_whole"),
        ("<system-reminder>Be brief.</system-reminder>What is 17 plus 25?", "42", "shared_whole"),
        ("What is 17 plus 26?", "43", ""),
        ("What is 17 plus 25 and 3 and who said so and why was it written down at all?", "45", ""),
        ("", "", ""),
    ],
)
def test_short_questions_are_compared_as_wholes(question: str, answer: str, found: str) -> None:
    assert fault(question, answer) == found


def test_system_prompts_and_results_are_not_compared() -> None:
    messages = [Message("system", _ASKED), Message("user", "Hi"), Message("tool", _ASKED), Message("assistant", "Yes.")]
    assert _GUARD.fault(messages) == ""


def test_without_examinations_nothing_is_left_out() -> None:
    assert Guard(()).fault([Message("user", _ASKED), Message("assistant", _ASKED)]) == ""


def test_a_dataset_is_built_without_what_an_examination_asks(tmp_path: Path) -> None:
    planted = spoken(f"{prose(1)} {_ASKED}", prose(2))
    replayed = spoken("What is 17 plus 25?", "42")
    clean = [spoken(prose(n), prose(-n)) for n in range(10, 20)]
    asked = [Passage(_ASKED, ""), Passage("What is 17 plus 25?", "42")]
    made = build(inputs([planted, *clean], [replayed], passages=asked), tmp_path, Mixture(valid=0.0))
    assert manifest(made.folder)["left_out"]["checks"] == {"shared_words": 1, "shared_whole": 1}
    assert {one.conversation for one in parts(made.folder)[0]} == {one.conversation for one in clean}


def test_an_examinations_passages_are_its_questions_and_the_conversations_before_them(tmp_path: Path) -> None:
    question = Question("q", "r", "search", "t", "How many x?", [], Oracle("names", ("A", "B")))
    call = ToolCall("c", FunctionCall("t", "{}"))
    earlier = (
        Message("user", "Before?"),
        Message("assistant", None, [call]),
        Message("tool", "x", tool_call_id="c"),
        Message("assistant", "Yes."),
    )
    found = passages([Item(question, Toolbox(tmp_path), earlier)])
    assert found == [Passage("How many x?", "A B"), Passage("Before?", "Yes.")]
