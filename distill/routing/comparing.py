"""Comparing: is a student's draft worse than what the teacher says to the same request?

Owns what counts as the same: calls by what they mean, words by what they name and count. Pure. That the teacher says it
does not make it right; the guarantee is about being worse than the teacher.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from distill.filters.agreeing import agree
from distill.generate.templates import Call
from distill.vocabularies import EXPLORE, normal
from router.chat import AnswerMessage, ChatRequest, Choice, Tool, ToolCall
from router.verify import fault

How = Literal[
    "form",  # the draft is not well-formed: it would never have been served
    "kind",  # a call where the teacher uses words, or the other way round
    "call",  # the calls were compared
    "words",  # the words were compared
    "teacher_wrong",  # the teacher's own answer went wrong, so that another one is not worse
]

_EXACT = 2**53  # below it a float holds every whole number


class Compared(msgspec.Struct, frozen=True):
    """Whether a draft is worse than all of the teacher's answers, and by what that was found."""

    worse: bool
    how: How


def compared(request: ChatRequest, draft: Choice, teachers: Sequence[AnswerMessage]) -> Compared:
    """A draft beside what the teacher said, once or several times: one that it agrees with is enough, since a teacher
    does not always agree with itself. Raises ValueError where the teacher said nothing."""
    if not teachers:
        raise ValueError("a draft is compared with at least one answer of the teacher's")
    if fault(request, draft):
        return Compared(True, "form")
    alike = [teacher for teacher in teachers if bool(teacher.tool_calls) == bool(draft.message.tool_calls)]
    if not alike:
        return Compared(True, "kind")
    if draft.message.tool_calls:
        tools = {tool.function.name: tool for tool in request.tools or ()}
        made = _meant(draft.message.tool_calls, tools)
        return Compared(all(_meant(one.tool_calls or (), tools) != made for one in alike), "call")
    asked = next((message.text for message in reversed(request.messages) if message.role == "user"), "")
    return Compared(not any(agree(teacher, draft.message, asked) for teacher in alike), "words")


def split(request: ChatRequest, teachers: Sequence[AnswerMessage]) -> bool:
    """Whether a teacher that was asked several times disagrees with itself: no student can do better than that."""
    if len(teachers) < 2:
        return False
    first, *others = (Choice(one, "tool_calls" if one.tool_calls else "stop") for one in teachers)
    return any(compared(request, other, [first.message]).worse for other in others)


def beside_wrong(found: Compared) -> Compared:
    """What was found of a draft, where the teacher's answer turned out wrong: another answer is no worse than that."""
    return Compared(False, "teacher_wrong") if found.worse and found.how != "form" else found


def _meant(calls: Sequence[ToolCall], tools: Mapping[str, Tool]) -> Counter[tuple[str, str]]:
    return Counter(meaning(call, tools.get(call.function.name)) for call in calls)


def meaning(call: ToolCall, tool: Tool | None) -> tuple[str, str]:
    """A call in its one spelling: as its schema reads it, and of the exploring agent's own tools as they do."""
    try:
        told = msgspec.json.decode(call.function.arguments)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return call.function.name, call.function.arguments.strip()
    if not isinstance(told, dict):
        return call.function.name, call.function.arguments.strip()
    if tool is not None and tool in EXPLORE.specs:
        return normal(Call(call.function.name, told))
    properties = tool.function.parameters.get("properties") if tool is not None else None
    schemas = properties if isinstance(properties, dict) else {}
    read = {key: _as_read(value, schemas.get(key)) for key, value in told.items()}
    kept = {key: value for key, value in read.items() if not _is_default(value, schemas.get(key))}
    return call.function.name, msgspec.json.encode(kept, order="deterministic").decode()


def _is_default(value: Any, schema: Any) -> bool:
    return isinstance(schema, dict) and "default" in schema and schema["default"] == value


def _as_read(value: Any, schema: Any) -> Any:
    """A value as its schema has it: a number or a truth written as text, spaces around a text, the order of a set."""
    if isinstance(value, str):
        return _text_as_read(value.strip(), schema.get("type") if isinstance(schema, dict) else None)
    if isinstance(value, float):
        return _whole(value)
    if isinstance(value, list) and isinstance(schema, dict) and schema.get("uniqueItems"):
        return sorted(value, key=lambda one: msgspec.json.encode(one, order="deterministic"))
    return value


def _text_as_read(text: str, kind: Any) -> Any:
    if kind == "boolean" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind in ("integer", "number"):
        try:
            return _whole(float(text))
        except ValueError:
            return text
    return text


def _whole(number: float) -> float | int:
    return int(number) if number.is_integer() and abs(number) < _EXACT else number
