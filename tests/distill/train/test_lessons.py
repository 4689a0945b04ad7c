"""What a run learns from: Nightschool's datasets and mlx-lm's, and what is refused before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from distill.dataset import Example
from distill.dataset.example import line_of
from distill.errors import DatasetError
from distill.render import Renderer
from distill.train.lessons import lessons, read
from distill.train.recipe import Recipe
from router.chat import FunctionCall, FunctionSpec, Message, Tool, ToolCall

TOOL = {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}}
CALL = {"type": "function", "function": {"name": "look", "arguments": {"at": "a.py"}}}


def folder(tmp_path: Path, train: list[Any], valid: list[Any] | None = None) -> Path:
    for name, lines in (("train", train), ("valid", valid)):
        if lines is not None:
            text = "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
            (tmp_path / f"{name}.jsonl").write_text(text)
    return tmp_path


def said(renderer: Renderer, place: Path) -> list[str]:
    """What is learnt of the first conversation, turn by turn."""
    example = next(iter(read(place / "train.jsonl")))
    parts = renderer.segments(example.messages, example.tools or None, learnt=example.learnt)
    return [renderer.decode(part.ids) for part in parts if part.learnt]


def test_mlx_lms_chats_with_tools(renderer: Renderer, tmp_path: Path) -> None:
    messages = [
        {"role": "user", "content": "What is in a.py?"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "name": "look", "content": "x = 1"},
        {"role": "assistant", "content": "x is 1."},
    ]
    place = folder(tmp_path, [{"messages": messages, "tools": [TOOL]}], [{"messages": messages, "tools": [TOOL]}])
    found = lessons(place, renderer, Recipe())
    assert (len(found.train), len(found.apart), found.too_long, found.silent) == (1, 1, 0, 0)
    turns = said(renderer, place)
    assert len(turns) == 2
    assert '"at": "a.py"' in turns[0]
    assert turns[1].startswith("x is 1.")


def test_mlx_lms_completions(renderer: Renderer, tmp_path: Path) -> None:
    place = folder(tmp_path, [{"prompt": "Two and two?", "completion": "Four."}])
    assert [turn[:5] for turn in said(renderer, place)] == ["Four."]
    assert lessons(place, renderer, Recipe()).apart == []


def test_a_message_of_no_weight_is_not_learnt(renderer: Renderer, tmp_path: Path) -> None:
    messages = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": "No.", "weight": 0},
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": "Yes."},
    ]
    assert [turn[:4] for turn in said(renderer, folder(tmp_path, [{"messages": messages}]))] == ["Yes."]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{\n", "train.jsonl, line 1"),
        ("[1]\n", "train.jsonl:1"),
        ('{"text": "all of it"}\n', "neither messages nor prompt and completion"),
        ('{"messages": [{"role": "king", "content": "?"}]}\n', "train.jsonl:1"),
        ('{"messages": [], "tools": 7}\n', "train.jsonl:1"),
        ("", "none of the 0 examples"),
        ('{"messages": [{"role": "user", "content": "?"}]}\n', "in 1 the assistant says nothing"),
        (json.dumps({"prompt": "?", "completion": "long " * 300}) + "\n", "1 are longer"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(renderer: Renderer, tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        lessons(folder(tmp_path, [line]), renderer, Recipe(max_tokens=200))


def example(*answers: Message, tools: bool = True) -> str:
    offered = [Tool(FunctionSpec("look", "Looks.", {"type": "object"}))] if tools else []
    return line_of(Example("c", "r", [], [Message("user", "?"), *answers], offered)).decode()


CALLS = (Message("assistant", None, [ToolCall("c", FunctionCall("look"))]), Message("tool", "x", tool_call_id="c"))
ANSWERS = (Message("assistant", "It is x."),)


def test_a_one_sided_dataset_is_refused(renderer: Renderer, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="every turn to learn is a tool call"):
        lessons(folder(tmp_path, [example(*CALLS)] * 3), renderer, Recipe())
    with pytest.raises(DatasetError, match="none is ever called"):
        lessons(folder(tmp_path, [example(*ANSWERS)] * 3), renderer, Recipe())
    for both in ([example(*CALLS, *ANSWERS)], [example(*CALLS), example(*ANSWERS)], [example(*ANSWERS, tools=False)]):
        assert lessons(folder(tmp_path, both), renderer, Recipe()).train


def test_a_missing_folder(renderer: Renderer, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"cannot be read .*: a dataset is a folder with train\.jsonl"):
        lessons(tmp_path / "nowhere", renderer, Recipe())


def test_words_before_a_call_are_kept_or_dropped(renderer: Renderer, tmp_path: Path) -> None:
    call = ToolCall("c", FunctionCall("look"))
    thinking = Message("assistant", "Let me look.", [call], reasoning_content="Hm.")
    place = folder(tmp_path, [example(thinking, CALLS[1], *ANSWERS), example(*CALLS, *ANSWERS)])
    both = [lessons(place, renderer, Recipe(thoughts=how)) for how in ("keep", "drop")]
    kept, dropped = (one.train for one in both)
    assert [one.unsaid for one in both] == [0, 1]
    assert len(kept[0].ids) > len(dropped[0].ids)
    assert [renderer.decode(one.ids[one.learnt].tolist()) for one in dropped[:1]] == [
        renderer.decode(one.ids[one.learnt].tolist()) for one in kept[1:]
    ]
