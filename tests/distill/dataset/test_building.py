"""Datasets: named by content, whole or not there, the same for the same examples in any order; broken lines named."""

from __future__ import annotations

import math
import random
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.dataset import Example, Inputs, Mixture, build, read_examples, write_dataset
from distill.dataset.contamination import Passage
from distill.errors import DatasetError
from router.chat import FunctionCall, FunctionSpec, Message, Tool, ToolCall
from tests.distill.dataset.making import crowds, example, files, inputs, manifest, parts, prose, spoken

_TIGHT = Mixture(valid=0.2, group=0.2, category=0.5, least=1, examples=25, total_bytes=20_000)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_any_order_gives_the_same_bytes(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    examples = [example(n) for n in range(30)]
    # two conversations of one name, and one thing said in two conversations
    examples += [example(5, "Another answer."), msgspec.structs.replace(example(6), conversation="conversation-999")]
    shuffled = random.Random(seed).sample(examples, len(examples))
    one = write_dataset(examples, Counter(a=1), tmp_path_factory.mktemp("one"))
    other = write_dataset(shuffled, Counter(a=1), tmp_path_factory.mktemp("other"))
    assert one.digest == other.digest == Path(one.folder).name
    assert files(one.folder) == files(other.folder)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), crowd=crowds(), mixture=st.sampled_from([Mixture(), _TIGHT]))
def test_any_order_gives_the_same_bytes_whatever_is_cut(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, crowd: list[Example], mixture: Mixture
) -> None:
    cut = data.draw(st.integers(0, len(crowd)))
    new, old = crowd[cut:] or crowd, crowd[:cut]
    home = tmp_path_factory.mktemp("home")
    passages = [Passage(prose(3), prose(4))]
    made = [build(inputs(new, old, passages=passages), home / "one", mixture)]
    new, old = data.draw(st.permutations(new)), data.draw(st.permutations(old))
    made += [build(inputs(new, old, passages=passages), home / "other", mixture)]
    assert files(made[0].folder) == files(made[1].folder)
    assert made[0].digest == made[1].digest == Path(made[0].folder).name


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    examples = [example(n) for n in range(60)]
    made = write_dataset(examples, Counter(), tmp_path, valid_share=0.2)
    train, valid = parts(made.folder)
    assert (len(train), len(valid)) == (made.train, made.valid)
    assert sorted([*train, *valid], key=lambda e: e.conversation) == examples
    assert 3 <= made.valid <= 25


def test_the_manifest_accounts_for_everything(tmp_path: Path) -> None:
    examples = [example(0), example(1, client="ann"), example(2, model="m"), example(1, conversation="again")]
    large = spoken(prose(8), prose(9, 40_000))
    everything = inputs(
        [*examples, large, spoken(prose(7), "x", repository="examined")],
        passages=[Passage("Where?", "Here.")],
        reserved={"examined"},
        filters="filters-7",
        dropped=Counter(ungrounded=4, invalid_call=2),
    )
    made = build(everything, tmp_path, Mixture(valid=0.0))
    told = manifest(made.folder)
    assert (told["digest"], told["train"], told["valid"]) == (made.digest, 3, 0)
    assert told["dropped"] == {"invalid_call": 2, "ungrounded": 4}
    assert told["left_out"] == {
        "checks": {"too_large": 1, "reserved": 1},
        "duplicates": {"exact_duplicate": 1},
        "split": {},
        "shares": {},
        "size": {},
    }
    assert told["repositories"] == {"repository-0": 1, "repository-1": 1, "repository-2": 1}
    assert sum(told["clients"].values()) == sum(told["models"].values()) == 3
    assert told["categories"] == {"t/1/text": 3}
    assert told["traces"] == ["trace-0", "trace-1", "trace-2"]
    assert told["versions"]["filters"] == "filters-7"
    assert (told["inputs"]["new"]["examples"], told["inputs"]["replayed"]["examples"]) == (6, 0)


@settings(max_examples=60, deadline=None)
@given(crowd=crowds(), mixture=st.sampled_from([Mixture(), _TIGHT]))
def test_every_example_is_in_it_or_counted_with_a_reason(
    tmp_path_factory: pytest.TempPathFactory, crowd: list[Example], mixture: Mixture
) -> None:
    made = build(inputs(crowd), tmp_path_factory.mktemp("home"), mixture)
    left_out = sum(sum(reasons.values()) for reasons in manifest(made.folder)["left_out"].values())
    assert made.train + made.valid + left_out == len(crowd)
    assert made.train + made.valid == sum(map(len, parts(made.folder)))


def test_another_examination_is_another_input_and_may_give_the_same_dataset(tmp_path: Path) -> None:
    made = [
        build(inputs([example(1)], passages=[Passage(text, "")]), tmp_path / text, Mixture(valid=0.0))
        for text in ("One?", "Two?")
    ]
    assert made[0].digest == made[1].digest
    one, other = (manifest(dataset.folder)["inputs"]["examinations"] for dataset in made)
    assert one != other


@pytest.mark.parametrize(
    ("other", "kept"),
    [
        (example(1, identity="other-id"), 1),  # identities of calls are not what is said
        (example(1, "Another answer."), 2),
        (example(2), 2),
    ],
)
def test_duplicates_are_those_that_say_the_same(tmp_path: Path, other: Example, kept: int) -> None:
    renamed = msgspec.structs.replace(other, conversation="other")
    made = write_dataset([example(1), renamed], Counter(), tmp_path, valid_share=0.0)
    assert made.train == kept


def test_another_day_leaves_a_whole_dataset_alone_and_mends_a_torn_one(tmp_path: Path) -> None:
    made = write_dataset([example(1)], Counter(), tmp_path, valid_share=0.0)
    before = files(made.folder)
    write_dataset([example(1)], Counter(more=7), tmp_path, valid_share=0.0)
    assert files(made.folder) == before
    Path(made.folder, "manifest.json").unlink()
    Path(made.folder, "train.jsonl").write_bytes(b"torn")
    write_dataset([example(1)], Counter(), tmp_path, valid_share=0.0)
    assert files(made.folder) == before
    assert [path.name for path in tmp_path.iterdir()] == [made.digest]


def test_nothing_to_learn_is_said_with_the_reasons(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"nothing to learn.*ungrounded.*3"):
        write_dataset([], Counter(ungrounded=3), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_memory_is_bounded_by_their_number_and_not_their_length(tmp_path: Path) -> None:
    """The runs of five words of all would take 80 MB if they were held."""

    def long() -> Iterator[Example]:
        for number in range(200):
            yield spoken(" ".join(f"{number}x{word}" for word in range(3000)), "ok")

    tracemalloc.start()
    try:
        made = build(Inputs(long), tmp_path, Mixture(valid=0.0))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert made.train == 200
    assert peak < 50_000_000


def test_a_source_that_changes_is_noticed(tmp_path: Path) -> None:
    for later in ([example(1)], [example(1), example(3)], [example(1), example(2), example(3)]):
        passes = iter([[example(1), example(2)], later])
        with pytest.raises(DatasetError, match="changed"):
            build(Inputs(partial(next, passes)), tmp_path, Mixture(valid=0.0))
    assert list(tmp_path.iterdir()) == []


def test_what_json_cannot_hold_is_left_out_and_the_rest_is_learnt(tmp_path: Path) -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    hostile = [
        spoken("half a \ud800 character", "x"),
        example(2, tools=[Tool(FunctionSpec("t", "", {"maximum": 10**5000}))]),
        example(3, tools=[Tool(FunctionSpec("t", "", deep))]),
        example(4, repository="\udfff"),
    ]
    large = example(5, tools=[Tool(FunctionSpec("t", "", {"maximum": 2**70}))])
    made = write_dataset([*hostile, large], Counter(), tmp_path, valid_share=0.0)
    assert parts(made.folder) == ([large], [])
    assert manifest(made.folder)["left_out"]["checks"] == {"unreadable": len(hostile)}


@pytest.mark.parametrize("created", [float("nan"), float("inf"), -1e300, 1e300, 0.0, -1.0])
def test_clocks_that_make_no_sense(tmp_path: Path, created: float) -> None:
    examples = [example(number, created=created if number else 1e9) for number in range(40)]
    made = write_dataset(examples, Counter(), tmp_path, valid_share=0.2)
    assert sum(map(len, parts(made.folder))) == (40 if math.isfinite(created) else 1)  # no number: no line of JSON


def test_broken_arguments_and_empty_texts_are_examples_like_others(tmp_path: Path) -> None:
    def calling(arguments: str) -> list[Message]:
        return [Message("user", None), Message("assistant", None, [ToolCall("c", FunctionCall("t", arguments))])]

    texts = ["", "{", "[" * 100_000, "1" * 5000, '{"a": 1}', '{ "a":1 }', '{"a": 2}']
    examples = [example(n, messages=calling(text)) for n, text in enumerate(texts)]
    made = write_dataset(examples, Counter(), tmp_path, valid_share=0.0)
    assert made.train == 4  # three hold no words, and two say the same in other spaces


_BROKEN: list[Any] = [b"{", b"", b"[]", b"{}", b"\xff\xfe", b'{"conversation": 1}', b"null"]


@pytest.mark.parametrize("broken", _BROKEN)
def test_the_first_broken_line_is_named(tmp_path: Path, broken: bytes) -> None:
    whole = msgspec.json.encode(example(1))
    path = tmp_path / "train.jsonl"
    path.write_bytes(b"\n".join([whole, whole, broken, whole, b"{"]))
    with pytest.raises(DatasetError, match="line 3"):
        read_examples(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"train\.jsonl cannot be read"):
        read_examples(tmp_path / "train.jsonl")
