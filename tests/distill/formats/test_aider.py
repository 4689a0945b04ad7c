"""Aider's two histories."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from distill.trace import Trace

Whole = Callable[[str], list[Trace]]


def said(trace: Trace) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in trace.request.messages]


def test_the_screen(whole: Whole) -> None:
    renamed, why, greeted, left = whole("aider.chat.history.md")
    question = ("user", "Rename fire to bake.\nKeep the docstring.")
    assert said(renamed) == [question]
    assert renamed.answer is not None
    answer = "#### Plan\n\nI rename it:\n\n> a quoted line\n\n```\n# bake, not fire\n```"
    assert renamed.answer.content == answer
    assert said(why) == [question, ("assistant", answer), ("assistant", "Once more, for other.py."), ("user", "why?")]
    assert said(greeted) == [("user", "Hello")]
    assert said(left) == [("user", "Anything left?")]
    assert len({trace.conversation for trace in (renamed, why, greeted, left)}) == 3
    assert renamed.model == left.model == "openai/gpt-5"
    assert renamed.created == datetime(2025, 5, 6, 7, 8, 9).astimezone().timestamp()  # it tells no zone
    assert renamed.request.metadata == {"incomplete": True}
    assert why.request.metadata == {"commit": "0a1b2c3", "incomplete": True}


def test_a_history_in_its_place_tells_the_folder(
    tmp_path: Path, sample: Callable[[str], Path], taken: Callable[[Path], tuple]
) -> None:
    path = tmp_path / "kiln" / ".aider.chat.history.md"
    path.parent.mkdir()
    shutil.copy(sample("aider.chat.history.md"), path)
    traces, bad = taken(tmp_path)
    assert not bad
    metadata = traces[0].request.metadata
    assert (metadata["repository"], metadata["folder"]) == ("kiln", str(path.parent.resolve()))


def test_requests_and_answers(whole: Whole) -> None:
    first, second, third = whole("aider.llm.history")
    assert said(first) == [("system", "You edit files.\n\nAnswer in diffs."), ("user", "Rename fire to bake.")]
    assert first.answer is not None
    assert first.answer.content == "Done:\n\n- fire\n+ bake"
    assert said(second)[0] == said(first)[0]
    assert said(second)[1:] == [
        ("user", "Rename fire to bake."),
        ("assistant", "Done."),
        ("user", "And in other.py?"),
    ]
    assert first.conversation == second.conversation != third.conversation
    assert [(trace.turn, trace.parent) for trace in (first, second, third)] == [(0, ""), (1, first.id), (0, "")]
    assert second.created - first.created == 60
    assert first.request.metadata is None


def test_a_line_that_is_no_text_is_listed(
    tmp_path: Path, sample: Callable[[str], Path], taken: Callable[[Path], tuple]
) -> None:
    path = tmp_path / "history.md"
    path.write_bytes(sample("aider.chat.history.md").read_bytes().replace(b"It reads", b"\xff reads"))
    traces, bad = taken(path)
    assert [one.line for one in bad] == [35]
    assert bad[0].reason == "not valid UTF-8"
    assert len(traces) == 3
