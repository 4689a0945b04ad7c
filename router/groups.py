"""Groups of answers, each with a threshold of its own: text, calls that look, and calls that change something.

Owns what counts as changing something. A tool is known by its name alone, a shell by the command that it is given; what
is not known to look only may change something. Knows nothing of thresholds.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from router.chat import ToolCall

Group = Literal["text", "call", "destructive"]

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")  # of names in any style: write_file, WriteFile, writeFile
_CHANGING = """
add append apply book buy cancel commit copy cp create delete deploy drop edit eval exec execute insert install kill
merge move multiedit mv notebook order patch pay post publish push put remove rename replace reset restart revert rm
save schedule send set start stop store submit transfer uninstall update upload write
"""
_SHELLS = "bash cmd command commands console powershell run sh shell terminal"
_LOOKING = """
ag basename cat cd cmp comm cut df diff dir dirname du echo egrep fgrep file find grep head id jq ls nl printf ps pwd
readlink realpath rg stat tail test tree true type uname wc which whoami
"""
_CHANGE, _SHELL, _LOOK = (frozenset(words.split()) for words in (_CHANGING, _SHELLS, _LOOKING))
_LOOK_WITH = {
    "git": ("blame", "describe", "diff", "grep", "log", "ls-files", "rev-parse", "shortlog", "show", "status"),
    "go": ("doc", "list", "version", "vet"),
    "cargo": ("metadata", "tree"),
}
_ACTS = {  # beginnings of options that make such a program write or run something
    "find": ("-delete", "-exec", "-ok", "-fprint", "-fls"),
    "tree": ("-o",),
    "rg": ("--pre",),
    "git": ("--output", "-O", "--open", "--ext-diff"),
}
_QUOTED = re.compile(r"""("[^"]*")|'[^'\n]*'""")  # in single quotation marks a shell reads nothing
_UNSAFE = re.compile(r"[`$\n\\]")  # what it reads elsewhere: then a line is no longer what its words say
_JOINTS = frozenset(("&&", "||", "|", ";"))
_PUNCTUATION = frozenset("();<>|&")


def group_of(calls: Sequence[ToolCall]) -> Group:
    """The group of an answer that makes these calls; of several the strictest."""
    if not calls:
        return "text"
    return "destructive" if any(changes(call.function.name, call.function.arguments) for call in calls) else "call"


def changes(name: str, arguments: str = "") -> bool:
    """Whether a call may change something. Without arguments: whether any call of such a tool may."""
    words = {word.lower() for word in _WORDS.findall(name)}
    if words & _SHELL:
        return not arguments or not _looks_only(arguments)
    return bool(words & _CHANGE)


def _looks_only(arguments: str) -> bool:
    """Whether a shell is told to look only: every command in it is one that does, with nothing that makes it act."""
    try:
        told = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
    if not isinstance(told, dict):
        return False
    lines = _commands(told)
    return bool(lines) and all(_looks(words) for words in lines)


def _commands(told: dict[str, Any]) -> list[list[str]]:
    """The commands as words: of a line, or of a program and its arguments. Empty where it cannot be told."""
    line = next((told[key] for key in ("command", "cmd", "script", "input") if key in told), None)
    rest = told.get("args", [])
    if isinstance(line, list):
        line, rest = (line[0], line[1:]) if line else ("", [])
    if not isinstance(line, str) or not isinstance(rest, list):
        return []
    if rest:
        return [[line, *map(str, rest)]]
    if _UNSAFE.search(_QUOTED.sub(r"\1", line)):
        return []
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    lines: list[list[str]] = [[]]
    try:
        for word in lexer:
            if word in _JOINTS:
                lines.append([])
            elif {*word} <= _PUNCTUATION:  # a redirection, a background, a subshell; or quoted, which is not told apart
                return []
            else:
                lines[-1].append(word)
    except ValueError:  # a quotation without an end
        return []
    return lines


def _looks(words: Sequence[str]) -> bool:
    if not words or any(word.startswith(_ACTS.get(words[0], ())) for word in words[1:]):
        return False
    return words[0] in _LOOK or (len(words) > 1 and words[1] in _LOOK_WITH.get(words[0], ()))
