"""Places: which text stood at which line of which file, as results showed it, and answers that mistake one for another.

Owns the forms in which an answer says where a name is. A line that was shown proves a claim about it only if the name
stands there; a claim about a line that was not shown is none of this. Knows nothing of what else counts as seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from distill.filters.names import names_in, stands_in
from distill.results import numbered_lines

_FOUND = re.compile(r"(?:\./)?([\w./+@-]{1,300}):(\d{1,7})[:-](.*)")  # a line of grep's
_LONGEST = 1 << 18  # characters of a result that is looked at
_LINE = 500  # characters of a line that nobody cut
_MARKS = re.compile(r"[`*]")
_ABOVE = ("@", "#", "/*", "//", "*", "--")  # decorators and comments belong to what follows them
_CLAIM = re.compile(
    r"(?:^\W{0,5}|[.;:,(]\W{0,3}|\b(?:function|class|method|constant|variable|type|the|and|that|where|but)\s)"
    r"(?P<name>[A-Za-z_]\w{2,80})(?:\(\))?,?\s"
    r"(?:(?:is|was|lives|stands|starts|begins|defined|declared|implemented|located|found|in|at|on|e\.g\.|file),?\s){1,6}"
    r"(?:(?P<path>[\w./-]{1,200}\.\w{1,6})(?::|,?\s\(?(?:(?:at|on)\s)?line\s)|line\s)"
    r"(?P<line>\d{1,7})(?!\d|\.\d|\s?[-–]|\s(?:to|and)\s)(?:\s(?:of|in)\s(?P<file>[\w./-]{1,200}))?"
)


class Claim(NamedTuple):
    """That a name is at a line; `path` is empty where it is not said of which file."""

    name: str
    path: str
    line: int


class Places:
    """What results showed of files, in the order of the conversation. They are read when somebody asks."""

    def __init__(self) -> None:
        self._results: list[tuple[str, str]] = []
        self._shown: dict[tuple[str, int], list[str]] | None = None

    def add(self, result: str, path: str) -> None:
        """A tool's result; `path` is the file that its call named, empty where it named none."""
        self._results.append((result[:_LONGEST], path))
        self._shown = None

    def forget(self) -> None:
        """Files may have changed: what stood where before says nothing any more."""
        self._results.clear()
        self._shown = None

    def mistaken(self, claims: Sequence[Claim]) -> Claim | None:
        """The first claim of a name at a line that was shown without it, while another line was shown with it."""
        for claim in claims:
            at = [text for (path, line), texts in self._of(claim.path) for text in texts if line == claim.line]
            if not at or any(stands_in(claim.name, text) or text.strip().startswith(_ABOVE) for text in at):
                continue
            if any(stands_in(claim.name, text) for _, texts in self._of(claim.path) for text in texts):
                return claim
        return None

    def _of(self, path: str) -> Iterator[tuple[tuple[str, int], list[str]]]:
        if self._shown is None:
            self._shown = {}
            for result, named in self._results:
                for file, line, text in _lines(result, named):
                    self._shown.setdefault((file, line), []).append(text)
        return (item for item in self._shown.items() if not path or _same(item[0][0], path))


def claims_in(sentence: str) -> list[Claim]:
    """What a sentence says of where names are: "`parse` is defined in cli.py, line 12", "parse() is at cli.py:12"."""
    names = {*names_in(sentence)}
    return [
        Claim(found["name"], (found["path"] or found["file"] or "").removeprefix("./"), int(found["line"]))
        for found in _CLAIM.finditer(_MARKS.sub("", sentence))
        if found["name"] in names
    ]


def _lines(result: str, named: str) -> Iterator[tuple[str, int, str]]:
    """The lines of a result that have a number, with their file; that of the call where the line names none."""
    for raw in result.split("\n"):
        if len(raw) <= _LINE and (found := _FOUND.fullmatch(raw)):
            yield found[1], int(found[2]), found[3]
    if named:
        yield from ((named, number, text) for number, text in numbered_lines(result) if len(text) <= _LINE)


def _same(one: str, other: str) -> bool:
    """Whether two paths may be one file's, told from different folders."""
    return one == other or one.endswith(f"/{other}") or other.endswith(f"/{one}")
