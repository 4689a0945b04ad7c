"""Datasets: named by content, whole or not there, broken lines named."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.dataset import Example, read_examples, write_dataset
from distill.errors import DatasetError
from router.chat import FunctionCall, FunctionSpec, Message, Tool, ToolCall

_TOOLS = [Tool(FunctionSpec("t", "A tool.", {"type": "object", "properties": {"b": {}, "a": {}}}))]


def example(number: int, said: str = "", identity: str = "c1") -> Example:
    call = ToolCall(identity, FunctionCall("t", f'{{"n": {number}}}'))
    messages = [
        Message("user", [{"type": "text", "text": f"Question {number}? é \u2028 \x00"}]),
        Message("assistant", None, [call]),
        Message("tool", "result", tool_call_id=identity),
        Message("assistant", said or f"Answer {number}."),
    ]
    return Example(f"conversation-{number:03}", f"repository-{number % 3}", [f"trace-{number}"], messages, _TOOLS)


def files(folder: str | Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


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


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    examples = [example(n) for n in range(60)]
    made = write_dataset(examples, Counter(), tmp_path, valid_share=0.2)
    train, valid = (read_examples(Path(made.folder, f"{name}.jsonl")) for name in ("train", "valid"))
    assert (len(train), len(valid)) == (made.train, made.valid)
    assert sorted([*train, *valid], key=lambda e: e.conversation) == examples
    assert 3 <= made.valid <= 25


def test_the_manifest_accounts_for_everything(tmp_path: Path) -> None:
    examples = [example(0), example(1), example(2), msgspec.structs.replace(example(1), conversation="again")]
    made = write_dataset(examples, Counter(ungrounded=4, invalid_call=2), tmp_path, valid_share=0.0)
    manifest = json.loads(Path(made.folder, "manifest.json").read_text())
    assert manifest["train"] == 3
    assert manifest["duplicates"] == 1
    assert manifest["dropped"] == {"invalid_call": 2, "ungrounded": 4}
    assert manifest["repositories"] == {"repository-0": 1, "repository-1": 1, "repository-2": 1}
    assert manifest["traces"] == ["trace-0", "trace-1", "trace-2"]
    assert manifest["digest"] == made.digest


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


def test_no_conversation_is_in_both_parts(tmp_path: Path) -> None:
    first = [example(n) for n in range(100)]
    second = [msgspec.structs.replace(example(n + 1000), conversation=f"conversation-{n:03}") for n in range(100)]
    made = write_dataset([*first, *second], Counter(), tmp_path, valid_share=0.3)
    parts = [{e.conversation for e in read_examples(Path(made.folder, f"{name}.jsonl"))} for name in ("train", "valid")]
    assert parts[0]
    assert parts[1]
    assert not parts[0] & parts[1]


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
