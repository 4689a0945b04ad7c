"""Examples for the tests of datasets, made of numbers: two numbers never give texts that are alike."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from distill.dataset import Example, Inputs, read_examples
from router.chat import FunctionCall, FunctionSpec, Message, Tool, ToolCall

TOOLS = [Tool(FunctionSpec("t", "A tool.", {"type": "object", "properties": {"b": {}, "a": {}}}))]
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def prose(seed: object, count: int = 40) -> str:
    """So many words that nobody else says."""
    chance = random.Random(str(seed))
    return " ".join("".join(chance.choices(_LETTERS, k=7)) for _ in range(count))


def example(number: int, said: str = "", identity: str = "c1", **changes: Any) -> Example:
    """A question, a call, its result and an answer."""
    call = ToolCall(identity, FunctionCall("t", f'{{"n": {number}}}'))
    messages = [
        Message("user", [{"type": "text", "text": f"Question {number}? é \u2028 \x00"}]),
        Message("assistant", None, [call]),
        Message("tool", "result", tool_call_id=identity),
        Message("assistant", said or f"Answer {number}."),
    ]
    fields = {"conversation": f"conversation-{number:03}", "repository": f"repository-{number % 3}", **changes}
    return Example(**{"traces": [f"trace-{number}"], "messages": messages, "tools": TOOLS, **fields})


def spoken(question: str, answer: str, **fields: Any) -> Example:
    """A question and an answer in words."""
    messages = [Message("system", "Look."), Message("user", question), Message("assistant", answer)]
    named = {"conversation": question[:60], "repository": "r", "traces": [question[:60]], **fields}
    return Example(**{"messages": messages, "tools": [], **named})


def inputs(new: Sequence[Example], old: Sequence[Example] = (), **more: Any) -> Inputs:
    return Inputs(lambda: new, lambda: old, **more)


def files(folder: str | Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def manifest(folder: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(Path(folder, "manifest.json").read_text())
    return read


def parts(folder: str) -> tuple[list[Example], list[Example]]:
    """What is learnt, and what is held out."""
    train, valid = (read_examples(Path(folder, f"{name}.jsonl")) for name in ("train", "valid"))
    return train, valid


@st.composite
def crowds(draw: st.DrawFn, most: int = 60) -> list[Example]:
    """Examples of few clients, repositories, conversations and days, some said twice or nearly twice."""
    few = st.integers(0, draw(st.integers(0, 30)))
    made = []
    for number in range(draw(st.integers(1, most))):
        asked = draw(st.sampled_from([prose(number), prose(number % 5), prose(number % 5) + " more"]))
        fields = {
            "conversation": f"c{draw(few)}",
            "repository": draw(st.sampled_from(["", f"r{draw(few)}"])),
            "client": draw(st.sampled_from(["", f"k{draw(few)}"])),
            "created": 86400.0 * draw(few),
            "traces": [f"t{number}"],
        }
        made.append(spoken(asked, prose(-number, draw(st.sampled_from([3, 20]))), **fields))
    return [*made, spoken(prose("somebody"), prose("else"))]  # what no test leaves out
