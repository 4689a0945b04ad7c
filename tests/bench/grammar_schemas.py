"""Twenty schemas for tool arguments, one for each thing that JSON Schema can ask for and tools do.

Strings and arrays are bounded, so that a call sampled at a high temperature can end.
"""

from __future__ import annotations

from typing import Any


def _object(properties: dict[str, Any], *required: str, **more: Any) -> dict[str, Any]:
    wanted = list(required) or list(properties)
    return {"type": "object", "properties": properties, "required": wanted, "additionalProperties": False, **more}


_SHORT = {"type": "string", "maxLength": 12}
_POINT = _object({"x": {"type": "integer", "minimum": -9, "maximum": 9}, "y": {"type": "integer", "minimum": 0}})

SCHEMAS: dict[str, dict[str, Any]] = {
    "read_lines": _object({"path": _SHORT, "start": {"type": "integer", "minimum": 1, "maximum": 9999}}),
    "choose": _object({"mode": {"enum": ["fast", "safe", "näher", "two words", '"quoted"']}}),
    "constant": _object({"version": {"const": 2}, "kind": {"const": "fixed"}, "none": {"const": None}}),
    "switch": _object({"on": {"type": "boolean"}, "why": {"type": ["string", "null"], "maxLength": 10}}),
    "nested": _object({"outer": _object({"inner": _object({"leaf": {"type": "boolean"}}), "name": _SHORT})}),
    "tags": _object({"tags": {"type": "array", "items": _SHORT, "minItems": 1, "maxItems": 3}}),
    "numbers": _object(
        {"values": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 50}, "maxItems": 4}}
    ),
    "ratio": _object({"share": {"type": "number", "minimum": 0, "maximum": 1}}),
    "above": _object({"count": {"type": "integer", "exclusiveMinimum": 10, "exclusiveMaximum": 20}}),
    "either": _object({"id": {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 99}, _SHORT]}}),
    "shape": _object(
        {
            "shape": {
                "anyOf": [
                    _object({"kind": {"const": "circle"}, "radius": {"type": "integer", "minimum": 1}}),
                    _object({"kind": {"const": "box"}, "sides": {"enum": [4, 6]}}),
                ]
            }
        }
    ),
    "path_of": _object({"points": {"type": "array", "items": {"$ref": "#/$defs/point"}, "maxItems": 2}})
    | {"$defs": {"point": _POINT}},
    "tree": _object({"root": {"$ref": "#/$defs/pair"}})
    | {"$defs": {"pair": _object({"left": {"type": "boolean"}, "right": {"type": "boolean"}})}},
    "ticket": _object({"key": {"type": "string", "pattern": "^[A-Z]{2,4}-[0-9]{1,5}$"}}),
    "word": _object({"word": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 10}}),
    "day": _object({"day": {"type": "string", "format": "date"}, "at": {"type": "string", "format": "time"}}),
    "code": _object({"code": {"type": "string", "minLength": 3, "maxLength": 6}}),
    "options": _object({"a": {"type": "boolean"}, "b": _SHORT, "c": {"type": "integer", "minimum": 0}}, "a"),
    "pair": _object(
        {
            "pair": {
                "type": "array",
                "prefixItems": [_SHORT, {"type": "boolean"}],
                "items": False,
                "minItems": 2,
                "maxItems": 2,
            }
        }
    ),
    "greet": _object({"name": {"enum": ["Zoë", "Łukasz", "李雷", "🙂"]}, "größe": {"enum": [1, 2.5, 10]}}),
}

LONG = "series"  # a call of it takes some 150 tokens: long enough to time
LONG_SCHEMA = _object(
    {"values": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 99}, "minItems": 50}}
)
