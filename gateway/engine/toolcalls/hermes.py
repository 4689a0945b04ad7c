"""JSON calls as Hermes, Qwen2.5, Qwen3 and SmolLM2 write them: tolerant of form, never dropping a word.

Understood are tags (also left open at the end of a turn, also with several calls inside, also with a bracket too
many), fenced JSON and bare JSON, an object or an array of them, with text before, between and after. What is not a
call stays in the text.

Linear in hostile text: JSON that was read once is not read again from the inside, and a decoder's error is asked for
in a window, as it counts the lines before it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from gateway.engine.toolcalls.form import Broken, Ending, Found, Unfinished, begun, call_of
from router.chat import FunctionCall

OPENING = "<tool_call>"
CLOSING = "</tool_call>"

_FENCE = r"```(?:json|tool_calls?|tool_code|jsonc?)?[ \t]{0,8}\r?\n\s{0,32}(?=[\[{])"
_BARE = r'[\[{][\s\[{]{0,8}"(?:name|arguments|parameters|function|tool_calls?|type|id)"'
_MARK = re.compile(f"{OPENING}|{_FENCE}|{_BARE}")
_TAG = re.compile(OPENING)
# the beginnings of a fence or of bare JSON at the end of an unfinished text
_BEGUN = re.compile(r'(?:`{1,2}|```[a-z_]{0,10}[ \t]{0,8}(?:\r?\n\s{0,32})?|[\[{][\s\[{]{0,8}(?:"[a-z_]{0,10})?)\Z')
_BETWEEN = re.compile(r"[\s,;]*")
_SURPLUS = re.compile(r"[\s,;\]}]*")  # what may stand between the last value and the closing tag
_FENCE_END = re.compile(r"\s*```")
_FENCE_MAY_END = re.compile(r"\s*`{0,2}\Z")

_DECODER = json.JSONDecoder(strict=False)  # a raw line break in a string is no reason to lose a call
_WINDOW = 1024  # characters
_TOKEN = 16  # no number's tail, literal or escape that the end of a window may cut is longer


class Hermes:
    """`names` are the tools offered: JSON without tags is a call only if it names one; not `loose`: never."""

    openings = (OPENING,)
    endings = (">", "}", "]", "`")

    def __init__(self, names: Collection[str], *, loose: bool = True) -> None:
        self._names = names
        self._loose = loose

    def find(self, text: str, start: int, ending: Ending) -> Found | int:
        position = judged = start
        marks = _MARK if self._loose else _TAG
        while (mark := marks.search(text, position)) is not None:
            position = mark.start() + 1
            if mark[0][0] in "[{" and mark.start() < judged:
                continue  # inside JSON that is no call
            try:
                calls, end = self._calls_at(text, mark, ending)
            except Unfinished as unfinished:
                if ending is not Ending.WHOLE:
                    return mark.start() if ending is Ending.OPEN else len(text)
                judged = max(judged, unfinished.at)
            except Broken as broken:
                judged = max(judged, broken.at)
            else:
                return Found(mark.start(), end, calls)
        return self._unmarked(text, position) if ending is Ending.OPEN else len(text)

    def _unmarked(self, text: str, position: int) -> int:
        tag = begun(text, self.openings)
        loose = _BEGUN.search(text, max(position, len(text) - 64)) if self._loose else None
        return min(tag, loose.start()) if loose else tag

    def _calls_at(self, text: str, mark: re.Match[str], ending: Ending) -> tuple[list[FunctionCall], int]:
        if mark[0] == OPENING:
            return tagged(text, mark.end(), ending)
        if mark[0][0] != "`":
            value, end = _decode(text, mark.start())
            return self._offered([value], end), end
        values, end = _values(text, mark.end(), ending)
        calls = self._offered(values, end)
        if (fence := _FENCE_END.match(text, end)) is not None:
            return calls, fence.end()
        if ending is not Ending.WHOLE and _FENCE_MAY_END.match(text, end):
            raise Unfinished(len(text))
        return calls, end

    def _offered(self, values: list[Any], end: int) -> list[FunctionCall]:
        calls = _calls(values, end, strict=True)
        if any(call.name not in self._names for call in calls):
            raise Broken(end)
        return calls


def tagged(text: str, start: int, ending: Ending) -> tuple[list[FunctionCall], int]:
    """The calls behind an opening tag that ends at `start`, and where they end. Raises Broken or Unfinished."""
    values, end = _values(text, start, ending)
    calls = _calls(values, end, strict=False)
    return calls, closed(text, end, ending, surplus=_SURPLUS)


def closed(text: str, end: int, ending: Ending, *, surplus: re.Pattern[str]) -> int:
    """Where a call ends whose last value ends at `end`: behind its closing tag if it has one, else behind the value."""
    rest = surplus.match(text, end)
    after = rest.end() if rest else end
    if text.startswith(CLOSING, after):
        return after + len(CLOSING)
    if text.startswith(OPENING, after):
        return after
    if CLOSING.startswith(text[after:]) or OPENING.startswith(text[after:]):  # at the end of the text
        if ending is Ending.WHOLE:
            return len(text)
        raise Unfinished(len(text))
    return end


def _values(text: str, start: int, ending: Ending) -> tuple[list[Any], int]:
    """The JSON objects and arrays that follow each other from `start` on, at least one."""
    values: list[Any] = []
    end = start
    while True:
        between = _BETWEEN.match(text, end)
        at = between.end() if between else end
        if not text.startswith(("{", "["), at):
            break
        try:
            value, end = _decode(text, at)
        except Broken as broken:
            if values and (ending is not Ending.OPEN or not isinstance(broken, Unfinished)):
                break  # it stays in the text, behind the calls
            raise
        values.append(value)
    if not values:
        raise Unfinished(at) if at == len(text) else Broken(at)
    return values, end


def _decode(text: str, start: int) -> tuple[Any, int]:
    """The JSON value at `start` and where it ends."""
    width = _WINDOW
    while True:
        window = text[start : start + width]
        whole = start + width >= len(text)
        try:
            value, length = _DECODER.raw_decode(window)
        except json.JSONDecodeError as error:
            if len(window) - error.pos > _TOKEN and not error.msg.startswith("Unterminated"):
                raise Broken(start + error.pos) from None
            if whole:
                raise Unfinished(start + error.pos) from None
            width *= 4
        except (ValueError, RecursionError):  # a number or a nesting beyond what anyone reads
            raise Unfinished(len(text)) from None
        else:
            return value, start + length


def _calls(values: list[Any], end: int, *, strict: bool) -> list[FunctionCall]:
    try:
        return [call for value in values for call in _calls_in(value, strict)]
    except (ValueError, TypeError, RecursionError):
        raise Broken(end) from None


def _calls_in(value: Any, strict: bool) -> list[FunctionCall]:
    """The calls that a JSON value stands for; `strict`: arguments must be there."""
    if isinstance(value, dict) and isinstance(value.get("tool_calls"), list):
        value = value["tool_calls"]
    if isinstance(value, list):
        if not value:
            raise ValueError("no call in an empty list")
        return [call for item in value for call in _calls_in(item, strict)]
    if not isinstance(value, dict):
        raise TypeError("a call is an object")
    if isinstance(value.get("function"), dict):
        value = value["function"]
    name = value.get("name")
    field = next((key for key in ("arguments", "parameters") if key in value), None)
    if not isinstance(name, str) or not name or (strict and field is None):
        raise ValueError("a call has a name")
    return [call_of(name, value[field] if field else {})]
