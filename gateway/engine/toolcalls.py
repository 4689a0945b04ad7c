"""Tool calls out of what a model wrote: tolerant of form, never dropping a word.

Understood are Hermes tags (also left open at the end, also with several calls inside), fenced JSON and bare JSON, an
object or an array of them, with text before, between and after. What is not a call stays in the content. Pure: knows
nothing of tokens, streams or schemas.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any, NoReturn

import msgspec

from router.chat import FunctionCall

_OPENING = "<tool_call>"
_CLOSING = "</tool_call>"
# the bounds on repetition keep the search linear in hostile text
_FENCE = re.compile(r"```(?:json|tool_calls?|tool_code|jsonc?)?[ \t]{0,8}\r?\n\s{0,32}(?=[\[{])")
_BARE = re.compile(r'[\[{][\s\[{]{0,32}"(?:name|arguments|parameters|function|tool_calls?|type|id)"')
_BETWEEN = re.compile(r"[\s,;]*")
_FENCE_END = re.compile(r"\s*```")
_MARK = re.compile(rf"{_OPENING}|{_FENCE.pattern}|{_BARE.pattern}")
# the beginnings of what _MARK finds, at the end of an unfinished text
_BEGUN = re.compile(
    r"(?:<(?:t(?:o(?:o(?:l(?:_(?:c(?:a(?:l(?:l)?)?)?)?)?)?)?)?)?"
    r"|`{1,2}|```[a-z_]{0,10}[ \t]{0,8}(?:\r?\n\s{0,32})?"
    r'|[\[{][\s\[{]{0,32}(?:"[a-z_]{0,10})?)\Z'
)


class Parsed(msgspec.Struct, frozen=True):
    """`content` begins with the text before the first call, as it was written."""

    content: str | None
    calls: list[FunctionCall]


class _NotACall(ValueError):
    pass


def parse(text: str, names: Collection[str]) -> Parsed:
    """Split a finished text into content and calls.

    `names` are the tools offered: JSON without tags counts as a call only if it names one of them.
    """
    calls: list[FunctionCall] = []
    pieces: list[str] = []
    done = position = 0
    while (mark := _MARK.search(text, position)) is not None:
        found = _calls_at(text, mark, names)
        if found is None:
            position = mark.start() + 1
            continue
        here, end = found
        pieces.append(text[done : mark.start()])
        calls += here
        done = position = end
    pieces.append(text[done:])
    if not calls:
        return Parsed(text, [])
    kept = [piece if i == 0 else piece.lstrip() for i, piece in enumerate(pieces) if piece.strip()]
    content = "\n".join(piece.rstrip() for piece in kept)
    return Parsed(content or None, calls)


def releasable(text: str, start: int = 0) -> int:
    """How much of an unfinished text is content for certain: up to this index nothing can become part of a call.

    White space at the end is held too, since it is dropped in front of a call. `start` is what an earlier call gave.
    """
    mark = _MARK.search(text, start) or _BEGUN.search(text, start)
    end = mark.start() if mark is not None else len(text)
    return start + len(text[start:end].rstrip())


def _calls_at(text: str, mark: re.Match[str], names: Collection[str]) -> tuple[list[FunctionCall], int] | None:
    """The calls that begin at a mark and where they end; None when it is something else."""
    try:
        if mark[0] == _OPENING:
            return _tagged(text, mark.end())
        if mark[0].startswith("`"):
            values, end = _values(text, mark.end())
            fence = _FENCE_END.match(text, end)
            return _named(values, names), fence.end() if fence else end
        value, end = _DECODER.raw_decode(text, mark.start())
        return _named([value], names), end
    except (ValueError, RecursionError):
        return None


def _tagged(text: str, start: int) -> tuple[list[FunctionCall], int]:
    values, end = _values(text, start)
    rest = _BETWEEN.match(text, end)
    end = rest.end() if rest else end
    if text.startswith(_CLOSING, end):
        end += len(_CLOSING)
    elif end < len(text) and not text.startswith(_OPENING, end):
        raise _NotACall  # something inside the tag is no JSON
    return [call for value in values for call in _calls_in(value)], end


def _named(values: list[Any], names: Collection[str]) -> list[FunctionCall]:
    calls = [call for value in values for call in _calls_in(value, strict=True)]
    if any(call.name not in names for call in calls):
        raise _NotACall
    return calls


def _values(text: str, start: int) -> tuple[list[Any], int]:
    """The JSON values that follow each other from `start` on; at least one."""
    values: list[Any] = []
    end = start
    while True:
        between = _BETWEEN.match(text, end)
        position = between.end() if between else end
        if not text.startswith(("{", "["), position):
            break
        value, end = _DECODER.raw_decode(text, position)
        values.append(value)
    if not values:
        raise _NotACall
    return values, end


def _calls_in(value: Any, *, strict: bool = False) -> list[FunctionCall]:
    """The calls that a JSON value stands for. `strict`: arguments must be there."""
    if isinstance(value, list):
        if not value:
            raise _NotACall
        return [call for item in value for call in _calls_in(item, strict=strict)]
    if not isinstance(value, dict):
        raise _NotACall
    if isinstance(value.get("tool_calls"), list):
        return _calls_in(value["tool_calls"], strict=strict)
    if isinstance(value.get("function"), dict):
        value = value["function"]
    if not isinstance(value.get("name"), str) or not value["name"]:
        raise _NotACall
    field = next((key for key in ("arguments", "parameters") if key in value), None)
    if field is None and strict:
        raise _NotACall
    return [FunctionCall(value["name"], _arguments(value[field] if field else {}))]


def _arguments(value: Any) -> str:
    """The arguments as JSON text, whether they came as an object or as its text."""
    if isinstance(value, str):
        value = _DECODER.decode(value) if value.strip() else {}
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise _NotACall
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair cannot leave the process as text
        return json.dumps(value)
    return text


def _refuse(constant: str) -> NoReturn:
    raise _NotACall(constant)


_DECODER = json.JSONDecoder(strict=False, parse_constant=_refuse)
