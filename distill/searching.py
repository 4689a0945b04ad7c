"""What grep and find print, without either: for the plain searches that agents mostly make, exactly; for others None.

Owns which options and patterns are plain. A pattern is words in a row with anything between them (`class .*(.*Base`),
matched by looking for one word after the other, so that no pattern takes longer than a pass over the text. Paths come
in checked by `distill.commands`; links are not followed. Knows nothing of how results are shown.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from distill.commands import Command

_MOST = 64 << 20  # bytes of all files together
_HEAD = 1 << 15  # bytes of a file by which grep takes it for binary
_FLAGS = frozenset("rnwlciFEH")
_SPECIAL = {"basic": frozenset(".*[\\"), "extended": frozenset(".*[\\+?(){}|"), "fixed": frozenset()}
_PLAIN_ESCAPES = frozenset(".*[^$")
_FIND = ("-name", "-type", "-maxdepth")
_STARS = 4  # in a name that is looked for


@dataclass(frozen=True)
class Pattern:
    """Parts that follow each other on a line with anything between them; `start` and `end` bind the first to the
    line's start and the last to its end; `word`: no letter, digit or "_" right before or behind."""

    parts: tuple[bytes, ...]
    start: bool = False
    end: bool = False
    word: bool = False
    any_case: bool = False

    def matches(self, line: bytes) -> bool:
        text = line.lower() if self.any_case else line
        return any(self._from(text, at) for at in self._starts(text))

    def may_stand_in(self, content: bytes) -> bool:
        """Whether a file has all the parts somewhere: where it has not, no line needs to be looked at."""
        text = content.lower() if self.any_case else content
        return all(part in text for part in self.parts)

    def _starts(self, text: bytes) -> Iterator[int]:
        """Where the first part stands; the first such place is enough, since those behind it leave less room."""
        first = self.parts[0]
        at = text.find(first)
        while at >= 0:
            if self.start and at > 0:
                return
            if not (self.word and _is_word(text[at - 1 : at] if at else b"")):
                yield at
                if len(self.parts) > 1:
                    return
            at = text.find(first, at + 1)

    def _from(self, text: bytes, at: int) -> bool:
        position = at + len(self.parts[0])
        for part in self.parts[1:-1]:
            found = text.find(part, position)
            if found < 0:
                return False
            position = found + len(part)
        if len(self.parts) == 1:
            return self._ends(text, position)
        last = self.parts[-1]
        found = text.find(last, position)
        while found >= 0:
            if self._ends(text, found + len(last)):
                return True
            found = text.find(last, found + 1)
        return False

    def _ends(self, text: bytes, at: int) -> bool:
        return (not self.end or at == len(text)) and not (self.word and _is_word(text[at : at + 1]))


def grep(root: Path, command: Command) -> str | None:
    """What `grep` prints with this command; None where the command is not a plain one, or too much would be read."""
    flags, operands = _split(command)
    if flags is None or not operands or any(".git" in path.split("/") for path in command.paths):
        return None
    kind = "fixed" if "F" in flags else "extended" if "E" in flags else "basic"
    pattern = plain_pattern(operands[0], kind, word="w" in flags, any_case="i" in flags)
    if pattern is None:
        return None
    paths = list(command.paths) or ["."]
    named = "H" in flags or len(paths) > 1 or (root / paths[0]).is_dir()
    left = _MOST
    printed = []
    for path in _files(root, paths, "r" in flags):
        left -= (root / path).stat().st_size
        if left < 0:
            return None
        content = (root / path).read_bytes()
        if b"\0" in content[_HEAD:]:
            return None
        content = b"" if b"\0" in content else content  # of binary files only the counts are told
        printed += _printed(content, pattern, flags, path if named else "", path)
    return "".join(line + "\n" for line in printed)


def plain_pattern(text: str, kind: str, *, word: bool = False, any_case: bool = False) -> Pattern | None:
    """The pattern, where it is made of plain words, ".*", and "^" and "$" at its ends; else None.

    `kind` is "basic", "extended" or "fixed", as grep reads it.
    """
    if any_case and not text.isascii():
        return None
    body = text.lower() if any_case else text
    start = kind != "fixed" and body.startswith("^")
    end = kind != "fixed" and body.endswith("$") and not body.endswith("\\$")
    body = body[1 if start else 0 : len(body) - 1 if end else len(body)]
    parts = [body] if kind == "fixed" else body.split(".*")
    plain = [part for part in (_unescaped(part, _SPECIAL[kind]) for part in parts) if part]
    if len(plain) < len(parts):
        return None
    return Pattern(tuple(part.encode() for part in plain), start, end, word, any_case)


def find(root: Path, command: Command) -> str | None:
    """What `find` prints for one folder, names and kinds; None for any other expression."""
    tests = _find_tests(command)
    top = command.paths[0]
    if tests is None or len(command.paths) > 1 or top.endswith("/"):
        return None
    deepest = int(tests.get("-maxdepth", 1 << 16))
    shown = []
    pending = [(root / top, top, 0)]
    while pending:
        path, name, depth = pending.pop()
        if _passes(path, name.rsplit("/", 1)[-1], tests):
            shown.append(name)
        if depth < deepest and path.is_dir() and not path.is_symlink():
            pending += [(entry, f"{name}/{entry.name}", depth + 1) for entry in path.iterdir()]
    return "".join(path + "\n" for path in shown)


def _find_tests(command: Command) -> dict[str, str] | None:
    words = [*command.argv[len(command.paths) :]]
    names, values = words[::2], words[1::2]
    if len(names) != len(values) or len({*names}) < len(names) or not {*names} <= {*_FIND} or {*names} <= {"-maxdepth"}:
        return None
    tests = dict(zip(names, values, strict=True))
    form = tests.get("-name", "")
    return None if "[" in form or "\\" in form or form.count("*") > _STARS else tests


def _passes(path: Path, name: str, tests: dict[str, str]) -> bool:
    if "-name" in tests and not fnmatch.fnmatchcase(name, tests["-name"]):
        return False
    kind = tests.get("-type")
    if kind is None or path.is_symlink():
        return kind in (None, "l")
    return path.is_dir() if kind == "d" else kind == "f" and path.is_file()


def _split(command: Command) -> tuple[frozenset[str] | None, list[str]]:
    """The letters of the options, None where one is not among the plain ones, and the operands."""
    flags: set[str] = set()
    operands: list[str] = []
    rest = iter(command.argv)
    for arg in rest:
        if arg == "--":
            operands.extend(rest)
        elif arg.startswith("-"):
            flags |= {*arg[1:]}
        else:
            operands.append(arg)
    odd = not flags <= _FLAGS or {"l", "c"} <= flags or {"F", "E"} <= flags
    return None if odd else frozenset(flags), operands


def _unescaped(part: str, special: frozenset[str]) -> str | None:
    """What a part of a pattern stands for, letter by letter; None where it says more than that."""
    if not special:
        return part
    letters = []
    rest = iter(part)
    for letter in rest:
        if letter == "\\":
            letter = next(rest, "")
            if letter not in _PLAIN_ESCAPES or not letter:
                return None
            letters.append(letter)
        elif letter in special or letter in "^$":
            return None
        else:
            letters.append(letter)
    return "".join(letters)


def _files(root: Path, paths: list[str], recursive: bool) -> Iterator[str]:
    for path in paths:
        if not (recursive and (root / path).is_dir()):
            yield path
            continue
        for folder, folders, files in os.walk(root / path, onerror=_raise):
            folders[:] = [name for name in folders if name != ".git"]
            inside = Path(folder).relative_to(root / path).as_posix()
            before = "/".join(part for part in (path.rstrip("/"), "" if inside == "." else inside) if part)
            for name in files:
                whole = Path(folder, name)
                if whole.is_file() and not whole.is_symlink():
                    yield f"{before}/{name}"


def _raise(error: OSError) -> None:
    raise error


def _printed(content: bytes, pattern: Pattern, flags: frozenset[str], name: str, path: str) -> list[str]:
    """What grep prints of one file; `name` is empty where it says no name."""
    lines = content.removesuffix(b"\n").split(b"\n") if pattern.may_stand_in(content) else []
    matching = [(number, line) for number, line in enumerate(lines, 1) if pattern.matches(line)]
    if "l" in flags:
        return [path] if matching else []
    before = f"{name}:" if name else ""
    if "c" in flags:
        return [f"{before}{len(matching)}"]
    numbers = "n" in flags
    return [f"{before}{f'{n}:' if numbers else ''}{line.decode(errors='replace')}" for n, line in matching]


def _is_word(letter: bytes) -> bool:
    return letter.isalnum() or letter == b"_"
