"""Forms: what a tool of any agent is for, with slots for what it may be told, as calls of the exploring agent's tools.

A tool of a vocabulary has one of these forms and names the slots in words of its own. Owns which slots a form has,
what a canonical call puts in them, and the canonical call of filled slots. Knows nothing of names, schemas or results.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection
from typing import Any

import msgspec

from distill.commands import GRAMMARS, split_options
from distill.errors import ToolError
from distill.generate.templates import Call
from distill.vocabularies.commandlines import (
    Wanted,
    line_of,
    lines_asked,
    operand,
    wanted_by_line,
    wanted_by_words,
    words_of,
)
from distill.vocabularies.globs import find_words, is_plain, is_wild, joined, names_of, parted
from distill.vocabularies.patterns import Part, Syntax, bounded, parts_of, unbounded, written

Slots = dict[str, Any]
_SHOWS = {"lines": "n", "files": "l", "counts": "c"}
_NO_CASE = "(?i)"
_AROUND = {"A": "after", "B": "before", "C": "around"}
_KNOWN = frozenset({*"rnwilcEF", *_AROUND, "e", "regexp", "include"})
_LONG = {"recursive": "r", "line-number": "n", "word-regexp": "w", "ignore-case": "i", "files-with-matches": "l"}
_LONG |= {"count": "c", "extended-regexp": "E", "fixed-strings": "F"}
_LONG |= {"after-context": "A", "before-context": "B", "context": "C"}
_LEAST_LINES = 1
_ALL = ("run_command", "read_file", "list_files")


class Form(msgspec.Struct, frozen=True):
    """`slots` by name with the kind of their values and what is meant where one is not filled (None: it has to be).
    `tools` are the canonical tools that it means, the first one mostly. `filled` gives the slots of a canonical call,
    for a tool that can say these slots; None where the form cannot say it, and a slot is None where it does not matter.
    `wanted` gives the canonical call of filled slots, and raises ToolError. `instead` names for a slot another that
    says as much.
    """

    tools: tuple[str, ...]
    slots: dict[str, tuple[type, Any]]
    filled: Callable[[Call, Collection[str]], Slots | None]
    wanted: Callable[[Slots], Wanted]
    instead: dict[str, str] = {}


class Search(msgspec.Struct, frozen=True):
    """A call of grep: its pattern, what it prints, where, and which files count."""

    parts: tuple[Part, ...]
    path: str
    shows: str
    given: dict[str, str | None]
    word: bool

    @property
    def include(self) -> str:
        return self.given.get("include") or ""


def search_of(call: Call) -> Search | None:
    """What a call searches for; None where it is no search, or more than one pattern and one place."""
    words = _words(call, "grep")
    if words is None:
        return None
    try:
        options, operands = split_options("grep", GRAMMARS["grep"], words)
        named = [(_LONG.get(name, name), value) for name, value in options]
        given = dict(named)
        pattern = [value or "" for name, value in named if name in ("e", "regexp")] or operands[:1]
        paths = operands if given.keys() & {"e", "regexp"} else operands[1:]
        path = posixpath.normpath(paths[0] if paths else ".")
        if len(pattern) != 1 or len(paths) > 1 or (path == "." and "r" not in given):
            return None
        if not given.keys() <= _KNOWN or len(given) < len({*named}):
            return None
        if not all(str(given[letter]).isdecimal() for letter in given.keys() & _AROUND):
            return None
        syntax: Syntax = "fixed" if "F" in given else "extended" if "E" in given else "basic"
        parts = parts_of(pattern[0], syntax)
    except ToolError:
        return None
    shows = "files" if "l" in given else "counts" if "c" in given else "lines"
    whole = bounded(parts) if "w" in given else parts
    return Search(whole or parts, path, shows, given, word="w" in given and whole is None)


def _search_slots(call: Call, sayable: Collection[str]) -> Slots | None:
    """`pattern` is a text where it is not `regular`; `where` is `path` and `include` in one."""
    search = search_of(call)
    if search is None or search.word or (search.include and not is_plain(search.include)):
        return None
    if "where" in sayable and is_wild(search.path):
        return None
    plain = "regular" in sayable and "F" in search.given and "w" not in search.given
    any_case = "i" in search.given
    pattern = written(search.parts, "fixed" if plain else "regex")
    if any_case and "any_case" not in sayable and not plain:
        pattern, any_case = _NO_CASE + pattern, False
    where = joined(search.path, search.include) if search.include else _all_in(search.path)
    slots: Slots = {"pattern": pattern, "regular": not plain, "where": where, "any_case": any_case}
    slots |= {"path": search.path, "include": search.include, "shows": search.shows}
    slots |= {name: int(search.given.get(letter) or 0) for letter, name in _AROUND.items()}
    return slots | {"numbers": "n" in search.given if search.shows == "lines" else None, "limit": 0}


def _all_in(path: str) -> str:
    """The glob of all files in what looks like a folder; a file's own path."""
    return path if path == "." or posixpath.splitext(path)[1] else f"{path}/**"


def _wanted_search(slots: Slots) -> Wanted:
    path, include = slots["path"], [*(names_of(slots["include"]) if slots["include"] else ())]
    if slots["where"] != ".":
        place = parted(slots["where"])
        path, include = place.path, names_of(place.names) if place.names else []
    text = slots["pattern"]
    any_case = slots["any_case"] or (slots["regular"] and text.startswith(_NO_CASE))
    parts = parts_of(text.removeprefix(_NO_CASE), "regex") if slots["regular"] else parts_of(text, "fixed")
    word, syntax, pattern = _as_grep(parts)
    letters = "r" + (_SHOWS[slots["shows"]] if slots["numbers"] or slots["shows"] != "lines" else "")
    letters += "w" * word + "i" * any_case + {"basic": "", "extended": "E", "fixed": "F"}[syntax]
    context = [f"-{letter}{slots[name]}" for letter, name in _AROUND.items() if slots[name]]
    filters = [f"--include={name}" for name in include]
    wanted = ["-e", pattern] if pattern.startswith("-") else [pattern]
    args = ["-" + letters, *(context if slots["shows"] == "lines" else ()), *filters, *wanted, operand(path)]
    return Wanted(Call("run_command", {"command": "grep", "args": args}), limit=slots["limit"])


def _as_grep(parts: tuple[Part, ...]) -> tuple[bool, Syntax, str]:
    """Whether grep's -w is wanted, which syntax, and the pattern in it: the plainest that says it."""
    inner = unbounded(parts)
    bare = parts if inner is None else inner
    if all(part.kind == "char" for part in bare) and written(bare, "basic") != written(bare, "fixed"):
        return inner is not None, "fixed", written(bare, "fixed")
    if not any(part.kind == "short" for part in bare):
        try:
            return inner is not None, "basic", written(bare, "basic")
        except ToolError:
            pass
    return inner is not None, "extended", written(bare, "extended")


def _find_slots(call: Call, sayable: Collection[str]) -> Slots | None:
    """`glob` below `path`, or both as `where`. That folders do not count no glob says, but for all files."""
    words = _words(call, "find")
    if words is None:
        return None
    path, tests = (words[0], words[1:]) if words and not words[0].startswith(("-", "(", "!")) else (".", words)
    path = posixpath.normpath(path)
    if tests == ["-type", "f"]:
        name = "*"
    elif len(tests) == 2 and tests[0] == "-name" and tests[1].strip("*") and is_plain(tests[1]):
        name = tests[1]
    else:
        return None
    if "where" in sayable and is_wild(path):
        return None
    return {"glob": joined(".", name), "path": path, "where": joined(path, name), "limit": 0}


def _wanted_find(slots: Slots) -> Wanted:
    top, *tests = find_words(slots["path"], slots["glob"] if slots["where"] == "." else slots["where"])
    return Wanted(Call("run_command", {"command": "find", "args": [operand(top), *tests]}), limit=slots["limit"])


def _read_slots(call: Call, sayable: Collection[str]) -> Slots | None:
    asked = lines_asked(call)
    if asked is None:
        return None
    path, start, lines = asked
    return {"path": path, "start": start, "lines": lines, "end": start + lines - 1, "skipped": start - 1}


def _wanted_read(slots: Slots) -> Wanted:
    start = max(_LEAST_LINES, slots["skipped"] + 1 if slots["skipped"] else slots["start"])
    lines = slots["end"] - start + 1 if slots["end"] else slots["lines"]
    if lines < _LEAST_LINES:
        raise ToolError("there are no lines between the first and the last that are asked for")
    return Wanted(Call("read_file", {"path": slots["path"], "start": start, "lines": lines}))


def _list_slots(call: Call, sayable: Collection[str]) -> Slots | None:
    path = call.arguments.get("path", ".")
    return {"path": path, "recursive": False} if call.name == "list_files" and isinstance(path, str) else None


def _wanted_list(slots: Slots) -> Wanted:
    if slots["recursive"]:
        return Wanted(Call("run_command", {"command": "find", "args": [operand(slots["path"]), "-type", "f"]}))
    return Wanted(Call("list_files", {"path": slots["path"]}))


def _line_slots(call: Call, sayable: Collection[str]) -> Slots | None:
    line = line_of(call)
    return None if line is None else {"line": line, "folder": ".", "limit": 0}


def _words_slots(call: Call, sayable: Collection[str]) -> Slots | None:
    words = words_of(call)
    return None if words is None else {"words": words, "folder": ".", "limit": 0}


def _words(call: Call, program: str) -> list[str] | None:
    """The words behind a program's name; None where the call runs another, or nothing."""
    words = call.arguments.get("args", [])
    if call.name != "run_command" or call.arguments.get("command") != program or not isinstance(words, list):
        return None
    return words if all(isinstance(word, str) for word in words) else None


_PLACE = {"path": (str, "."), "where": (str, "."), "limit": (int, 0)}
FORMS = {
    "search": Form(
        ("run_command",),
        {
            **{
                "pattern": (str, None),
                **_PLACE,
                "include": (str, ""),
                "shows": (str, "lines"),
                "regular": (bool, True),
            },
            **{"any_case": (bool, False), "numbers": (bool, True)},
            **{"after": (int, 0), "before": (int, 0), "around": (int, 0)},
        },
        _search_slots,
        _wanted_search,
        {"path": "where", "include": "where"},
    ),
    "find": Form(
        ("run_command",), {**_PLACE, "glob": (str, "**")}, _find_slots, _wanted_find, {"path": "where", "glob": "where"}
    ),
    "read": Form(
        ("read_file",),
        {"path": (str, None), "start": (int, 1), "lines": (int, 40), "end": (int, 0), "skipped": (int, 0)},
        _read_slots,
        _wanted_read,
        {"start": "skipped", "lines": "end"},
    ),
    "list": Form(("list_files",), {"path": (str, "."), "recursive": (bool, False)}, _list_slots, _wanted_list),
    "line": Form(_ALL, {"line": (str, None), "folder": (str, "."), "limit": (int, 0)}, _line_slots, wanted_by_line),
    "words": Form(
        _ALL, {"words": (list, None), "folder": (str, "."), "limit": (int, 0)}, _words_slots, wanted_by_words
    ),
}
