"""What says the same is learnt once; what is only like it stays."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.dataset import Example, Mixture, build, write_dataset
from distill.dataset.contamination import Guard
from distill.dataset.duplicates import near_duplicates
from distill.dataset.ledger import Ledger
from router.chat import FunctionCall, Message, ToolCall
from tests.distill.dataset.making import crowds, example, inputs, manifest, parts, prose, spoken

_ALL = Mixture(valid=0.0, examples=10**6)


def left_out(examples: list[Example], home: Path) -> dict[str, int]:
    made = build(inputs(examples), home, _ALL)
    found: dict[str, int] = manifest(made.folder)["left_out"]["duplicates"]
    return found


@pytest.mark.parametrize(
    ("other", "kept"),
    [
        (example(1, identity="other-id"), 1),  # identities of calls are not what is said
        (example(1, "Another answer."), 2),
        (example(1, "Answer  1.\n"), 1),  # nor are spaces
        (example(1, tools=[]), 1),  # the same goal and action: nearly the same
        (example(2), 2),
    ],
)
def test_duplicates_are_those_that_say_the_same(tmp_path: Path, other: Example, kept: int) -> None:
    made = write_dataset([example(1), other], Counter(), tmp_path, valid_share=0.0)
    assert made.train == kept


def test_of_two_that_are_alike_the_new_one_stays(tmp_path: Path) -> None:
    new, old = example(1, conversation="new"), [example(1, conversation="old"), *map(example, range(2, 9))]
    made = build(inputs([new, example(20)], old), tmp_path, Mixture(valid=0.0, replay=0.5))
    assert {"new"} == {one.conversation for one in parts(made.folder)[0] if one.messages == new.messages}


@settings(max_examples=40, deadline=None)
@given(
    others=st.lists(st.integers(0, 10**9), unique=True, max_size=40),
    word=st.integers(0, 99),
    answer=st.booleans(),
)
def test_a_near_duplicate_goes_wherever_it_differs(
    tmp_path_factory: pytest.TempPathFactory, others: list[int], word: int, answer: bool
) -> None:
    """One word of two hundred changes 5 of 196 runs: a similarity of 0.95."""
    question, told = prose("asked", 100), prose("told", 100)
    changed = (told if answer else question).split()
    changed[word] = "else"
    planted = spoken(question, " ".join(changed)) if answer else spoken(" ".join(changed), told)
    examples = [spoken(prose(n), prose(-n)) for n in others] + [spoken(question, told), planted]
    assert left_out(examples, tmp_path_factory.mktemp("home")) == {"near_duplicate": 1}


def test_the_same_question_with_another_answer_is_no_duplicate(tmp_path: Path) -> None:
    asked = prose("asked", 60)
    assert left_out([spoken(asked, prose(n, 30)) for n in range(20)], tmp_path) == {}


def test_nor_is_the_same_with_another_tool(tmp_path: Path) -> None:
    asked, told = prose("asked", 100), prose("told", 100)
    examples = []
    for tool in ("grep", "find"):
        call = ToolCall("c", FunctionCall(tool, "{}"))
        turns = [Message("user", asked), Message("assistant", told, [call]), Message("tool", "x", tool_call_id="c")]
        examples.append(example(1, messages=[*turns, Message("assistant", told)], conversation=tool))
    assert left_out(examples, tmp_path) == {}


def test_what_an_agent_puts_into_every_question_does_not_make_them_alike(tmp_path: Path) -> None:
    reminder = f"<system-reminder>{prose('rules', 500)}</system-reminder>"
    examples = [spoken(f"{reminder}\n{prose(n, 10)}", prose(-n, 10)) for n in range(30)]
    assert left_out(examples, tmp_path) == {}


def test_texts_without_words_are_alike_where_they_are_equal(tmp_path: Path) -> None:
    examples = [spoken(f"{mark}?", "!") for mark in ("…", "→", "…")]
    assert left_out(examples, tmp_path) == {"exact_duplicate": 1}


def test_a_thousand_that_are_half_alike_stay(tmp_path: Path) -> None:
    """Half of the runs of each are those of every other one."""
    chance = random.Random(1)
    shared = prose("shared", 60)
    examples = [spoken(f"{shared} {prose(chance.random(), 25)}", "ok") for _ in range(1000)]
    assert sum(left_out(examples, tmp_path).values()) < 100


@settings(max_examples=40, deadline=None)
@given(crowd=crowds(most=80))
def test_what_is_left_holds_no_duplicates(tmp_path_factory: pytest.TempPathFactory, crowd: list[Example]) -> None:
    made = build(inputs(crowd), tmp_path_factory.mktemp("one"), _ALL)
    left = parts(made.folder)[0]
    home = tmp_path_factory.mktemp("other")
    assert left_out(left, home) == {}
    assert [path.name for path in home.iterdir()] == [made.digest]


def test_similarity_is_told_about_right(tmp_path: Path) -> None:
    """Pairs whose texts share so many of their runs are taken for alike from 0.8 on, give or take what MinHash errs."""
    found = {}
    for shared in (60, 75, 90, 95):
        with Ledger(tmp_path / str(shared), _ALL, Guard(()), frozenset()) as ledger:
            for pair in range(200):
                runs = prose(f"{shared}/{pair}", 204).split()
                other = runs[: 2 * shared + 4] + prose(f"other/{shared}/{pair}", 200 - 2 * shared).split()
                ledger.add(spoken(" ".join(runs), "", conversation=f"{pair}"), replayed=False)
                ledger.add(spoken(" ".join(other), "", conversation=f"{pair}/other"), replayed=False)
        records = ledger.records()
        found[shared] = int(np.count_nonzero(near_duplicates(records, np.arange(len(records)))))
    # 2 * shared of 200 runs in common: a similarity of shared / (200 - shared)
    assert found[60] == 0  # 0.43
    assert found[75] <= 2  # 0.60
    assert found[90] >= 100  # 0.82
    assert found[95] >= 198  # 0.90
