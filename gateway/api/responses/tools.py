"""The tools of a Responses request as functions, and what a call of such a function is in the client's terms.

A namespace's tools are flattened into functions with joined names; a custom tool becomes a function with one text
argument; a tool that OpenAI runs itself is skipped. Owns both directions. Knows nothing of items or events.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from router.chat import InvalidRequest

_LONGEST_NAME = 64  # characters of a function's name, at OpenAI's and others' endpoints
_INPUT = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "The whole input, as free text."}},
    "required": ["input"],
    "additionalProperties": False,
}


class Target(msgspec.Struct, frozen=True):
    """What a function stands for: the client's tool, in its namespace if it has one."""

    name: str
    namespace: str = ""
    custom: bool = False


class Tools(msgspec.Struct, frozen=True):
    """What a model is offered, in chat form, and what that means. `skipped` are the types of tools left out."""

    offered: list[dict[str, Any]]
    choice: str | dict[str, Any] | None
    targets: Mapping[str, Target]
    skipped: list[str]

    def target(self, function: str) -> Target:
        """The tool that a function stands for; a name that was not offered stands for itself."""
        return self.targets.get(function) or Target(function)


def flat_name(name: str, namespace: str = "") -> str:
    """The name of the function that stands for a tool. The same tool always has the same name."""
    if not namespace:
        return name
    joined = re.sub(r"[^A-Za-z0-9_-]", "_", f"{namespace}__{name}")
    if len(joined) <= _LONGEST_NAME:
        return joined
    digest = hashlib.blake2b(f"{namespace}\0{name}".encode(errors="replace"), digest_size=4).hexdigest()
    return f"{joined[: _LONGEST_NAME - 9]}_{digest}"


def read_tools(tools: Sequence[dict[str, Any]], choice: str | dict[str, Any] | None) -> Tools:
    """A request's tools and its choice among them. Raises InvalidRequest."""
    offered: dict[str, dict[str, Any]] = {}
    targets: dict[str, Target] = {}
    skipped: list[str] = []
    for namespace, tool, where in _flattened(tools):
        kind = tool.get("type")
        if not isinstance(kind, str):
            raise InvalidRequest(f"'{where}' needs a 'type'.", f"{where}.type")
        if kind not in ("function", "custom"):
            skipped.append(kind)
            continue
        target = Target(_text(tool, "name", where), namespace, custom=kind == "custom")
        function = flat_name(target.name, namespace)
        if function in offered:
            raise InvalidRequest(f"Two tools have the name '{function}'.", f"{where}.name")
        offered[function] = _function(function, tool, where)
        targets[function] = target
    chosen, names = _choice(choice, targets)
    return Tools([tool for name, tool in offered.items() if name in names], chosen, targets, skipped)


def custom_input(arguments: str) -> str:
    """The free text in the arguments of a function that stands for a custom tool; other arguments as they are."""
    try:
        said = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return arguments
    text = said.get("input") if isinstance(said, dict) else None
    return text if isinstance(text, str) else arguments


def custom_arguments(text: str) -> str:
    return msgspec.json.encode({"input": text}).decode()


def _flattened(tools: Sequence[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Each tool with its namespace and where it stands in the request."""
    for index, tool in enumerate(tools):
        where = f"tools[{index}]"
        if tool.get("type") != "namespace":
            yield "", tool, where
            continue
        inner = tool.get("tools")
        if not isinstance(inner, list) or not all(isinstance(one, dict) for one in inner):
            raise InvalidRequest(f"'{where}.tools' must be a list of tools.", f"{where}.tools")
        namespace = _text(tool, "name", where)
        for number, one in enumerate(inner):
            yield namespace, one, f"{where}.tools[{number}]"


def _function(name: str, tool: dict[str, Any], where: str) -> dict[str, Any]:
    description = tool.get("description") or ""
    if not isinstance(description, str):
        raise InvalidRequest(f"'{where}.description' must be a text.", f"{where}.description")
    function: dict[str, Any] = {"name": name}
    if tool["type"] == "custom":
        description = "\n\n".join(part for part in (description, _grammar(tool.get("format"), where)) if part)
        function["parameters"] = _INPUT
    else:
        parameters, strict = tool.get("parameters"), tool.get("strict")
        if not isinstance(parameters, dict | None):
            raise InvalidRequest(f"'{where}.parameters' must be a JSON schema.", f"{where}.parameters")
        if not isinstance(strict, bool | None):
            raise InvalidRequest(f"'{where}.strict' must be true or false.", f"{where}.strict")
        function["parameters"] = parameters or {"type": "object", "properties": {}}
        if strict is not None:
            function["strict"] = strict
    if description:
        function["description"] = description
    return {"type": "function", "function": function}


def _grammar(form: Any, where: str) -> str:
    """What a custom tool's input must look like, in words: nothing here enforces it."""
    if form is None or (isinstance(form, dict) and form.get("type") == "text"):
        return ""
    if not isinstance(form, dict) or form.get("type") != "grammar":
        raise InvalidRequest(f"'{where}.format' must be of type 'text' or 'grammar'.", f"{where}.format")
    syntax, definition = _text(form, "syntax", f"{where}.format"), _text(form, "definition", f"{where}.format")
    return f"The input must follow this grammar, written in {syntax} syntax:\n{definition}"


def _choice(
    choice: str | dict[str, Any] | None, targets: Mapping[str, Target]
) -> tuple[str | dict[str, Any] | None, set[str]]:
    """The choice in chat form, and the names of the functions it leaves."""
    everything = set(targets)
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        mode, names = choice.get("mode", "auto"), _allowed(choice, targets)
        if mode not in ("auto", "required"):
            raise InvalidRequest("'tool_choice.mode' must be 'auto' or 'required'.", "tool_choice.mode")
        return mode, names
    if isinstance(choice, dict):
        return {"type": "function", "function": {"name": _named(choice, targets, "tool_choice")}}, everything
    if choice not in (None, "auto", "none", "required"):
        raise InvalidRequest(f"'tool_choice' cannot be {choice[:80]!r}.", "tool_choice")
    if choice == "required" and not targets:
        raise InvalidRequest(
            "'tool_choice' is 'required', but no tool that can be called here is offered.", "tool_choice"
        )
    return (choice if targets else None), everything


def _allowed(choice: dict[str, Any], targets: Mapping[str, Target]) -> set[str]:
    listed = choice.get("tools")
    if not isinstance(listed, list) or not listed or not all(isinstance(one, dict) for one in listed):
        raise InvalidRequest("'tool_choice.tools' must be a list of tools.", "tool_choice.tools")
    names: set[str] = set()
    for index, one in enumerate(listed):
        where = f"tool_choice.tools[{index}]"
        if one.get("type") == "namespace":
            inside = {name for name, target in targets.items() if target.namespace == one.get("name")}
            if not inside:
                raise InvalidRequest(f"'{where}' names a namespace that is not offered.", where)
            names |= inside
        else:
            names.add(_named(one, targets, where))
    return names


def _named(choice: dict[str, Any], targets: Mapping[str, Target], where: str) -> str:
    """The function that a choice names."""
    kind = choice.get("type")
    if kind not in ("function", "custom"):
        message = (
            f"'{where}' names a tool of type {str(kind)[:80]!r}, which is run by its vendor and cannot be used here."
        )
        raise InvalidRequest(message, f"{where}.type")
    wanted = Target(_text(choice, "name", where), str(choice.get("namespace") or ""), custom=kind == "custom")
    found = next((name for name, target in targets.items() if target == wanted), "")
    if not found:
        raise InvalidRequest(f"'{where}' names the tool '{wanted.name[:80]}', which is not offered.", f"{where}.name")
    return found


def _text(tool: dict[str, Any], key: str, where: str) -> str:
    value = tool.get(key)
    if not isinstance(value, str) or not value:
        raise InvalidRequest(f"'{where}.{key}' must be a text.", f"{where}.{key}")
    return value
