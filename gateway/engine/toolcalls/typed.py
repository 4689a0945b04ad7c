"""Text to a value of the type that a schema asks for.

Owns the reading of a tool's parameter types (JSON Schema: type, anyOf, oneOf, allOf, enum, const, local $ref). What
does not read as any of them stays the text it is: judging it is not done here. Knows nothing of calls.
"""

from __future__ import annotations

import ast
import json
import math
import re
from typing import Any

_DEEPEST = 8  # schemas within schemas that are looked into
_LONGEST = 1 << 16  # characters of a Python literal that are read as one
_INTEGER = re.compile(r"[+-]?\d{1,4000}\Z")
_NUMBER = re.compile(r"[+-]?(?:\d{1,400}\.?\d{0,400}|\.\d{1,400})(?:[eE][+-]?\d{1,4})?\Z")
_TYPE_NAMES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}


class Properties:
    """What a tool's schema says of its parameters."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._root = schema
        found = schema.get("properties")
        self._properties: dict[str, Any] = found if isinstance(found, dict) else {}

    def holds(self, key: str) -> bool:
        return key in self._properties or not self._properties

    def of(self, key: str) -> frozenset[str]:
        """The names of the types that a parameter may have; none: nothing is said."""
        return frozenset(self._types(self._properties.get(key), _DEEPEST))

    def _types(self, schema: Any, depth: int) -> set[str]:
        if not isinstance(schema, dict) or depth == 0:
            return set()
        named = schema.get("type")
        types = {named} if isinstance(named, str) else {name for name in named or [] if isinstance(name, str)}
        if types:
            return types
        values = schema["enum"] if isinstance(schema.get("enum"), list) else []
        values = [*values, schema["const"]] if "const" in schema else values
        types = {_TYPE_NAMES.get(type(value), "null") for value in values}
        for word in ("anyOf", "oneOf", "allOf"):
            for inner in schema[word] if isinstance(schema.get(word), list) else []:
                types |= self._types(inner, depth - 1)
        return types | self._types(self._target(schema.get("$ref")), depth - 1)

    def _target(self, reference: Any) -> Any:
        """What a local reference points to."""
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return None
        place: Any = self._root
        for step in reference[2:].split("/"):
            place = place.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(place, dict) else None
        return place


def typed(text: str, types: frozenset[str]) -> Any:
    """`text` as the narrowest of `types` that it reads as; without types only an object or a list is read."""
    word = text.strip()
    lowered = word.lower()
    if lowered in ("null", "none") and types and ("null" in types or "string" not in types):
        return None
    if "boolean" in types and lowered in ("true", "false"):
        return lowered == "true"
    if types & {"integer", "number"} and (number := _number(word, whole="number" not in types)) is not None:
        return number
    if (types & {"object", "array"} or not types) and word[:1] in ("{", "["):
        return _structure(word, text)
    return text


def _number(word: str, *, whole: bool) -> int | float | None:
    if _INTEGER.match(word):
        return int(word)
    if not _NUMBER.match(word):
        return None
    number = float(word)
    if not math.isfinite(number):
        return None
    return (int(number) if number.is_integer() else None) if whole else number


def _structure(word: str, text: str) -> Any:
    """An object or a list, written as JSON or as Python."""
    try:
        value = json.loads(word, strict=False)
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        value = _literal(word)
    return value if isinstance(value, dict | list) else text


def _literal(word: str) -> Any:
    if len(word) > _LONGEST:
        return None
    try:
        value = ast.literal_eval(word)
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None
    return value
