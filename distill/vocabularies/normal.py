"""The normal form of canonical calls: two calls that differ only in how they are written have the same.

Owns what counts as spelling. Runs nothing and knows no questions.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

import msgspec

from distill.commands import GRAMMARS, split_options
from distill.errors import ToolError
from distill.generate.templates import Call
from distill.vocabularies.forms import Search, search_of
from distill.vocabularies.patterns import written

_DEFAULTS: dict[str, dict[str, Any]] = {
    "read_file": {"start": 1, "lines": 40},
    "list_files": {"path": "."},
    "run_command": {"args": []},
}


def normal(call: Call) -> tuple[str, str]:
    """A canonical call in its one spelling: defaults dropped, paths without './', short options apart and in order, a
    plain search by what its pattern means in whichever syntax."""
    search = search_of(call)
    if search is not None:
        return call.name, msgspec.json.encode(_normal_search(search), order="deterministic").decode()
    defaults = _DEFAULTS.get(call.name, {})
    arguments = {key: value for key, value in call.arguments.items() if defaults.get(key, ...) != value}
    if isinstance(arguments.get("path"), str):
        arguments["path"] = posixpath.normpath(arguments["path"])
        arguments = {key: value for key, value in arguments.items() if defaults.get(key, ...) != value}
    words = arguments.get("args")
    if call.name == "run_command" and isinstance(words, list) and all(isinstance(word, str) for word in words):
        arguments["args"] = _normal_words(str(arguments.get("command")), words)
    return call.name, msgspec.json.encode(arguments, order="deterministic").decode()


def _normal_search(search: Search) -> list[object]:
    """Whether it goes into folders counts only where no path is named: of a file, both do the same."""
    kept = {"n", "l", "c"} & {*search.given} if search.shows == "lines" else set()
    kept |= {"r", "i", "h"} & {*search.given} if search.path == "." else {"i"} & {*search.given}
    lines = ("A", "B", "C") if search.shows == "lines" else ()  # without lines there are none around them
    told = {name: search.given[name] for name in (*lines, "include") if name in search.given}
    return ["grep", search.shows, sorted(kept), told, search.word, written(search.parts, "regex"), search.path]


def _normal_words(program: str, words: list[str]) -> list[str]:
    """Options apart from operands and in order, each under one name; words that are no command stay as they are."""
    if program == "find":  # its words are an expression: their order means something
        named = bool(words) and not words[0].startswith(("-", "(", "!"))
        return [posixpath.normpath(words[0]), *words[1:]] if named else [".", *words]
    counted = f"-{_COUNTED[program]}" if program in _COUNTED else ""
    spelt = [f"{counted}{word[1:]}" if counted and _COUNT.fullmatch(word) else word for word in words]
    try:
        options, operands = split_options(program, GRAMMARS[program], spelt)
    except (ToolError, KeyError):
        return words
    long = _LONG.get(program, {})
    found = {(long.get(name, name), value or "") for name, value in options}
    found -= _WITHOUT_MEANING.get(program, set())
    given = {name for name, _ in found}
    if program in ("head", "tail") and not given & {"n", "c"}:
        found |= {("n", "10")}
    start = 1 if program == "grep" and "e" not in given else 0  # the pattern is no path
    found |= {("e", pattern) for pattern in operands[:start]}
    paths = [posixpath.normpath(path) for path in operands[start:]]
    if not paths and (program == "ls" or "r" in given):
        paths = ["."]
    return [*(f"-{name} {value}" for name, value in sorted(found)), *paths]


_COUNT = re.compile(r"-\d{1,9}")
_COUNTED = {"grep": "C", "head": "n", "tail": "n"}
_WITHOUT_MEANING = {"grep": {("G", "")}, "ls": {("1", "")}}
_LONG = {
    "grep": {
        **{"recursive": "r", "line-number": "n", "word-regexp": "w", "files-with-matches": "l", "count": "c"},
        **{"files-without-match": "L", "ignore-case": "i", "invert-match": "v", "fixed-strings": "F", "text": "a"},
        **{"extended-regexp": "E", "basic-regexp": "G", "no-filename": "h", "with-filename": "H", "regexp": "e"},
        **{"only-matching": "o", "line-regexp": "x", "quiet": "q", "no-messages": "s", "max-count": "m"},
        **{"after-context": "A", "before-context": "B", "context": "C"},
    },
    "ls": {"all": "a", "almost-all": "A", "recursive": "R"},
    "cat": {"number": "n"},
    "head": {"lines": "n", "bytes": "c"},
    "tail": {"lines": "n", "bytes": "c"},
    "wc": {"lines": "l", "words": "w", "bytes": "c", "chars": "m"},
}
