"""JSON schemas from outside, made fit to become grammars.

Owns what is refused before a grammar is built (references that leave the schema, too much of it) and the bounds that
are added so that what a model is made to write can be read again. Pure: fetches nothing, knows nothing of grammars'
syntax or tokens.
"""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import Any

from gateway.engine.errors import GrammarRefused

_MAX_BYTES = 64 * 1024  # of a schema as JSON; one of nothing but properties takes a fifth of a second to compile
_MAX_DEPTH = 100  # levels of JSON; a schema of a real tool has about ten
_MAX_REMAINDERS = 20_000  # multipleOf becomes an automaton with a state for each; this many compile in 50 ms
_DATA = frozenset({"const", "enum", "default", "examples", "example"})  # values, in which "$ref" is only a name
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_LARGEST = 9 * 10**18  # of numbers without a limit: fits 64 bits, and leaves no room for exponents beyond a float64
_WHITESPACE = r"[\x20\x0A]{1,20}"  # at any one place; without a bound a model can go on with newlines for ever
_PIECE = re.compile(r"\\.|\[\^?|.", re.DOTALL)
_SURE, _ANY_SPACE = r"\t\n\x0B\x0C\r ", r"\s\x{FEFF}"
_SPACES = {  # (as written, inside a negated class)
    (r"\s", False): f"[{_SURE}]",
    (r"\s", True): f"[{_ANY_SPACE}]",
    (r"\S", False): f"[^{_ANY_SPACE}]",
    (r"\S", True): f"[^{_SURE}]",
}

ANY_OBJECT: dict[str, Any] = {
    "type": "object",
    "additionalProperties": {"$ref": "#/$defs/value"},
    "$defs": {
        "value": {
            "anyOf": [
                {"type": "string"},
                {"type": "number"},
                {"type": "boolean"},
                {"type": "null"},
                {"type": "array", "items": {"$ref": "#/$defs/value"}},
                {"type": "object", "additionalProperties": {"$ref": "#/$defs/value"}},
            ]
        }
    },
}


def fit(schema: Any, param: str, *, lenient: bool = False) -> dict[str, Any]:
    """The schema with bounded white space and numbers. `lenient`: keywords without a grammar do not count.

    Raises GrammarRefused, naming `param`, when it is no object, too large or nested too deeply, refers to anything
    outside, or asks for multiples that would take too many states to tell.
    """
    if not isinstance(schema, dict):
        raise GrammarRefused("A JSON schema must be an object.", param=param)
    divisors: list[Decimal] = []
    fitted: dict[str, Any] = _fit(schema, param, 0, divisors)
    if _common_multiple(divisors) > _MAX_REMAINDERS:
        raise GrammarRefused(f"'multipleOf' can tell {_MAX_REMAINDERS} remainders at most.", param=param)
    if len(json.dumps(fitted)) > _MAX_BYTES:
        raise GrammarRefused(f"This schema takes more than {_MAX_BYTES // 1024} kB.", param=param)
    return {**fitted, "x-guidance": {"whitespace_pattern": _WHITESPACE, "lenient": lenient}}


def arguments(schema: dict[str, Any], param: str) -> dict[str, Any]:
    """A tool's `parameters` as the schema of its arguments, always an object; a tool without any takes none."""
    if not schema:
        return {"type": "object", "properties": {}, "additionalProperties": False}
    if schema.get("type", "object") != "object":
        raise GrammarRefused("A tool's parameters must be a schema of type 'object'.", param=param)
    return {**schema, "type": "object"}


def _fit(node: Any, param: str, depth: int, divisors: list[Decimal]) -> Any:
    """A copy of the schema, its numbers bounded; what its 'multipleOf' say is added to `divisors`."""
    if depth > _MAX_DEPTH:
        raise GrammarRefused(f"This schema is nested more than {_MAX_DEPTH} levels deep.", param=param)
    if isinstance(node, list):
        return [_fit(item, param, depth + 1, divisors) for item in node]
    if not isinstance(node, dict):
        return node
    _check_references(node, param)
    if _is_number(node.get("multipleOf")):
        divisors.append(Decimal(str(node["multipleOf"])))
    fitted: dict[str, Any] = {}
    for key, value in node.items():
        if key in _NAMED and isinstance(value, dict):
            fitted[key] = {name: _fit(item, param, depth + 2, divisors) for name, item in value.items()}
        else:
            fitted[key] = value if key in _DATA else _fit(value, param, depth + 1, divisors)
    if isinstance(fitted.get("pattern"), str):
        fitted["pattern"] = _spaces_agreed_on(fitted["pattern"])
    return _bounded(fitted)


def _check_references(node: dict[str, Any], param: str) -> None:
    for key in _REFERENCES:
        target = node.get(key)
        if isinstance(target, str) and not target.startswith("#"):
            raise GrammarRefused(
                f"The schema refers to {target[:100]!r}: only references that begin with '#' are followed, nothing is "
                "ever fetched.",
                param=param,
            )


def _common_multiple(divisors: list[Decimal]) -> int:
    """The least common multiple in units of the last decimal place of any: the states of an automaton for all."""
    positive = [divisor for divisor in divisors if divisor > 0]
    places = max((-int(divisor.as_tuple().exponent) for divisor in positive), default=0)
    return math.lcm(*(int(divisor.scaleb(max(places, 0))) for divisor in positive))


def _spaces_agreed_on(pattern: str) -> str:
    r"""The pattern with `\s` and `\S` reduced to what every dialect means by them.

    They differ on characters such as U+0085 and U+FEFF, so what verifies an answer may not agree with what wrote it.
    """
    pieces: list[str] = []
    negations: list[bool] = []  # of the character classes that are open
    for piece in _PIECE.findall(pattern):
        if piece.startswith("["):
            negations.append(piece == "[^")
        elif piece == "]" and negations:
            negations.pop()
        pieces.append(_SPACES.get((piece, sum(negations) % 2 == 1), piece))
    return "".join(pieces)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _bounded(node: dict[str, Any]) -> dict[str, Any]:
    """A schema of numbers with limits on both sides, where it has none."""
    kinds = node.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if not ("integer" in kinds or "number" in kinds) or node.keys() & {"multipleOf", "const", "enum"}:
        return node
    given = [node[key] for key in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum") if key in node]
    if any(not _is_number(limit) or abs(limit) >= _LARGEST for limit in given):
        return node  # what is there is out of the ordinary: it stays as it is
    low = {} if node.keys() & {"minimum", "exclusiveMinimum"} else {"minimum": -_LARGEST}
    high = {} if node.keys() & {"maximum", "exclusiveMaximum"} else {"maximum": _LARGEST}
    return {**node, **low, **high}
