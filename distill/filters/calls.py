"""Calls: what a call of any agent's tool names, and whether it can have changed a file.

Owns what the tools of agents and their arguments are called. Knows nothing of results, and reads no file.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from distill.commands import PROGRAMS
from distill.lines import reading_line
from distill.tools import SPECS
from router.chat import Tool, ToolCall

READS = frozenset({"read", "read_file", "readfile", "view", "view_file", "open_file", "cat"})
SEARCHES = frozenset(
    {
        *("grep", "rg", "search", "search_files", "search_text", "search_code", "find_text"),
        *("grep_search", "search_file_content"),
    }
)
SHELLS = frozenset(
    ["bash", "shell", "exec_command", "local_shell", "run_shell_command", "run_terminal_cmd", "execute_command"]
)
_HARMLESS = READS | SEARCHES | {"glob", "ls", "list", "list_files", "list_dir", "list_directory", "find", "file_search"}
_OURS = {tool.function.name: tool for tool in SPECS}
_PATHS = ("file_path", "filePath", "path", "filename", "target_file")
_COMMANDS = ("command", "cmd")
_SHELL_SIGNS = re.compile(r"[|;&<>$`*?~#\n\\()\[\]{}!]")
_THROUGH_SHELL = re.compile(r"(?:/bin/|/usr/bin/)?(?:sh|bash|zsh)")
_WRITING = frozenset({"-delete", "-fprint", "-fprint0", "-fprintf", "-fls"})  # of find
_LONGEST = 1000  # characters of a command


def is_ours(tool: Tool | None) -> bool:
    """Whether a tool is one of the exploring agent's."""
    known = _OURS.get(tool.function.name) if tool is not None else None
    return tool is not None and known is not None and known.function.parameters == tool.function.parameters


def all_ours(tools: Sequence[Tool]) -> bool:
    """Whether the tools that were offered are those of the exploring agent."""
    return bool(tools) and all(map(is_ours, tools))


def arguments_of(call: ToolCall) -> dict[str, Any]:
    """The call's arguments; none where they are no JSON object, which is the format's business."""
    try:
        decoded = msgspec.json.decode(call.function.arguments)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return {}
    return decoded if isinstance(decoded, dict) else {}


def path_of(call: ToolCall) -> str:
    """The file or folder that the call names; empty where it names none."""
    arguments = arguments_of(call)
    return next((arguments[key] for key in _PATHS if isinstance(arguments.get(key), str)), "")


def line_of(call: ToolCall) -> str:
    """The line that a shell's call has run, also where it comes as words, with or without a shell before them."""
    arguments = arguments_of(call)
    given = next((arguments[key] for key in _COMMANDS if key in arguments), "")
    if isinstance(given, list) and all(isinstance(word, str) for word in given):
        through = len(given) == 3 and _THROUGH_SHELL.fullmatch(given[0]) and given[1] in ("-c", "-lc")
        return str(given[2]) if through else shlex.join(given)
    return given if isinstance(given, str) else ""


def plain_words(call: ToolCall) -> list[str]:
    """The words of a command in which a shell has nothing to do but to part them; none where it has."""
    line = line_of(call)
    if len(line) > _LONGEST or _SHELL_SIGNS.search(line):
        return []
    try:
        return shlex.split(line)
    except ValueError:
        return []


def may_change_files(call: ToolCall, tools: Mapping[str, Tool]) -> bool:
    """Whether the call, of one of these tools, may have changed a file: all may that are not known to read only."""
    tool = call.function.name.lower()
    if is_ours(tools.get(call.function.name)) or tool in _HARMLESS:
        return False
    if tool in SHELLS and reading_line(line_of(call), "/") is not None:  # wherever it reads
        return False
    words = plain_words(call) if tool in SHELLS else []
    return words[:1] not in [[program] for program in PROGRAMS] or not _WRITING.isdisjoint(words)
