"""Globs: which files a tool is asked for by a pattern of their paths, as the words of `find` and of `grep`.

A pattern without a slash is looked for in every folder. Owns the translation; looks at no file.
"""

from __future__ import annotations

import itertools
import posixpath
import re
from typing import NamedTuple

from distill.errors import ToolError

_WILD = re.compile(r"[*?\[{]")
_BRACES = re.compile(r"\{([^{}]*)\}")
_MOST = 12  # alternatives of braces


class Place(NamedTuple):
    """A folder (or file) and which names count there: `names` is empty where all do."""

    path: str
    names: str = ""


def joined(path: str, name: str) -> str:
    """The glob of a name anywhere below a folder."""
    return posixpath.join("" if path == "." else path, "**", name)


def parted(glob: str) -> Place:
    """A glob that says where to search, as a folder or file and names below it. Raises ToolError for one that says
    more than that."""
    path, rest = _fixed(glob)
    if not rest:
        return Place(path)
    if rest in (["**"], ["**", "*"], ["*"]) and glob != "*":
        return Place(path)
    if len(rest) == 1 or (len(rest) == 2 and rest[0] == "**"):
        return Place(path, rest[-1])
    raise ToolError(f"{glob!r} is more than a folder with the names of files in it")


def find_words(path: str, glob: str) -> list[str]:
    """The words of `find` that list what a glob asks for below a folder. Raises ToolError for too many alternatives."""
    inner, rest = _fixed(glob)
    last = rest[-1] if rest else ""
    if not rest:  # a plain path: of a file by its name, which may be in any folder where it has no slash
        inner, last = posixpath.split(inner)
        rest = ["**", last] if not inner else [last]
    elif len(rest) == 1 and inner == ".":
        rest = ["**", last]
    top = posixpath.normpath(posixpath.join(path, inner))
    if rest in (["**"], ["**", "*"]):
        return [top, "-type", "f"]
    if rest == ["**", last]:
        return [top, *_alternatives("-name", _expanded(last))]
    if len(rest) == 1:
        return [top, "-maxdepth", "1", *_alternatives("-name", _expanded(last))]
    forms = (form for whole in _expanded("/".join(rest)) for form in _without_stars(whole))
    return [top, *_alternatives("-path", [posixpath.join(top, form) for form in forms])]


def names_of(glob: str) -> list[str]:
    """The names that a filter on files lets through, one for each alternative. Raises ToolError."""
    found = _expanded(glob.removeprefix("**/"))
    if any("/" in name for name in found):
        raise ToolError(f"{glob!r} names folders; give them as the path of the search")
    return found


def is_plain(name: str) -> bool:
    """Whether a name of `find` and `grep` means the same as a glob."""
    return not set(name) & set("{}\\/,")


def is_wild(path: str) -> bool:
    """Whether a path would mean something else as a glob."""
    return _WILD.search(path) is not None


def _fixed(glob: str) -> tuple[str, list[str]]:
    """The folders that a glob names without wildcards, and what is left of it."""
    words = [word for word in glob.split("/") if word != "."]
    if not any(words):
        raise ToolError("the pattern is empty")
    at = next((at for at, word in enumerate(words) if is_wild(word)), len(words))
    top = "/".join(words[:at]) or ("/" if glob.startswith("/") else ".")
    return top, [word for word in words[at:] if word]


def _expanded(glob: str) -> list[str]:
    found = [""]
    for at, piece in enumerate(_BRACES.split(glob)):
        options = piece.split(",") if at % 2 else [piece]
        found = [before + option for before, option in itertools.product(found, options)]
        if len(found) > _MOST:
            raise ToolError(f"{glob!r} has too many alternatives")
    return found


def _without_stars(form: str) -> list[str]:
    """The patterns of whole paths for one in which `**/` stands for any folders, or none."""
    found = [""]
    for at, piece in enumerate(form.split("**/")):
        found = [before + between + piece for before in found for between in (("", "*/") if at else ("",))]
        if len(found) > _MOST:
            raise ToolError(f"{form!r} has too many '**'")
    return [one.replace("**", "*") for one in found]


def _alternatives(test: str, forms: list[str]) -> list[str]:
    if len(forms) == 1:
        return [test, forms[0]]
    inner = [word for form in forms for word in ("-o", test, form)][1:]
    return ["(", *inner, ")"]
