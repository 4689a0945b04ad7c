"""The normal form of canonical calls: two calls that differ only in how they are written have the same.

Owns what counts as spelling. Runs nothing and knows no questions.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

import msgspec

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
    told = {name: search.given[name] for name in ("A", "B", "C", "include") if name in search.given}
    return ["grep", search.shows, sorted(kept), told, search.word, written(search.parts, "regex"), search.path]


def _normal_words(program: str, words: list[str]) -> list[str]:
    if program == "find":  # its words are an expression: their order means something
        return [posixpath.normpath(words[0]), *words[1:]] if words and not words[0].startswith("-") else [".", *words]
    options: set[str] = set()
    operands: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "--":
            operands.extend(rest)
        elif program in ("head", "tail") and re.fullmatch(r"-n?\d+|-n", word):
            options.add("-n" + (word.lstrip("-n") or next(rest, "")))
        elif re.fullmatch(r"-[A-Za-z]+", word):
            options |= {f"-{letter}" for letter in word[1:]}
        elif word.startswith("--"):
            options.add(_LONG.get(word, word))
        else:
            operands.append(word)
    start = 1 if program == "grep" else 0  # the pattern is no path
    paths = [posixpath.normpath(path) for path in operands[start:]]
    if program == "grep" and "-r" in options and not paths:
        paths = ["."]
    return [*sorted(options), *operands[:start], *paths]


_LONG = {
    "--recursive": "-r",
    "--line-number": "-n",
    "--word-regexp": "-w",
    "--files-with-matches": "-l",
    "--count": "-c",
    "--fixed-strings": "-F",
    "--lines": "-l",
}
