"""What was read of a message, kept for the next turn of its conversation, which brings it again.

Owns the reading of single messages and of tools, and how much of it is kept. A message is known again by Python's
keyed hash of its text and its length: without the process's key nobody can make two that are taken for one. Knows
nothing of features.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from router.chat import Message, Tool, ToolCall
from router.groups import changes
from router.verify import canonical

_ERRORS = ("error", "exception", "traceback", "invalid", "not found", "no such", "denied", "failed", "cannot")
_HEAD = 2000  # characters of a result in which an error is looked for: long results quote code that speaks of errors
_KEPT = 50_000  # messages; a tenth as many calls, a hundredth as many lists of tools
_LONGEST_CALL = 2000  # characters of arguments that are kept
_encode = msgspec.json.Encoder(order="deterministic").encode


class Read(msgspec.Struct, frozen=True, gc=False):
    """What is kept of a message."""

    characters: int
    error: bool  # whether it is a tool's result that tells of an error


class Offer(msgspec.Struct, frozen=True, gc=False):
    """What is kept of a list of tools. `key` is the same for the same names."""

    key: str
    count: int
    characters: int
    most_required: int
    nested: bool
    destructive: bool


_NO_TOOLS = Offer("", 0, 0, 0, nested=False, destructive=False)


class Memory:
    """What was read of the last messages and lists of tools."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._messages: OrderedDict[tuple[str, int, int], Read] = OrderedDict()
        self._offers: OrderedDict[tuple[int, int], Offer] = OrderedDict()
        self._calls: OrderedDict[tuple[str, str], tuple[str, bytes]] = OrderedDict()

    def message(self, message: Message, text: str) -> Read:
        """What is to be known of a message, whose text this is."""
        key = (message.role, len(text), hash(text))
        found = self._messages.get(key)
        if found is None:
            error = message.role == "tool" and _tells_error(text[:_HEAD].lower())
            found = self._messages[key] = Read(len(text), error)
            if len(self._messages) > self._kept:
                self._messages.popitem(last=False)
        return found

    def meaning(self, call: ToolCall) -> tuple[str, bytes]:
        """A call in its one spelling."""
        key = (call.function.name, call.function.arguments)
        found = self._calls.get(key)
        if found is None:
            found = canonical(call)
            if len(key[1]) <= _LONGEST_CALL:
                self._calls[key] = found
                if len(self._calls) > self._kept // 10:
                    self._calls.popitem(last=False)
        return found

    def offer(self, tools: Sequence[Tool] | None) -> Offer:
        """What is to be known of the tools that are offered."""
        if not tools:
            return _NO_TOOLS
        body = _encode(tools)
        key = (len(body), hash(body))
        found = self._offers.get(key)
        if found is None:
            found = self._offers[key] = _offer(tools, len(body))
            if len(self._offers) > self._kept // 100:
                self._offers.popitem(last=False)
        return found


def _tells_error(text: str) -> bool:
    return any(word in text for word in _ERRORS)


def _offer(tools: Sequence[Tool], characters: int) -> Offer:
    required, nested = 0, False
    for tool in tools:
        schema = tool.function.parameters
        names, properties = schema.get("required"), schema.get("properties")
        required = max(required, len(names) if isinstance(names, list) else 0)
        for value in properties.values() if isinstance(properties, dict) else ():
            nested = nested or (isinstance(value, dict) and value.get("type") in ("object", "array"))
    names_of = sorted(tool.function.name for tool in tools)
    return Offer(
        ",".join(names_of)[:2000],
        len(tools),
        characters,
        required,
        nested,
        any(changes(name) for name in names_of),
    )
