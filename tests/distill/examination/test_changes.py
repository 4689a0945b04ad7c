"""What changed between two examinations, read from files as a night writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from distill.errors import ExaminationError
from distill.examination.changes import Change, answers_of, changes


def line(
    name: str, right: bool, exact: bool, answer: str = "it is here", calls: tuple[str, ...] = (), **more: Any
) -> bytes:
    """One answer; fields that nobody reads here come along."""
    asked = {
        "id": name,
        "text": f"Where is {name}?",
        "category": "search",
        "oracle": {"kind": "names", "value": [name]},
    }
    made = [{"id": "c", "type": "function", "function": {"name": "read_file", "arguments": one}} for one in calls]
    messages = [{"role": "user", "content": asked["text"]}]
    for call in made:
        messages += [{"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "content": "found"}]
    messages.append({"role": "assistant", "content": answer})
    mark = {"question": name, "exact": exact, "right": right, "end": "answered", "seconds": 1.0}
    return msgspec.json.encode({"question": asked, "mark": mark, "messages": messages, **more}) + b"\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def compared(folder: Path, first: list[bytes], second: list[bytes]) -> dict[str, Change]:
    (folder / "one").write_bytes(b"".join(first))
    (folder / "two").write_bytes(b"".join(second))
    return {one.id: one for one in changes(folder / "one", folder / "two").changes}


def test_what_changed_is_sorted_by_what_it_is_worth(folder: Path) -> None:
    before = [
        line("gained", right=False, exact=False),
        line("calls", right=True, exact=False, calls=('{"path": "b"}',)),
        line("lost", right=True, exact=False),
        line("wrong", right=False, exact=False, answer="there"),
        line("words", right=True, exact=True, answer="here"),
        line("same", right=False, exact=True),
    ]
    after = [
        line("gained", right=True, exact=False),
        line("calls", right=True, exact=True, calls=('{"path": "a"}',)),
        line("lost", right=False, exact=True),
        line("wrong", right=False, exact=False, answer="elsewhere"),
        line("words", right=True, exact=True, answer="it is here"),
        line("same", right=False, exact=True, later="field"),
    ]
    found = compared(folder, before, after)
    assert {name: one.kind for name, one in found.items()} == {
        "gained": "gained",
        "calls": "gained",
        "lost": "lost",
        "wrong": "differently wrong",
        "words": "differently right",
        "same": "same",
    }
    both = changes(folder / "one", folder / "two")
    assert (both.turned("right"), both.turned("exact")) == ((1, 1), (2, 0))
    assert both.counts == {"gained": 2, "lost": 1, "differently wrong": 1, "differently right": 1, "same": 1}
    assert [call.arguments for call in found["calls"].second.calls] == ['{"path": "a"}']
    assert found["wrong"].first.answer == "there"


def test_what_only_one_was_asked_and_what_cannot_be_read_is_counted(folder: Path) -> None:
    compared(
        folder,
        [line("a", True, True), line("b", True, True), b'{"question": 3}\n', b'{"cut'],
        [line("b", True, True), line("c", True, True), line("d", True, True), b"\xff\n"],
    )
    found = changes(folder / "one", folder / "two")
    assert ([one.id for one in found.changes], found.only_first, found.only_second) == (["b"], 1, 2)
    assert found.unreadable == 3


def test_nothing_in_common_is_an_error_and_so_are_missing_answers(folder: Path) -> None:
    with pytest.raises(ExaminationError, match="no question in common"):
        compared(folder, [line("a", True, True)], [line("b", True, True)])
    with pytest.raises(ExaminationError, match=r"was not examined by a night: it has no examination-base\.jsonl"):
        answers_of(folder, "base")


def test_an_answer_is_what_is_said_last_and_of_the_last_question(folder: Path) -> None:
    messages = [
        {"role": "user", "content": "before"},
        {"role": "assistant", "content": "earlier"},
        {"role": "user", "content": "now"},
        {"role": "assistant", "content": "let me see", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "content": "found"},
    ]
    cut = msgspec.json.encode(
        {"question": {"id": "a", "text": "now"}, "mark": {"exact": True, "right": False}, "messages": messages}
    )
    said = [*messages, {"role": "assistant", "content": [{"type": "text", "text": "yes"}]}]
    whole = msgspec.json.encode(
        {"question": {"id": "a", "text": "now"}, "mark": {"exact": True, "right": True}, "messages": said}
    )
    one = compared(folder, [cut], [whole])["a"]
    assert (one.first.answer, one.second.answer, len(one.first.calls)) == ("", "yes", 1)
