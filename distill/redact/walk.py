"""Every text in a record or a JSON value. Owns how they are gone through, so that a field added to a record is gone
through as well; knows nothing of what is done to a text.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec

from distill.outcome import Outcome
from distill.trace import Served, Trace
from router.chat import TokenLogprob

Change = Callable[[str, str], str]  # of a text and of the name that it stands under; "" where it stands under none

_ENCODED = (Served, TokenLogprob)  # what is gone with the text it encodes
_OURS = {Trace: {"id", "parent", "client", "state"}, Outcome: {"trace", "client", "kind"}}  # which no client wrote
_SMALLEST, _LARGEST = 10**8, 10**24  # of the numbers that could be a card's or somebody's


def changed(value: Any, change: Change, name: str = "") -> Any:
    """The value with every text in it changed, keys included; the same object where no text was.

    Raises RecursionError where the value is nested deeper than JSON can be read.
    """
    try:
        return _changed(value, change, name)
    except RecursionError:
        text = json.dumps(value)  # goes far deeper, in C
        made = change(text, name)
        return value if made is text else json.loads(made)


def _changed(value: Any, change: Change, name: str) -> Any:
    if isinstance(value, str):
        return change(value, name)
    if isinstance(value, dict):
        return _object(value, change, name)
    if isinstance(value, list):
        return _list(value, change, name)
    if isinstance(value, msgspec.Struct) and not isinstance(value, _ENCODED):
        return _record(value, change)
    if isinstance(value, int) and not isinstance(value, bool) and _SMALLEST <= value < _LARGEST:
        text = str(value)
        made = change(text, name)
        return value if made == text or not made.isdigit() else int(made)
    return value


def _object(value: dict[Any, Any], change: Change, name: str) -> dict[Any, Any]:
    same = True
    made: dict[Any, Any] = {}
    for key, item in value.items():
        text = isinstance(key, str)
        new_key = change(key, "") if text else key
        new_item = _changed(item, change, key if text else name)
        same = same and new_key is key and new_item is item
        made[_free(made, new_key)] = new_item
    return value if same else made


def _free(taken: dict[Any, Any], key: Any) -> Any:
    """The key, or one like it that is not taken: the folders of two homes may become one."""
    number, free = 2, key
    while free in taken:
        free, number = f"{key} ({number})", number + 1
    return free


def _list(value: list[Any], change: Change, name: str) -> list[Any]:
    made = [_changed(item, change, name) for item in value]
    return value if all(new is old for new, old in zip(made, value, strict=True)) else made


def _record(value: msgspec.Struct, change: Change) -> msgspec.Struct:
    ours = _OURS.get(type(value), ())
    made = {}
    for field in value.__struct_fields__:
        old = getattr(value, field)
        if old is None or field in ours:
            continue
        new = changed(old, change)
        if new is not old:
            made[field] = new
    return msgspec.structs.replace(value, **made) if made else value
