"""Nobody has too much of a dataset, and a small one is not cut to nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.dataset import Example, Mixture, build
from distill.dataset.category import category_of
from distill.dataset.example import line_of
from distill.dataset.groups import highest, ranks
from router.chat import FunctionCall, Message, ToolCall
from tests.distill.dataset.making import TOOLS, crowds, inputs, manifest, parts, prose, spoken

_KINDS = {
    "client": lambda e: e.client,
    "repository": lambda e: e.repository,
    "conversation": lambda e: (e.client, e.conversation),
}


def made(number: int, **fields: object) -> Example:
    return spoken(prose(number), prose(-number), **{"conversation": f"c{number}", **fields})


def train(examples: list[Example], home: Path, mixture: Mixture, old: list[Example] | None = None) -> list[Example]:
    return parts(build(inputs(examples, old or []), home, mixture).folder)[0]


@settings(max_examples=100, deadline=None)
@given(
    new=crowds(most=120), old=crowds(most=30), group=st.sampled_from([0.1, 0.25]), replay=st.sampled_from([0.0, 0.3])
)
def test_the_limits_hold(
    tmp_path_factory: pytest.TempPathFactory, new: list[Example], old: list[Example], group: float, replay: float
) -> None:
    mixture = Mixture(valid=0.0, group=group, category=0.4, replay=replay, least=1)
    learnt = train(new, tmp_path_factory.mktemp("home"), mixture, old)
    for kind, key in _KINDS.items():
        counts = Counter(key(e) for e in learnt)
        if kind == "repository":
            counts.pop("", None)  # what is not known is no group
        if len(counts) * group >= 2:
            assert max(counts.values()) <= group * len(learnt)
    assert sum(e in old and e not in new for e in learnt) <= replay * len(learnt)


def test_of_twenty_keys_none_has_more_than_a_tenth(tmp_path: Path) -> None:
    examples = [made(n, client="loud") for n in range(400)]
    examples += [made(n + 1000, client=f"k{n % 19}") for n in range(19 * 10)]
    counts = Counter(e.client for e in train(examples, tmp_path, Mixture(valid=0.0, least=1)))
    assert counts["loud"] == 21  # of 211; all others have their ten
    assert set(counts.values()) == {10, 21}


def test_one_key_and_one_repository_learn_from_everything(tmp_path: Path) -> None:
    examples = [made(n, client="me", repository="mine") for n in range(300)]
    assert len(train(examples, tmp_path, Mixture(valid=0.0, least=1))) == 300


def test_a_small_dataset_is_not_cut_to_nothing(tmp_path: Path) -> None:
    examples = [made(n, repository="mine") for n in range(300)]
    examples += [made(n + 1000, repository=f"r{n}") for n in range(25)]
    for least, left in ((1, 27), (200, 200), (1000, 325)):
        assert len(train(examples, tmp_path / str(least), Mixture(valid=0.0, least=least))) == left


@settings(max_examples=300, deadline=None)
@given(
    counts=st.lists(st.integers(1, 50), max_size=60),
    share=st.sampled_from([0.05, 0.1, 0.3, 1.0]),
    least=st.integers(0, 500),
    others=st.integers(0, 50),
)
def test_the_highest_level_is_the_highest(counts: list[int], share: float, least: int, others: int) -> None:
    level = highest(np.array(counts, np.int64), share, least, others)
    if share == 1 or len(counts) * share < 2:
        assert level is None
        return

    def staying(most: int) -> int:
        return others + sum(min(count, most) for count in counts)

    def allowed(most: int) -> bool:
        return most <= share * staying(most) or staying(most - 1) < min(least, staying(50))

    assert level is not None
    assert allowed(level)
    assert level == max(counts) or not allowed(level + 1)


@given(st.lists(st.integers(0, 4)))
def test_ranks_count_those_before(groups: list[int]) -> None:
    wanted = [groups[:at].count(group) for at, group in enumerate(groups)]
    assert ranks(np.array(groups, np.uint64)).tolist() == wanted


def calling(number: int, *tools: str, answer: str = "Done.") -> Example:
    messages = [Message("user", prose(number))]
    for turn, tool in enumerate(tools):
        call = ToolCall(f"c{turn}", FunctionCall(tool, f'{{"n": {number}}}'))
        messages += [Message("assistant", None, [call]), Message("tool", "x", tool_call_id=f"c{turn}")]
    return made(number, messages=[*messages, Message("assistant", answer)], tools=TOOLS)


def test_few_examples_are_taken_from_every_category_alike(tmp_path: Path) -> None:
    examples = [made(n) for n in range(200)]
    examples += [calling(n, "grep") for n in range(200, 260)]
    examples += [calling(n, "grep", "read") for n in range(300, 305)]
    mixture = Mixture(valid=0.0, examples=65, category=1.0)
    counts = Counter(category_of(e).name for e in train(examples, tmp_path, mixture))
    assert counts == {"none/0/text": 30, "grep/1/text": 30, "grep+read/2-3/text": 5}


@pytest.mark.parametrize(
    ("example", "name"),
    [
        (made(1), "none/0/text"),
        (spoken("?", "1. a\n2. b"), "none/0/list"),
        (spoken("?", "See:\n```\nx\n```"), "none/0/code"),
        (calling(1, "b", "a", "b", "b"), "a+b/4-7/text"),
        (calling(1, *"abcd"), "4 tools/4-7/text"),
        (calling(1, *"aaaaaaaaaa", answer="- x\n- y"), "a/8+/list"),
        (
            made(
                1, messages=[Message("user", "?"), Message("assistant", "I look.", [ToolCall("c", FunctionCall("t"))])]
            ),
            "t/1/call",
        ),
        (made(1, messages=[]), "none/0/text"),
    ],
)
def test_categories_have_names(example: Example, name: str) -> None:
    assert category_of(example).name == name


def test_no_more_bytes_than_there_is_room_for(tmp_path: Path) -> None:
    examples = [made(n) for n in range(100)]
    size = sum(len(line_of(e)) for e in examples)
    folder = build(inputs(examples), tmp_path, Mixture(valid=0.0, total_bytes=size // 3)).folder
    assert size * 0.9 / 3 <= Path(folder, "train.jsonl").stat().st_size <= size / 3
    assert manifest(folder)["left_out"]["size"]["over_size"] > 60


def test_a_share_is_replayed_and_the_new_keep_their_room(tmp_path: Path) -> None:
    new, old = [made(n) for n in range(300)], [made(n) for n in range(1000, 1300)]
    for mixture, counts in (
        (Mixture(valid=0.0, replay=0.2), (300, 75)),
        (Mixture(valid=0.0, replay=0.2, examples=100), (80, 20)),
        (Mixture(valid=0.0, replay=0.0), (300, 0)),
    ):
        learnt = train(new, tmp_path, mixture, old)
        assert (sum(e in new for e in learnt), sum(e in old for e in learnt)) == counts
    few = train(new, tmp_path, Mixture(valid=0.0, replay=0.2, examples=100), old[:3])
    assert (sum(e in new for e in few), sum(e in old for e in few)) == (97, 3)


@pytest.mark.parametrize("wrong", [{"group": 0.0}, {"category": 1.5}, {"valid": 1.0}, {"replay": -0.1}])
def test_shares_that_no_dataset_can_have_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="share"):
        Mixture(**wrong)  # type: ignore[arg-type]
    with pytest.raises(msgspec.ValidationError, match="share"):
        msgspec.convert(wrong, Mixture)


def test_a_misspelt_setting_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="replays"):
        msgspec.convert({"replays": 0.1}, Mixture)
