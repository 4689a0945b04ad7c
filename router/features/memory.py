"""What was read of calls and of lists of tools, kept for the next turn of a conversation, which brings them again.

Owns the reading and how much of it is kept. Tools are known again by Python's keyed hash of their JSON and its length:
without the process's key nobody can make two lists that are taken for one. Knows nothing of features.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from router.chat import Tool, ToolCall
from router.groups import changes
from router.verify import canonical

_KEPT = 5000  # calls, and a tenth as many lists of tools
_LONGEST_CALL = 2000  # characters of arguments that are kept
_encode = msgspec.json.Encoder(order="deterministic").encode


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
    """What was read of the last calls and lists of tools."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._offers: OrderedDict[tuple[int, int], Offer] = OrderedDict()
        self._calls: OrderedDict[tuple[str, str], tuple[str, bytes]] = OrderedDict()

    def meaning(self, call: ToolCall) -> tuple[str, bytes]:
        """A call in its one spelling."""
        key = (call.function.name, call.function.arguments)
        found = self._calls.get(key)
        if found is None:
            found = canonical(call)
            if len(key[1]) <= _LONGEST_CALL:
                self._calls[key] = found
                if len(self._calls) > self._kept:
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
            if len(self._offers) > self._kept // 10:
                self._offers.popitem(last=False)
        return found


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
