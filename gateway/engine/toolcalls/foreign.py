"""All other families: between two tags of theirs, read by mlx-lm's own parsers, wrapped so that nothing is dropped.

Those parsers pass over what they do not understand, and some answer with a call for any text. So a reading counts
only if it names tools that were offered and no word of the text is missing from it; else the next end tag is tried
(the first may have been inside a string), and in the end the text stays what it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import msgspec

from gateway.engine.toolcalls.form import Ending, Found, begun, call_of
from router.chat import FunctionCall, Tool

_TRIES = 8  # end tags that are tried for one opening, and openings that may fail in one text
_LONGEST = 1 << 17  # characters of a call
# of what begins a part of a call: the patterns behind this look at the rest of the text for each (measured: 16 kB of
# `call:a{` took gemma4's two seconds)
_MOST_PARTS = 128
_PART = re.compile("call:|<arg_key>|<longcat_arg_key>|<invoke|<parameter|<function|<param|<atem:|<\\|open\\|>")
_WORD = re.compile(r"[^\W\d]\w*")  # numbers may be written differently once they are read
_LITERALS = frozenset({"true", "false", "null", "True", "False", "None"})
# words that are the form and not the call, besides those in its tags
_SYNTAX = {
    "function_gemma": "call escape",
    "gemma4": "call",
    "glm47": "arg_key arg_value name arguments",
    "kimi_k2": "functions tool_call_begin tool_call_end tool_call_argument_begin",
    "kimi_k3": "open close sep call tool index argument key type string number boolean object array json",
    "laguna": "arg_key arg_value name arguments",
    "longcat": "longcat_arg_key longcat_arg_value name arguments",
    "minicpm5": "function param name CDATA",
    "minimax_m2": "invoke parameter name",
    "mistral": "ARGS name arguments id",
    "muse_spark": "atem invoke parameter name string",
    "pythonic": "",
}
_UNREADABLE = (  # what parsers not written for hostile text raise
    ValueError, LookupError, TypeError, AttributeError, SyntaxError, ArithmeticError, RecursionError, MemoryError,
)  # fmt: skip


class Foreign:
    """The form of `family`, whose parser is `module`."""

    def __init__(self, family: str, module: ModuleType, tools: Sequence[Tool]) -> None:
        self._parse = module.parse_tool_call
        self._opening: str = module.tool_call_start
        self._closing: str = module.tool_call_end
        self._syntax = _LITERALS | set(_SYNTAX.get(family, "").split())
        self._tools = [msgspec.to_builtins(tool) for tool in tools]
        self._names = {tool.function.name for tool in tools}
        self.openings = (self._opening,)
        self.endings = (self._closing or "\0",)  # without an end tag a call ends with the turn

    def find(self, text: str, start: int, ending: Ending) -> Found | int:
        position = start
        for _ in range(_TRIES):
            at = text.find(self._opening, position)
            if at < 0:
                return begun(text, self.openings) if ending is Ending.OPEN else len(text)
            position = at + len(self._opening)
            for end in self._ends(text, position, ending):
                if (calls := self._calls(text[position : end - len(self._closing)])) is not None:
                    return Found(at, end, calls)
            if ending is Ending.OPEN:
                return at
        return len(text)

    def _ends(self, text: str, start: int, ending: Ending) -> list[int]:
        """Where the call may end, its end tag included."""
        if not self._closing:
            return [len(text)] if ending is Ending.WHOLE else []
        ends: list[int] = []
        at = start
        while len(ends) < _TRIES and (found := text.find(self._closing, at)) >= 0:
            at = found + len(self._closing)
            ends.append(at)
        return ends

    def _calls(self, body: str) -> list[FunctionCall] | None:
        if len(body) > _LONGEST or len(_PART.findall(body)) > _MOST_PARTS:
            return None
        try:
            read: Any = self._parse(body, self._tools)
            values = read if isinstance(read, list) else [read]
            calls = [call_of(value["name"], value["arguments"]) for value in values]
        except _UNREADABLE:
            return None
        unknown = any(call.name not in self._names for call in calls)
        return None if not calls or unknown or _invented(body, calls) or self._lost(body, calls) else calls

    def _lost(self, body: str, calls: list[FunctionCall]) -> bool:
        """Whether a word of `body` is missing from the calls, which may spell it with or without escapes."""
        said = " ".join(f"{call.name} {call.arguments}" for call in calls)
        spelled = [said, json.dumps(said), *_strings([json.loads(call.arguments) for call in calls])]
        kept = {word for text in spelled for word in _WORD.findall(text)}
        return not kept.issuperset(set(_WORD.findall(body)) - self._syntax)


def _invented(body: str, calls: list[FunctionCall]) -> bool:
    """Whether an argument is there that the text does not name."""
    return any(key not in body for call in calls for key in json.loads(call.arguments))


def _strings(value: Any) -> list[str]:
    """Every string in a JSON value, keys included."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for item in value.items() for text in _strings(list(item))]
    return [text for item in value for text in _strings(item)] if isinstance(value, list) else []
