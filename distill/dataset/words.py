"""What an example says, as words: what the user wanted, what the assistant did. Knows nothing of why that is asked."""

from __future__ import annotations

import re

from router.chat import Message

_WORD = re.compile(r"\w+")
# Blocks that agents put into the user's turn. They are the same in every conversation and hide how different the
# wishes are.
_NOTES = ("system", "system-reminder", "environment_context", "environment_details", "user_instructions")


def words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def shingles(said: list[str], size: int = 5) -> set[str]:
    """Every run of `size` words; of fewer words, all of them as one run."""
    if len(said) <= size:
        return {" ".join(said)} if said else set()
    return set(map(" ".join, zip(*(said[start:] for start in range(size)), strict=False)))


def goal(messages: list[Message]) -> str:
    """What the user wanted. A user message right behind a tool's result is an agent's reminder and no wish."""
    return "\n".join(
        _without_notes(message.text)
        for before, message in zip([None, *messages], messages, strict=False)
        if message.role == "user" and (before is None or before.role != "tool")
    )


def action(message: Message) -> str:
    """What an assistant's message says and calls."""
    calls = [f"{call.function.name} {call.function.arguments}" for call in message.tool_calls or ()]
    return "\n".join([message.text, *calls])


def _without_notes(text: str) -> str:
    for name in _NOTES:
        text = _without(text, f"<{name}>", f"</{name}>")
    return text


def _without(text: str, opening: str, closing: str) -> str:
    """The text without what stands between the two marks, these included. What is never closed stays."""
    kept, at = [], 0
    while (start := text.find(opening, at)) >= 0 and (end := text.find(closing, start)) >= 0:
        kept.append(text[at:start])
        at = end + len(closing)
    return "".join(kept) + text[at:]
