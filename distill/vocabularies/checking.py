"""Checks of a vocabulary's file: that its tools fit their forms and schemas, and that what is printed can be read."""

from __future__ import annotations

from collections.abc import Iterator
from string import Formatter
from typing import Any

import msgspec

from distill.generate.templates import Call
from distill.vocabularies.forms import FORMS
from distill.vocabularies.layouts import FIELDS, Kind, Layout, pattern_of, printed, read
from distill.vocabularies.normal import normal
from distill.vocabularies.vocabulary import Spoken, Vocabulary
from router.chat import FunctionCall, ToolCall
from router.verify import call_fault

_GREP = ("-rnw", "class .*(.*Base", "."), ("-n", "^def ", "a/b.py"), ("-c", "^class ", "a/b.py"), ("-rnF", "x[0]", ".")
_SAMPLES = [
    *(Call("run_command", {"command": "grep", "args": [*args]}) for args in _GREP),
    Call("run_command", {"command": "find", "args": [".", "-name", "b.py"]}),
    Call("run_command", {"command": "wc", "args": ["-l", "a/b.py"]}),
    *(Call("read_file", {"path": "a/b.py", "start": start, "lines": lines}) for start, lines in ((1, 1), (7, 3))),
    *(Call("list_files", {"path": path}) for path in (".", "a")),
]
_RESULTS: dict[Kind, tuple[Call, str]] = {
    "matches": (_SAMPLES[0], "a/b.py:3:class A(Base):\na/b.py:12:    class B(Base): x\nv2/c1.py:1:23:4: C(Base)"),
    "paths": (_SAMPLES[4], "a/b.py\nv2/b 1.py"),
    "counts": (_SAMPLES[2], "3"),
    "lines": (_SAMPLES[7], "7: def a():\n8: \n9: 1: 2| 3"),
    "entries": (_SAMPLES[8], ".hidden\na/\nb.py"),
}


def fault(vocabulary: Vocabulary) -> str:
    """What is wrong with a vocabulary, in a sentence; empty where nothing is."""
    return next(_faults(vocabulary), "")


def _faults(vocabulary: Vocabulary) -> Iterator[str]:
    names = [tool.name for tool in vocabulary.tools]
    if not names or len({*names}) < len(names):
        yield "there have to be tools, and no two of one name"
    for name, form, wanted in (("error", vocabulary.error, {"text"}), ("cut", vocabulary.cut, {"missing"})):
        if _fields(form) != wanted or form.count("{") != 1:
            yield f"{name} has to hold {{{next(iter(wanted))}}} once"
    for tool in vocabulary.tools:
        if tool.around.count("{text}") != 1:
            yield f"tool {tool.name}: around has to hold {{text}} once"
        yield from (f"tool {tool.name}: {wrong}" for wrong in _tool_faults(tool))
        yield from (f"tool {tool.name}: {wrong}" for wrong in _result_faults(tool, vocabulary.cut))
    yield from _unlike(vocabulary)


def _tool_faults(tool: Spoken) -> Iterator[str]:
    if tool.form not in FORMS:
        yield f"there is no form {tool.form!r}; there are {', '.join(FORMS)}"
        return
    if not tool.description.strip():
        yield "it has no description"
    slots, properties = tool.meaning.slots, tool.parameters.get("properties", {})
    arguments = tool.arguments
    for name, argument in arguments.items():
        if name not in properties:
            yield f"it says something by {name!r}, which is not among its parameters"
        if argument.slot not in slots:
            yield f"{name!r} says {argument.slot!r}, which the form {tool.form} has not; it has {', '.join(slots)}"
    yield from _slot_faults(tool, [argument.slot for argument in arguments.values()])
    for name in {*tool.parameters.get("required", ())} - {*arguments, *tool.always}:
        yield f"{name!r} is required and nothing says what it means"
    for name in {*tool.always} - {*properties}:
        yield f"{name!r} is always said and not among its parameters"


def _slot_faults(tool: Spoken, said: list[str]) -> Iterator[str]:
    slots = tool.meaning.slots
    if len({*said}) < len(said):
        yield "two arguments say the same"
    for slot, value in tool.unsaid.items():
        if slot not in slots or not isinstance(value, slots[slot][0]):
            yield f"unsaid {slot!r} is no slot of the form {tool.form}, or has not its kind of value"
    for slot in slots:
        if slot not in said and tool.left_out(slot) is None:
            yield f"nothing says {slot!r}, which the form {tool.form} needs"


def _result_faults(tool: Spoken, cut: str) -> Iterator[str]:
    for kind, layout in tool.result.items():
        try:
            wrong = _layout_fault(kind, layout, cut)
        except (ValueError, KeyError, IndexError) as error:
            wrong = f"a form cannot be read: {error}"
        if wrong:
            yield f"result.{kind}: {wrong}"


def _layout_fault(kind: Kind, layout: Layout, cut: str) -> str:
    told = _fields(layout.row) | _fields(layout.group)
    missing = FIELDS[kind] - told - ({"line"} if kind == "lines" else set())
    if missing or told - FIELDS[kind]:
        return f"row and group have to hold {', '.join(sorted(FIELDS[kind]))}, and nothing else"
    forms = (layout.row, layout.group, layout.between or "", layout.folder, layout.head, layout.foot)
    if (_fields(layout.head) | _fields(layout.foot)) - {"count", "path"} or any("\n" in form for form in forms):
        return "head and foot hold {count} and {path} at most, and each form is one line"
    for form in forms:
        pattern_of(form)
    call, result = _RESULTS[kind]
    whole = f"{result}\n[12 more characters not shown]"
    for canonical in (result, whole):
        if read(layout, kind, call, printed(layout, kind, call, canonical, cut), cut) != canonical:
            return "what it prints cannot be read again"
    return ""


def _unlike(vocabulary: Vocabulary) -> Iterator[str]:
    """Calls that would not come back as what they were."""
    tools = {tool.function.name: tool for tool in vocabulary.specs}
    said = [(call, spoken) for call in _SAMPLES if (spoken := vocabulary.spoken(call)) is not None]
    if not said:
        yield "it can say nothing of what questions need"
    for call, spoken in said:
        arguments = msgspec.json.encode(spoken.arguments).decode()
        if wrong := call_fault(ToolCall("x", FunctionCall(spoken.name, arguments)), tools):
            yield f"{wrong} ({arguments})"
        meant = vocabulary.meant(spoken)
        if meant is None or normal(meant) != normal(call):
            yield f"{_told(call)} is said as {arguments} and means something else"


def _fields(form: str) -> set[str]:
    try:
        return {name for _, name, _, _ in Formatter().parse(form) if name is not None}
    except ValueError:
        return {"?"}


def _told(call: Call) -> str:
    words: Any = [call.name, *map(str, call.arguments.values())]
    return " ".join(words)
