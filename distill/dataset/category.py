"""Category: tool, depth and type of answer, by which a dataset is balanced. Owns their names; reads form alone."""

from __future__ import annotations

import msgspec

from distill.dataset.example import Example

_NAMED = 3  # tools; an example that uses more is called after their number
_DEEP = 8  # turns with calls; deeper ones are one class


class Category(msgspec.Struct, frozen=True):
    """`tool` is what was called, joined by "+"; `depth` how many turns called something; `answer` how it ends."""

    tool: str
    depth: str
    answer: str

    @property
    def name(self) -> str:
        return f"{self.tool}/{self.depth}/{self.answer}"


def category_of(example: Example) -> Category:
    said = [message for message in example.messages if message.role == "assistant"]
    called = sorted({call.function.name for message in said for call in message.tool_calls or ()})
    tool = "+".join(called) if len(called) <= _NAMED else f"{len(called)} tools"
    depth = sum(bool(message.tool_calls) for message in said)
    last = said[-1] if said else None
    answer = "call" if last is not None and last.tool_calls else _form(last.text if last is not None else "")
    return Category(tool or "none", _depth(depth), answer)


def _depth(turns: int) -> str:
    if turns >= _DEEP:
        return f"{_DEEP}+"
    return str(turns) if turns < 2 else "2-3" if turns < 4 else f"4-{_DEEP - 1}"


def _form(text: str) -> str:
    if "```" in text:
        return "code"
    lines = [line.lstrip() for line in text.splitlines()]
    items = sum(line.startswith(("- ", "* ", "• ")) or line.partition(". ")[0].isdecimal() for line in lines)
    return "list" if items >= 2 else "text"
