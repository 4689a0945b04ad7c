"""Names: the paths, lines and identifiers that a text names, and whether they stood in what was seen before.

Owns what counts as a name and as seen. What the assistant wrote proves nothing: seen is what the user said and what
tools gave back. Knows nothing of what becomes of a name that nobody saw.
"""

from __future__ import annotations

import builtins
import keyword
import posixpath
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

_TOKEN = re.compile(r"[\w./~-]+")
_WORD = re.compile(r"\w+")
_PART = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+")  # of a name: parse_args, HTTPServer, readFile
_MIXED = re.compile(r"\w*[a-z]\d*[A-Z]\w*")
_ENDING = re.compile(r"[A-Za-z]\w{0,5}")
_LINE = re.compile(
    r"\b[Ll]ines?(?:\s{1,3}(?:number|no\.|is|at)){0,2}\s{1,3}(\d{1,7})(?:\s{0,2}(?:-|–|to|and|,)\s{0,2}(\d{1,7}))?"
)
_PLACE = re.compile(r"\.[A-Za-z]\w{0,5}[:#]L?(\d{1,7})(?:-L?(\d{1,7}))?\b")
_CODE = re.compile(r"(?<!`)`([A-Za-z_][\w.]{2,200})(?:\(\))?`(?!`)")
_NUMBERED = re.compile(
    r"(?:^\s{0,10}|[:\-+L]|,\s?|\blines?\s|@@\s)(\d{1,7})(?=[:→\t|,\-\s).;?!]|$)", re.MULTILINE | re.IGNORECASE
)
_ESCAPE = re.compile(r"\\[A-Za-z]")  # \b and \s of a pattern
_FENCE = re.compile(  # closed by one that is as long, for what is in it may have fences
    r"^ {0,3}(`{3,}|~{3,})[^`\n]*\n(.*?)(?:^ {0,3}\1[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL
)
_LONGEST_PATH = 4096
_ENDINGS = frozenset(  # of files; any other dotted word may be an attribute
    {
        *("py", "pyi", "ipynb", "js", "jsx", "ts", "tsx", "mjs", "cjs", "rs", "go", "c", "h", "cc", "cpp", "hpp"),
        *("java", "kt", "swift", "rb", "php", "cs", "scala", "sh", "bash", "zsh", "ps1", "sql", "html", "css", "scss"),
        *("vue", "md", "rst", "txt", "json", "jsonl", "yaml", "yml", "toml", "ini", "cfg", "conf", "lock", "xml"),
        *(
            "csv",
            "log",
            "env",
            "proto",
            "gradle",
            "svelte",
            "lua",
            "ex",
            "exs",
            "erl",
            "hs",
            "ml",
            "r",
            "jl",
            "dart",
            "tf",
        ),
    }
)
_ABBREVIATIONS = frozenset({"e.g", "i.e", "a.k.a", "etc", "vs", "w.r.t", "and/or", "i/o", "n/a", "tcp/ip", "ci/cd"})
ORDINARY = frozenset(  # names of the trade, which nobody needs to see first
    {
        *("github", "gitlab", "javascript", "typescript", "openai", "macos", "ios", "pypi", "sqlite", "latex"),
        *("postgresql", "graphql", "oauth", "devops", "mongodb", "mysql", "node.js", "vue.js", "next.js", "asp.net"),
        *("readme.md", "pyproject.toml", "setup.py", "requirements.txt", "package.json", "tsconfig.json", "cargo.toml"),
        *("go.mod", "makefile", "dockerfile", "changelog.md", "agents.md", "claude.md", "__init__.py", "conftest.py"),
        *(name.lower() for name in (*dir(builtins), *keyword.kwlist)),
        *("null", "self", "undefined", "const", "string", "number", "boolean", "object", "void", "function"),
        *("node_modules", "__init__", "__main__", "__name__", "__file__", "site-packages", "__pycache__", "/dev/null"),
    }
)


def without_code(text: str) -> str:
    """A text without its fenced blocks: what stands in them may be new code, which names what is not there yet."""
    return _FENCE.sub(" ", text)


def fenced(text: str) -> Iterator[tuple[str, str]]:
    """What stands in each fenced block of a text, after the line above it, which may say what file it is for."""
    for block in _FENCE.finditer(text):
        above = text[max(0, block.start() - _LONGEST_PATH) : block.start()].rstrip("\n").rpartition("\n")[2]
        yield above, block[2]


def names_in(text: str) -> Iterator[str]:
    """The paths and identifiers of a text, each as it stands there; plain words are none unless written as code."""
    for token in dict.fromkeys(_TOKEN.findall(text)):
        name = token.rstrip(".-/").lstrip("-").removeprefix("./")
        if _is_name(name, token):
            yield name
    yield from (name for name in dict.fromkeys(_CODE.findall(text)) if name.lower() not in ORDINARY)


def ordinary_files_in(text: str) -> set[str]:
    """The files in a text that many a project has, which count as no names."""
    words = (token.rstrip(".-/") for token in _TOKEN.findall(text))
    return {word for word in words if word.lower() in ORDINARY and _ending(word) in _ENDINGS}


def names_of_pattern(value: str) -> Iterator[str]:
    """The names in an argument, which may be a path, a pattern or a whole command."""
    windows = value[1:3] == ":\\"
    yield from names_in(value.replace("\\", "/") if windows else _ESCAPE.sub(" ", value))


def looks_like_path(name: str) -> bool:
    """Whether a name is a path or a file's, rather than an identifier."""
    return "/" in name or _ending(name) in _ENDINGS


def lines_in(text: str) -> Iterator[int]:
    """The line numbers that a text names: "line 12", "lines 3 to 8", "the line is 7", "cli.py:12"."""
    for form in (_LINE, _PLACE):
        for found in form.findall(text):
            yield from (int(number) for number in found if number)


def _is_name(name: str, token: str) -> bool:
    lower = name.lower()
    if not name or lower in ORDINARY or lower in _ABBREVIATIONS or not re.search(r"[^\W\d]", name):
        return False
    if "/" in name:
        return _is_path(name, token)
    if "." in name.strip("."):
        return _is_dotted(name.strip("."))
    return _is_identifier(name)


def _is_path(name: str, token: str) -> bool:
    """Words with strokes between them ("read/write") are none unless something looks like a file or a folder."""
    sure = token.startswith(("/", "./", "../", "~/")) or token.endswith("/")
    return sure or _ending(name) in _ENDINGS or any(_is_identifier(piece) for piece in name.split("/"))


def _is_dotted(name: str) -> bool:
    parts = name.split(".")
    if re.fullmatch(r"v?\d+", parts[0]):  # a version
        return False
    return _ending(name) in _ENDINGS or any(_is_identifier(part) for part in parts) or name.count(".") > 1


def _ending(name: str) -> str:
    ending = name.rpartition(".")[2] if "." in name else ""
    return ending.lower() if _ENDING.fullmatch(ending) else ""


def _is_identifier(name: str) -> bool:
    return any(
        ("_" in word.strip("_") or (word.startswith("__") and word.endswith("__") and len(word) > 4))
        or _MIXED.fullmatch(word) is not None
        for word in _WORD.findall(name)
    )


class Words(NamedTuple):
    """What stands in a text: words, parts of words in lower case, and line numbers."""

    words: frozenset[str]
    parts: frozenset[str]
    lines: frozenset[int]


def words_of(text: str) -> Words:
    words = frozenset(_WORD.findall(text))
    parts = frozenset(part.lower() for word in words for part in _PART.findall(word))
    return Words(words, parts, frozenset(int(number) for number in _NUMBERED.findall(text)))


# an agent sends the same tools and system prompt with each of its conversations
words_often_seen = lru_cache(maxsize=32)(words_of)


class Seen:
    """What stood before the model, `offered` at first. Grows as the conversation is read."""

    def __init__(self, offered: str) -> None:
        self._texts: list[str] = []
        self._words: set[str] = set()
        self._parts: set[str] = set()
        self._lines: set[int] = set()
        self._under: list[tuple[frozenset[str], str]] = []  # a result, and the folders that its call named
        self.add(offered, words=words_often_seen(offered))

    def add(self, text: str, under: frozenset[str] = frozenset(), *, words: Words | None = None) -> Words:
        """More that was seen, and what stands in it; `under` are the arguments of the call whose result it is."""
        new = words or words_of(text)
        self._texts.append(text)
        self._words |= new.words
        self._parts |= new.parts
        self._lines |= new.lines
        folders = frozenset(posixpath.normpath(argument) for argument in under if argument and "\0" not in argument)
        if folders:
            self._under.append((folders, text))
        return new

    def has(self, name: str) -> bool:
        """Whether the name stood there: whole, or as a path whose folder was listed."""
        bare = name.strip("_")  # _emphasis_
        if name in self._words or bare in self._words:
            return True
        if any(stands_in(name, text) for text in self._texts):
            return True
        if "/" in name and len(name) <= _LONGEST_PATH:
            return self._listed(posixpath.normpath(name))
        if "." in name and _ending(name) not in _ENDINGS:
            return all(part in self._words for part in name.split(".") if part)
        return False

    def derivable(self, name: str) -> bool:
        """Whether the name can be made of what stood there: all of its parts did."""
        if self.has(name):
            return True
        if "/" in name:
            pieces = [piece for piece in name.split("/") if piece not in ("", ".", "..", "~")]
            return any(self.has(piece) or piece in self._words for piece in pieces[-1:]) and all(
                self._known(piece) for piece in pieces[:-1]
            )
        if _ending(name) in _ENDINGS:
            return False
        return self._known(name)

    def has_line(self, number: int) -> bool:
        return number in self._lines

    def near_line(self, number: int, reach: int = 100) -> bool:
        """Whether a line that was seen is so close that one would read from here."""
        return any(abs(number - line) <= reach for line in self._lines)

    def matches(self, fixed: str) -> bool:
        """Whether the fixed part of a pattern stood somewhere, in whatever case."""
        return any(fixed.lower() in text.lower() for text in self._texts)

    def quotes(self, words: str) -> bool:
        """Whether these very words stood there."""
        return any(words in text for text in self._texts)

    def _known(self, name: str) -> bool:
        return all(part.lower() in self._parts for part in _PART.findall(name) if len(part) > 2)

    def _listed(self, path: str) -> bool:
        """Whether a folder on the way was the argument of a call whose result has the rest of the path."""
        pieces = path.split("/")
        for cut in range(1, len(pieces)):
            folder, rest = "/".join(pieces[:cut]), "/".join(pieces[cut:])
            if any(folder in folders and stands_in(rest, text) for folders, text in self._under):
                return True
        return False


def stands_in(name: str, text: str) -> bool:
    """Whether a name stands in a text, not as a part of a longer one."""
    at = text.find(name)
    while at >= 0:
        before, after = text[at - 1 : at], text[at + len(name) : at + len(name) + 1]
        if not (_joins(before) and _joins(name[0])) and not (_joins(after) and _joins(name[-1])):
            return True
        at = text.find(name, at + 1)
    return False


def _joins(character: str) -> bool:
    return character == "_" or character.isalnum()
