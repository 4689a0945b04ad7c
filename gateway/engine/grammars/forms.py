"""The forms in which families of models write calls, as rules of a grammar.

Owns one class for each kind of form and the table of families. What is written by these rules is what the reader of
the same name in `toolcalls` reads. Knows nothing of requests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.engine.grammars.vocabulary import Vocabulary
from gateway.engine.toolcalls.typed import Properties

Schemas = dict[str, dict[str, Any]]  # by the name under which rules refer to them
_UNTOLD = frozenset({"type", "title", "description", "default", "examples", "minLength", "maxLength"})
_LONGEST_KEY = 64


class CallForm(Protocol):
    """How a family writes a call: `opening`, a body for each tool, `closing`; `between` two calls."""

    @property
    def opening(self) -> str: ...

    @property
    def closing(self) -> str: ...

    @property
    def between(self) -> str: ...

    def body(self, vocabulary: Vocabulary, index: int, name: str, schema: dict[str, Any]) -> tuple[list[str], Schemas]:
        """Rules, of which `call{index}` writes the tool's name and arguments, and the schemas that they refer to."""
        ...

    def inexact(self, schema: dict[str, Any]) -> str:
        """What of a schema of arguments cannot be enforced in this form; empty: it is enforced in full."""
        ...


@dataclass(frozen=True)
class JsonForm:
    """Arguments as one JSON object. `before` has NAME where the tool's name stands as JSON and BARE where it stands as
    it is; `mark` is a tag between name and arguments."""

    opening: str
    before: str
    mark: str = ""
    after: str = ""
    closing: str = ""
    between: str = ""

    def body(self, vocabulary: Vocabulary, index: int, name: str, schema: dict[str, Any]) -> tuple[list[str], Schemas]:
        before = self.before.replace("NAME", json.dumps(name, ensure_ascii=False)).replace("BARE", name)
        parts = [json.dumps(before), vocabulary.tag(self.mark) if self.mark else "", f"@arguments{index}"]
        parts.append(json.dumps(self.after) if self.after else "")
        return [f"call{index}: {' '.join(filter(None, parts))}"], {f"arguments{index}": schema}

    def inexact(self, schema: dict[str, Any]) -> str:
        return ""


@dataclass(frozen=True)
class XmlForm:
    """A tag for the function and one for each argument, as Qwen3-Coder writes them, in the order of the schema.

    A text stands as it is between its tags, and everything else as JSON. Text may say neither tag.
    """

    opening: str = "<tool_call>"
    closing: str = "</tool_call>"
    between: str = "\n"

    def body(self, vocabulary: Vocabulary, index: int, name: str, schema: dict[str, Any]) -> tuple[list[str], Schemas]:
        schemas: Schemas = {}
        rules: list[str] = []
        listed: list[str] = []
        required = schema.get("required") or []
        for number, key in enumerate(schema.get("properties") or {}):
            rule = f"argument{index}_{number}"
            rules.append(f"{rule}: {json.dumps(f'<parameter={key}>' + chr(10))} {rule}_value")
            rules.append(_value(f"{rule}_value", key, schema, schemas))
            listed.append(rule if key in required else f"{rule}?")
        if not listed and schema.get("additionalProperties") is not False:
            rules.append(f'argument{index}: "<parameter=" /[^<>\\n]{{1,{_LONGEST_KEY}}}/ ">\\n" argument{index}_value')
            rules.append(f"argument{index}_value[lazy]: {_text({})} {_END}")
            listed.append(f"argument{index}*")
        opening, ending = json.dumps(f"\n<function={name}>\n"), json.dumps("</function>\n")
        return [f"call{index}: {' '.join([opening, *listed, ending])}", *rules], schemas

    def inexact(self, schema: dict[str, Any]) -> str:
        known = {
            "type",
            "properties",
            "required",
            "additionalProperties",
            "$defs",
            "x-guidance",
            "title",
            "description",
        }
        if more := schema.keys() - known:
            return f"{sorted(more)[0]!r} of an object that is written with tags"
        types = Properties(schema)
        for key, value in (schema.get("properties") or {}).items():
            if "string" in types.of(key) and _words(value) is None and value.keys() - _UNTOLD:
                return f"{sorted(value.keys() - _UNTOLD)[0]!r} of the text {key!r}"
            if "string" in types.of(key) and _words(value) is None and types.of(key) != {"string"}:
                return f"{key!r}, which is a text or something else"
        return ""


_END = json.dumps("\n</parameter>\n")
_TAGS = r"/(?s:.*)<\/?(parameter|function|tool_call)(?s:.*)/"


def _value(rule: str, key: str, schema: dict[str, Any], schemas: Schemas) -> str:
    """The rule of one argument's value and the end tag behind it."""
    value = schema["properties"][key]
    words = _words(value)
    if words is not None:
        return f"{rule}: ({' | '.join(json.dumps(word, ensure_ascii=False) for word in words)}) {_END}"
    types = Properties(schema).of(key)
    if types and "string" not in types:
        more: dict[str, Any] = {name: schema[name] for name in ("$defs", "definitions", "x-guidance") if name in schema}
        schemas[rule.replace("_", "x")] = {**more, **value}
        return f"{rule}: @{rule.replace('_', 'x')} {_END}"
    return f"{rule}[lazy]: {_text(value)} {_END}"


def _text(schema: Mapping[str, Any]) -> str:
    """A text of the length that a schema asks for, without any of the tags."""
    least, most = schema.get("minLength", 0), schema.get("maxLength", "")
    length = "*" if not least and most == "" else f"{{{least},{most}}}"
    return f"(/(?s:.{length})/ & ~{_TAGS})"


def _words(schema: Mapping[str, Any]) -> list[str] | None:
    """The texts that a schema names one by one; None: it does not, or not only texts."""
    words = [schema["const"]] if "const" in schema else schema.get("enum")
    return words if words and all(isinstance(word, str) for word in words) else None


CALL_FORMS: Mapping[str, CallForm] = {
    "hermes": JsonForm("<tool_call>", '\n{"name": NAME, "arguments": ', "", "}\n", "</tool_call>", "\n"),
    "mistral": JsonForm("[TOOL_CALLS]", "BARE", "[ARGS]"),
    "qwen3_coder": XmlForm(),
}
