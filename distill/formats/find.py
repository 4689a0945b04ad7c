"""Which format a file is in, and the reading of whole folders.

Owns the list of formats and what tells each of them from the others. Knows nothing of what is in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from distill.errors import FormatError
from distill.formats import aider, claude, codex, examples, logs, opencode, own
from distill.formats.lines import UNREADABLE, BadLine, document, files, lines, records
from distill.trace import Trace

_LINES = 50  # of a file, that are looked at to tell its format

Reader = Callable[[Path], Iterator[Trace | BadLine]]


class Format(msgspec.Struct, frozen=True):
    """`files` is the pattern of the names that are read below a folder; `fits` tells by a decoded line."""

    read: Reader
    files: str
    fits: Callable[[dict[str, Any]], bool]


def _has_messages(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("messages"), (list, str))


def _own(line: dict[str, Any]) -> bool:
    return {"request", "decision", "state", "conversation"} <= line.keys()


def _claude(line: dict[str, Any]) -> bool:
    kind = line.get("type")
    return (kind in ("user", "assistant", "system") and "sessionId" in line) or (
        kind == "summary" and "leafUuid" in line
    )


def _codex(line: dict[str, Any]) -> bool:
    kinds = ("session_meta", "response_item", "event_msg", "turn_context", "compacted")
    bare = {"id", "timestamp", "instructions"} <= line.keys() or "record_type" in line
    return bare or (line.get("type") in kinds and "payload" in line)


def _plan(line: dict[str, Any]) -> bool:
    return "query" in line and not line.keys().isdisjoint(("tool_calls", "answer"))


def _tensorzero(line: dict[str, Any]) -> bool:
    named = not line.keys().isdisjoint(("episode_id", "function_name", "tool_params"))
    return named and "input" in line and "output" in line


def _openpipe(line: dict[str, Any]) -> bool:
    return _has_messages(line.get("input")) and isinstance(line.get("output"), dict)


def _litellm(line: dict[str, Any]) -> bool:
    return "messages" in line and "response" in line


def _trl(line: dict[str, Any]) -> bool:
    if isinstance(line.get("prompt"), list) and isinstance(line.get("completion"), list):
        return True
    messages = line.get("messages")
    if not isinstance(messages, list):
        return False
    return isinstance(line.get("tools"), str) or any(_calls_with_objects(message) for message in messages)


def _calls_with_objects(message: Any) -> bool:
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    functions = [call.get("function") for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    return any(isinstance(function, dict) and isinstance(function.get("arguments"), dict) for function in functions)


def _openai(line: dict[str, Any]) -> bool:
    return isinstance(line.get("messages"), list)


def _never(line: dict[str, Any]) -> bool:
    """Told by the file and not by a line."""
    return False


# In the order in which they are tried: what fits an earlier one is not asked of a later one.
FORMATS: dict[str, Format] = {
    own.FORM: Format(own.read, "*.jsonl", _own),
    claude.FORM: Format(claude.read, claude.FILES, _claude),
    codex.FORM: Format(codex.read, codex.FILES, _codex),
    opencode.FORM: Format(opencode.read_export, "*.json", _never),
    aider.CHAT: Format(aider.read_chat, aider.CHAT_FILES, _never),
    aider.LLM: Format(aider.read_llm, aider.LLM_FILES, _never),
    examples.PLAN: Format(examples.read_plan, "*.jsonl", _plan),
    logs.TENSORZERO: Format(logs.read_tensorzero, "*.jsonl", _tensorzero),
    logs.OPENPIPE: Format(logs.read_openpipe, "*.jsonl", _openpipe),
    logs.LITELLM: Format(logs.read_litellm, "*.json*", _litellm),
    examples.TRL: Format(examples.read_trl, "*.jsonl", _trl),
    examples.OPENAI: Format(examples.read_openai, "*.jsonl", _openai),
}


def detect(path: Path) -> str:
    """The format of a file, or of what lies in a folder. Raises FormatError where none fits."""
    path = _real(path)
    if opencode.storage(path) is not None:
        return opencode.FORM
    patterns = {form.files for form in FORMATS.values()}
    found = files(path, "*") if path.is_dir() else iter([path])
    for file in found:
        if isinstance(file, BadLine) or (file != path and not any(file.match(pattern) for pattern in patterns)):
            continue
        if form := _of_file(file):
            return form
    raise FormatError(f"{path} is in none of the formats that can be read: {', '.join(FORMATS)}.")


def read(path: Path, form: str) -> Iterator[Trace | BadLine]:
    """The traces of a file, or of all files below a folder whose names fit, and what could not be read.

    Raises FormatError for a format that there is not or a path that there is not, and nothing afterwards.
    """
    if form not in FORMATS:
        raise FormatError(f"There is no format {form!r}; there are {', '.join(FORMATS)}.")
    path = _real(path)
    if not path.is_dir():
        return FORMATS[form].read(path)
    if form == opencode.FORM and opencode.storage(path) is not None:
        return opencode.read_storage(path)
    return _below(path, FORMATS[form])


def _real(path: Path) -> Path:
    """The path itself, which may be a link that the user named. Raises FormatError where there is nothing."""
    try:
        return path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise FormatError(f"{path} cannot be read: {error}") from error


def _below(folder: Path, form: Format) -> Iterator[Trace | BadLine]:
    for file in files(folder, form.files):
        if isinstance(file, BadLine):
            yield file
        else:
            yield from form.read(file)


def _of_file(path: Path) -> str:
    beginning = [line[1] for line in islice(lines(path), _LINES) if not isinstance(line, BadLine)]
    try:
        first = next((line for line in beginning if not line.isspace()), b"").decode().strip()
    except UNREADABLE:
        return ""
    if aider.STARTED.fullmatch(first):
        return aider.CHAT
    if aider.LOGGED.fullmatch(first):
        return aider.LLM
    if not first.startswith("{"):
        return ""
    return _of_lines(path) or _of_document(path)


def _of_lines(path: Path) -> str:
    found = [
        record[1]
        for record in islice(records(path, msgspec.json.Decoder(dict[str, Any])), _LINES)
        if not isinstance(record, BadLine)
    ]
    return next((name for name, form in FORMATS.items() if any(form.fits(line) for line in found)), "")


def _of_document(path: Path) -> str:
    kinds = document(path, msgspec.json.Decoder(dict[str, msgspec.Raw]))
    return opencode.FORM if not isinstance(kinds, BadLine) and {"info", "messages"} <= kinds.keys() else ""
