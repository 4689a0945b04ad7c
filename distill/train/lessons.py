"""What a run learns from: the conversations of a folder as tokens, and what is refused before anything is trained.

A folder holds `train.jsonl` and, mostly, `valid.jsonl`; their lines are Nightschool's examples, or those of mlx-lm's
data folders: `messages` with or without `tools`, or `prompt` and `completion`. Knows nothing of training.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from distill.dataset import Example, stream_examples
from distill.errors import DatasetError
from distill.formats.lines import Unreadable
from distill.formats.messages import WrittenMessage, chat_messages, chat_tools
from distill.render import Renderer
from distill.train.recipe import Recipe
from distill.train.tokens import Tokens, tokens_of
from router.chat import Message


class Lessons(NamedTuple):
    """Conversations to learn from and those kept `apart`; `too_long` and `silent` ones were left out, and of `unsaid`
    ones words before calls."""

    train: list[Tokens]
    apart: list[Tokens]
    too_long: int
    silent: int
    unsaid: int


class _Line(msgspec.Struct):
    """A line of mlx-lm's."""

    messages: list[WrittenMessage] | None = None
    tools: Any = None
    prompt: str | None = None
    completion: str | None = None


def lessons(folder: Path, renderer: Renderer, recipe: Recipe) -> Lessons:
    """Raises DatasetError for a folder that holds nothing to learn, only calls or only answers, or damaged lines."""
    examples = list(read(folder / "train.jsonl"))
    train, too_long, silent = _fitting(examples, renderer, recipe)
    if not train:
        raise DatasetError(
            f"none of the {len(examples)} examples has anything to learn within {recipe.max_tokens} tokens: "
            f"{too_long} are longer (raise max_tokens), in {silent} the assistant says nothing that is learnt"
        )
    _check_sides(examples)
    held = folder / "valid.jsonl"
    apart = _fitting(list(read(held)), renderer, recipe)[0] if held.exists() else []
    unsaid = sum(_thinks(one) for one in examples) if recipe.thoughts == "drop" else 0
    return Lessons(train, apart, too_long, silent, unsaid)


def read(path: Path) -> Iterator[Example]:
    """The examples of a file in either form. Raises DatasetError naming the first line that is in neither."""
    with _opened(path) as file:
        first = next((line for line in file if line.strip()), b"")
    if not first or _is_ours(first):
        yield from stream_examples(path)
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _example(line, f"{path}:{number}")


def _opened(path: Path) -> Any:
    try:
        return path.open("rb")
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be read ({error.strerror}): a dataset is a folder with train.jsonl"
        ) from error


def _is_ours(line: bytes) -> bool:
    try:
        found = msgspec.json.decode(line)
    except (ValueError, RecursionError):
        return True  # and its reader says what is wrong
    return isinstance(found, dict) and "conversation" in found


def _example(line: bytes, place: str) -> Example:
    try:
        found = msgspec.json.decode(line, type=_Line)
        messages = chat_messages(found.messages or ())
        if found.prompt is not None and found.completion is not None:
            messages = [Message("user", found.prompt), Message("assistant", found.completion)]
        tools = chat_tools(found.tools)
    except (ValueError, TypeError, RecursionError, Unreadable) as error:
        raise DatasetError(f"{place}: {error}") from error
    if not messages:
        raise DatasetError(f"{place}: there are neither messages nor prompt and completion in it")
    learnt = None
    if found.messages and any(message.weight == 0 for message in found.messages):
        learnt = [at for at, message in enumerate(found.messages) if message.weight != 0]
    return Example(place, "", [], messages, tools, learnt=learnt)


def _fitting(examples: Sequence[Example], renderer: Renderer, recipe: Recipe) -> tuple[list[Tokens], int, int]:
    """The examples as tokens that fit and teach something; how many are too long, and how many teach nothing."""
    fitting: list[Tokens] = []
    too_long = silent = 0
    for example in examples:
        messages = example.messages if recipe.thoughts == "keep" else [_silent(one) for one in example.messages]
        tokens = tokens_of(renderer.segments(messages, example.tools or None, learnt=example.learnt))
        if not tokens.learnt.any():
            silent += 1
        elif len(tokens.ids) > recipe.max_tokens:
            too_long += 1
        else:
            fitting.append(tokens)
    return fitting, too_long, silent


def _silent(message: Message) -> Message:
    """A call without the words before it."""
    if message.role != "assistant" or not message.tool_calls:
        return message
    return msgspec.structs.replace(message, content=None, reasoning_content=None, reasoning=None)


def _thinks(example: Example) -> bool:
    """Whether an assistant says something before a call."""
    calling = (one for one in example.messages if one.role == "assistant" and one.tool_calls)
    return any(one.text.strip() or one.reasoning_content or one.reasoning for one in calling)


def _check_sides(examples: Sequence[Example]) -> None:
    """Where tools are offered, a model must see both: that they are called, and that an answer ends it."""
    offered = [example for example in examples if example.tools]
    said = itertools.chain.from_iterable(_learnt(example) for example in offered)
    sides = {bool(message.tool_calls) for message in said}
    if sides == {True}:
        raise DatasetError(
            "the dataset is one-sided: every turn to learn is a tool call, so the student would never come to an end. "
            "Add conversations that end with an answer"
        )
    if sides == {False}:
        raise DatasetError(
            "the dataset is one-sided: tools are offered and none is ever called, so the student would learn to use "
            "none. Add conversations with tool calls, or leave out the tools"
        )


def _learnt(example: Example) -> list[Message]:
    return [
        message
        for at, message in enumerate(example.messages)
        if message.role == "assistant" and (example.learnt is None or at in example.learnt)
    ]
