"""Vocabulary: one agent's tools over the exploring agent's own, and what is said and shown in their terms.

Owns putting a canonical call in a tool's words and back, and choosing the tool. Reads no files and runs nothing:
`Toolbox.offering` does what a call wants.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection
from typing import Annotated, Any

import msgspec

from distill.errors import ToolError
from distill.generate.templates import Call
from distill.reading import ERROR
from distill.vocabularies.commandlines import Wanted
from distill.vocabularies.forms import FORMS, Form, Slots
from distill.vocabularies.layouts import Kind, Layout, kind_of, printed, read
from router.chat import FunctionSpec, Tool

_Count = Annotated[int, msgspec.Meta(ge=0, le=10_000_000)]
_KINDS: dict[type, Any] = {str: str, int: _Count, bool: bool, list: list[str]}
_PATHS = ("path", "where", "folder")


class Argument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The slot that an argument fills; `values` are what it says for which value of the slot, where these differ."""

    slot: str
    values: dict[str, Any] = {}


class Spoken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One tool of a vocabulary. `says` gives for each argument its slot in the `form`, `unsaid` what slots are where
    nothing is said of them, `always` arguments that say nothing and have to be there, `result` how each kind of result
    is printed, and `around` what stands around any that is no error."""

    name: str
    description: str
    form: str
    parameters: dict[str, Any]
    says: dict[str, str | Argument] = {}
    unsaid: dict[str, Any] = {}
    always: dict[str, Any] = {}
    around: str = "{text}"
    result: dict[Kind, Layout] = {}

    @property
    def meaning(self) -> Form:
        return FORMS[self.form]

    @property
    def arguments(self) -> dict[str, Argument]:
        return {name: Argument(said) if isinstance(said, str) else said for name, said in self.says.items()}

    def left_out(self, slot: str) -> Any:
        """What a slot is where nothing is said of it; None: something has to be said."""
        return self.unsaid.get(slot, self.meaning.slots[slot][1])


class Vocabulary:
    """`like` says whose tools these resemble; `error` holds {text}, `cut` {missing}."""

    def __init__(self, name: str, like: str, tools: list[Spoken], *, error: str, cut: str) -> None:
        self.name, self.like, self.tools, self.error, self.cut = name, like, tools, error, cut
        self._by_name = {tool.name: tool for tool in tools}

    @property
    def specs(self) -> list[Tool]:
        return self.offered()

    def offered(self, withheld: Collection[str] = ()) -> list[Tool]:
        """The tools but those that mostly mean one of the canonical tools that are withheld."""
        kept = (tool for tool in self.tools if tool.meaning.tools[0] not in withheld)
        return [Tool(FunctionSpec(tool.name, tool.description, tool.parameters)) for tool in kept]

    def able(self, names: Collection[str]) -> frozenset[str]:
        """The canonical tools that those of these names stand for."""
        return frozenset(own for tool in self.tools if tool.name in names for own in tool.meaning.tools)

    def spoken(self, call: Call) -> Call | None:
        """A canonical call in these tools' words; None where they cannot say it."""
        said = (_said(tool, call) for tool in self.tools)
        return next((one for one in said if one is not None), None)

    def meant(self, call: Call) -> Call | None:
        """The canonical call that a call of these tools means; None where it means none, or one in another folder."""
        try:
            wanted = self.wanted(call.name, call.arguments)
        except ToolError:
            return None
        return wanted.call if posixpath.normpath(wanted.folder) == "." else None

    def wanted(self, tool: str, arguments: dict[str, Any]) -> Wanted:
        """What a call of a tool asks for. Raises ToolError with a sentence for the model."""
        if tool not in self._by_name:
            raise ToolError(f"there is no tool {tool!r}")
        known = self._by_name[tool]
        return known.meaning.wanted(_filled(known, arguments))

    def shown(self, call: Call, result: str) -> str:
        """What a call of this vocabulary prints, where the canonical call that it means gives `result`. Raises
        ToolError for a call that means nothing."""
        return self.printed(call.name, self.wanted(call.name, call.arguments), result)

    def printed(self, tool: str, wanted: Wanted, result: str) -> str:
        """A canonical result as a tool prints it, of as many lines as were wanted."""
        if result.startswith(ERROR):
            return self.failure(result)
        if wanted.limit:
            result = "\n".join(result.split("\n")[: wanted.limit])
        kind, layout = self._layout(tool, wanted.call)
        if kind is not None and layout is not None:
            result = printed(layout, kind, wanted.call, result, self.cut)
        return self._by_name[tool].around.replace("{text}", result)

    def failure(self, error: str) -> str:
        """A canonical error as these tools say it."""
        return self.error.replace("{text}", error.removeprefix(ERROR))

    def read(self, call: Call, shown: str) -> str:
        """The canonical result that a printed one shows. Raises ToolError for a call that means nothing."""
        failed = _inside(self.error, shown)
        if failed is not None:
            return ERROR + failed
        wanted = self.wanted(call.name, call.arguments)
        told = _inside(self._by_name[call.name].around, shown)
        text = shown if told is None else told
        kind, layout = self._layout(call.name, wanted.call)
        return text if kind is None or layout is None else read(layout, kind, wanted.call, text, self.cut)

    def _layout(self, tool: str, call: Call) -> tuple[Kind | None, Layout | None]:
        kind = kind_of(call)
        return kind, None if kind is None else self._by_name[tool].result.get(kind)


def _inside(form: str, shown: str) -> str | None:
    """What stands for {text} in what a form printed; None where something else printed it."""
    before, after = form.split("{text}")
    if len(shown) < len(before) + len(after) or not (shown.startswith(before) and shown.endswith(after)):
        return None
    return shown[len(before) : len(shown) - len(after)]


def _said(tool: Spoken, call: Call) -> Call | None:
    form, arguments = tool.meaning, tool.arguments
    sayable = {argument.slot for argument in arguments.values()}
    slots = form.filled(call, sayable)
    if slots is None or any(not _can_say(tool, slot, value, sayable) for slot, value in slots.items()):
        return None
    said: dict[str, Any] = {}
    for name, argument in arguments.items():
        value = slots[argument.slot]
        if value in (None, tool.left_out(argument.slot)) and name not in tool.parameters.get("required", ()):
            continue
        if argument.values:
            value = next((theirs for theirs, ours in argument.values.items() if ours == value), None)
        if value is None:
            return None
        said[name] = value
    return Call(tool.name, said | tool.always)


def _can_say(tool: Spoken, slot: str, value: Any, sayable: Collection[str]) -> bool:
    """Whether nothing of a slot is lost, be it that another slot says the same."""
    instead = tool.meaning.instead
    if slot in sayable or slot in instead.values() or instead.get(slot) in sayable:
        return True
    return value is None or bool(value == tool.left_out(slot))


def _filled(tool: Spoken, given: dict[str, Any]) -> Slots:
    """The slots of a tool's form. Raises ToolError for arguments that make no sense."""
    known = {*tool.parameters.get("properties", ()), *tool.says}
    if strange := sorted(given.keys() - known):
        raise ToolError(f"wrong arguments for {tool.name}: there is no argument {strange[0]!r}")
    slots = {slot: tool.left_out(slot) for slot in tool.meaning.slots}
    for name, argument in tool.arguments.items():
        if given.get(name) is not None:
            slots[argument.slot] = _value(tool, name, argument, given[name])
    for name, argument in tool.arguments.items():
        if slots[argument.slot] is None:
            raise ToolError(f"wrong arguments for {tool.name}: {name!r} is missing")
    return slots


def _value(tool: Spoken, name: str, argument: Argument, given: Any) -> Any:
    if argument.values:
        if not isinstance(given, str) or given not in argument.values:
            raise ToolError(f"wrong arguments for {tool.name}: {name!r} is one of {', '.join(argument.values)}")
        return argument.values[given]
    kind = tool.meaning.slots[argument.slot][0]
    try:
        value = msgspec.convert(given, _KINDS[kind], strict=False)
    except msgspec.ValidationError as error:
        raise ToolError(f"wrong arguments for {tool.name}: {name!r}: {error}") from error
    return _plain_path(value) if argument.slot in _PATHS else value


def _plain_path(path: str) -> str:
    """A path without './' and doubled slashes; the folder itself where it is empty."""
    return posixpath.normpath(path) if path and "*" not in path else path or "."
