"""Places: which text stood at which line of which file, as results showed it, and answers that mistake one for another.

Owns the forms in which an answer says where a name is. A line that was shown proves a claim about it only if the name
stands there; a claim about a line that was not shown is none of this. Knows nothing of what else counts as seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from distill.filters.names import names_in
from distill.results import found_lines, numbered_lines

_LONGEST = 1 << 18  # characters of a result that is looked at
_LINE = 500  # characters of a line that nobody cut
_WORD = re.compile(r"\w+")
_MARKS = re.compile(r"[`*]")
_ABOVE = ("@", "#", "/*", "//", "*", "--")  # decorators and comments belong to what follows them
_CLAIM = re.compile(
    r"(?:^\W{0,5}|[.;:,(]\W{0,3}|\b(?P<kind>(?i:function|class|method|constant|variable|type))\s"
    r"|\b(?i:the|and|that|where|but)\s)"
    r"(?P<name>[A-Za-z_]\w{2,80})(?:\(\))?,?\s"
    r"(?P<how>(?:(?:is|was|also|lives|stands|starts|begins|defined|declared|implemented|located|found|in|at|on|the|e\.g\.|file)"
    r",?\s){1,7})"
    r"(?:(?P<path>[\w./-]{1,200}\.\w{1,6})(?::|,?\s\(?(?:(?:at|on)\s)?(?=lines?\s))|(?=lines?\s))"
    r"(?:(?:line\s)?(?P<line>\d{1,7})|lines\s(?P<lines>\d{1,7}(?:,\s(?:and\s)?\d{1,7}|\sand\s\d{1,7}){1,20}))"
    r"(?!\d|\.\d|\s?[-–]|\s(?:to|and)\s)(?:\s(?:of|in)\s(?P<file>[\w./-]{1,200}))?"
)
_MADE = re.compile(r"defined|declared|implemented")
_MAKES = re.compile(r"\b(?:class|def|function|func|fn|interface|struct|enum|type|trait)\s+([A-Za-z_]\w*)")
_NUMBER = re.compile(r"\d+")


class Claim(NamedTuple):
    """That a name is at a line; `path` is empty where it is not said of which file. `defined`: it is made there."""

    name: str
    path: str
    line: int
    defined: bool = False


class _Shown(NamedTuple):
    """Texts with their files by line number, the files by the words in them, all files, and what is made in them."""

    at: dict[int, list[tuple[str, str]]]
    files: dict[str, set[str]]
    all: set[str]
    made: set[str]


class Places:
    """What results showed of files, in the order of the conversation. They are read when somebody asks."""

    def __init__(self) -> None:
        self._results: list[tuple[str, str]] = []
        self._shown: _Shown | None = None

    def add(self, result: str, path: str) -> None:
        """A tool's result; `path` is the file that its call named, empty where it named none."""
        self._results.append((result[:_LONGEST], path))
        self._shown = None

    def forget(self) -> None:
        """Files may have changed: what stood where before says nothing any more."""
        self._results.clear()
        self._shown = None

    def mistaken(self, claims: Sequence[Claim]) -> Claim | None:
        """The first claim of a name at a line that was shown without it, while another line was shown with it: one of
        the same file, or any where the claim is that the name is made there. So is one that it is made where it is only
        used, while a line was shown that makes it."""
        return next((claim for claim in claims if self._is_mistaken(claim)), None)

    def is_elsewhere(self, path: str, line: int) -> bool:
        """Whether other lines of a file were shown, and this one only of other files."""
        shown = self._shown = self._shown or _read(self._results)
        files = [file for file, _ in shown.at.get(line, ())]
        if not files or any(_same(file, path) for file in files):
            return False
        return any(_same(file, path) for file in shown.all)

    def _is_mistaken(self, claim: Claim) -> bool:
        shown = self._shown = self._shown or _read(self._results)
        texts = [text for file, text in shown.at.get(claim.line, ()) if _same(file, claim.path)]
        if not texts or any(text.strip().startswith(_ABOVE) for text in texts):
            return False
        if any(claim.name in _WORD.findall(text) for text in texts):
            makes = any(claim.name in _MAKES.findall(text) for text in texts)
            return claim.defined and claim.name in shown.made and not makes
        return any(claim.defined or _same(file, claim.path) for file in shown.files.get(claim.name, ()))


def claims_in(sentence: str) -> list[Claim]:
    """What a sentence says of where names are: "`parse` is defined in cli.py, line 12", "parse() is at cli.py:12"."""
    names = {*names_in(sentence)}
    return [
        Claim(
            found["name"],
            (found["path"] or found["file"] or "").removeprefix("./").rstrip("."),
            line,
            _MADE.search(found["how"]) is not None,
        )
        for found in _CLAIM.finditer(_MARKS.sub("", sentence))
        for line in _numbers(found["line"] or found["lines"])
        if found["kind"] or found["name"] in names
    ]


def _numbers(said: str) -> list[int]:
    """The lines that are listed; none where two that follow each other may be a range."""
    lines = [int(number) for number in _NUMBER.findall(said)]
    return [] if any(after - before == 1 for before, after in pairwise(lines)) else lines


def _read(results: Sequence[tuple[str, str]]) -> _Shown:
    shown = _Shown({}, {}, set(), set())
    for result, named in results:
        for file, line, text in _lines(result, named):
            shown.at.setdefault(line, []).append((file, text))
            shown.all.add(file)
            shown.made.update(_MAKES.findall(text))
            for word in _WORD.findall(text):
                shown.files.setdefault(word, set()).add(file)
    return shown


def _lines(result: str, named: str) -> Iterator[tuple[str, int, str]]:
    """The lines of a result that have a number, with their file; that of the call where the line names none."""
    yield from found_lines(result)
    if named:
        yield from ((named, number, text) for number, text in numbered_lines(result) if len(text) <= _LINE)


def _same(one: str, other: str) -> bool:
    """Whether two paths may be one file's, told from different folders; any may be one that is not told."""
    return not other or one == other or one.endswith(f"/{other}") or other.endswith(f"/{one}")
