"""Schemas of every kind, and requests that ask for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tokenizers import Tokenizer

from gateway.engine.grammars.grammar import Grammars, Guide
from router.chat import ChatRequest, parse_request

VOCABULARY, END = 49152, 2
BODY = {"model": "m", "messages": [{"role": "user", "content": "go"}]}


STRING, INTEGER = {"type": "string", "maxLength": 12}, {"type": "integer"}


def closed(**properties: Any) -> dict[str, Any]:
    """An object with exactly these properties."""
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


SCHEMAS: dict[str, dict[str, Any]] = {
    "flat": closed(path=STRING, line=INTEGER),
    "optional": {"type": "object", "properties": {"a": STRING, "b": {"type": "boolean"}}, "required": ["b"]},
    "nested": closed(at=closed(file=STRING, span=closed(first=INTEGER, last=INTEGER)), why=STRING),
    "enum": closed(kind={"enum": ["one", "two words", 3, None, True]}),
    "const": closed(version={"const": "1.0"}, mode={"const": {"a": [1, 2]}}),
    "array": closed(items={"type": "array", "items": STRING, "minItems": 1, "maxItems": 3}),
    "tuple": closed(pair={"type": "array", "prefixItems": [STRING, INTEGER], "items": False, "minItems": 2}),
    "any-of": closed(value={"anyOf": [STRING, INTEGER, {"type": "null"}, closed(x=INTEGER)]}),
    "types": closed(value={"type": ["string", "null"], "maxLength": 5}),
    "pattern": closed(id={"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3,6}$"}),
    "classes": closed(word={"type": "string", "pattern": r"^\w{1,5}\d\s?$"}),
    "spaces": closed(word={"type": "string", "pattern": r"^\S{1,5}[\s,][^\s]{1,3}[^\S]$"}),
    "date": closed(day={"type": "string", "format": "date"}, mail={"type": "string", "format": "email"}),
    "range": closed(n={"type": "integer", "minimum": -5, "maximum": 117}, p={"type": "number", "minimum": 0}),
    "exclusive": closed(p={"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}),
    "number": closed(x={"type": "number"}, y={"type": "number"}),
    "multiple": closed(n={"type": "integer", "multipleOf": 5, "minimum": 0, "maximum": 1000}),
    "lengths": closed(s={"type": "string", "minLength": 3, "maxLength": 6}),
    "unicode": closed(**{"größe": STRING, "名前": {"enum": ["東京", "ßé😀", 'with "quotes" \\ and\nlines']}}),
    "refs": closed(left={"$ref": "#/$defs/node"}, right={"$ref": "#/$defs/node"})
    | {"$defs": {"node": closed(name=STRING, weight={"$ref": "#/$defs/weight"}), "weight": {"type": "integer"}}},
    "all-of": {"allOf": [{"type": "object", "properties": {"a": STRING}, "required": ["a"]}, {"maxProperties": 3}]},
    "recursive": {
        "type": "object",
        "properties": {"value": INTEGER, "next": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}},
        "required": ["value", "next"],
        "additionalProperties": False,
    },
    "map": {"type": "object", "additionalProperties": INTEGER, "maxProperties": 3},
    "free": {"type": "object", "properties": {"command": STRING, "more": {"type": "object"}}, "required": ["command"]},
}


Write = Callable[[list[Guide]], list[tuple[str, bool]]]


def request(**fields: Any) -> ChatRequest:
    return parse_request({"model": "m", "messages": [{"role": "user", "content": "go"}], **fields})


def tool(name: str, parameters: dict[str, Any], *, strict: bool | None = None) -> dict[str, Any]:
    function = {"name": name, "parameters": parameters} | ({} if strict is None else {"strict": strict})
    return {"type": "function", "function": function}


def as_format(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def guide(grammars: Grammars, **fields: Any) -> Guide:
    made = grammars.constraint(request(**fields))
    assert made is not None
    return made


def takes(guide: Guide, tokenizer: Tokenizer, text: str) -> bool:
    """Whether the text may be said, token by token as a model would say it, and is a whole answer."""
    for token in tokenizer.encode(text, add_special_tokens=False).ids:
        if not guide.mask()[token // 32] >> (token % 32) & 1:
            return False
        guide.accept(token)
    return guide.complete and bool(guide.mask()[0] >> END & 1)
