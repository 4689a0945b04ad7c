"""Edits: what an answer in words writes into files, for agents that take edits from the text, as aider does.

Owns the two forms: a fenced block with a file's new text under a line that is its path, and blocks that search and
replace, wherever they stand. Files are shown to the assistant in the first form. Knows nothing of whether an edit is
any good, nor of which form an agent takes.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from typing import NamedTuple

_PATH = re.compile(
    r"(?:[\w.~@+()\[\]-]+/)*(?:[\w.~@+()\[\]-]*\.\w{1,15}|Makefile|Dockerfile)|[\w.~@+-]+(?:/[\w.~@+-]+)+"
)
_LONGEST_PATH = 250  # what is longer, aider does not take for one either
_AROUND = "*#`:\"' \t"  # what models put around a path
_OPENING = re.compile(r"( {0,3})(`{3,}|~{3,})[^`]*|()<(source|code|pre|codeblock|sourcecode)>\s*")
_SEARCH = re.compile(r"<{5,9} SEARCH>?")
_MIDDLE = re.compile(r"={5,9}")
_REPLACE = re.compile(r">{5,9} REPLACE|={5,9}")


class Edit(NamedTuple):
    """`old` is the text to be replaced; None where the whole file is written. `path` is empty where none is told."""

    path: str
    old: str | None
    new: str


class _Fence(NamedTuple):
    """A fence that was opened. `path` is that of the line above it, `start` the place of the first line in it."""

    path: str
    start: int
    indent: int
    mark: str


def edits_in(text: str, known: Container[str] = (), blocks: bool = True) -> Iterator[Edit]:
    """The edits of a text, in their order. What is no path by its looks is one where it is `known`. Without `blocks`
    those that search and replace are text like any other: files that are shown may hold some.

    A block that does not come to its end searches for its own first line, which stands in no file: nothing of it can
    be told, and aider takes no edit of an answer with one."""
    lines = text.splitlines()
    above = told = ""  # the last line with anything in it; the path of the block before
    fence: _Fence | None = None
    at = 0
    while at < len(lines):
        line = lines[at]
        if blocks and _SEARCH.fullmatch(line.strip()):
            told = _path_before(lines, at, known) or told
            middle = _next(_MIDDLE, lines, at + 1)
            end = _next(_REPLACE, lines, middle + 1)
            if end == len(lines):
                yield Edit(told, "\n".join(lines[at:]), "")
                return
            yield Edit(told, "\n".join(lines[at + 1 : middle]), "\n".join(lines[middle + 1 : end]))
            fence = fence and fence._replace(path="")  # it held a block, and no file
            at, line = end, ""
        elif fence is None and (opening := _OPENING.fullmatch(line)):
            mark = opening[2] or f"</{opening[4]}>"
            fence, above = _Fence(_path(above, known), at + 1, len(opening[1] or ""), mark), ""
        elif fence is not None and (held := _last_line(lines, at, fence)) is not None:
            if fence.path:
                yield Edit(fence.path, None, _text([*lines[fence.start : at], *held]))
            fence, line, above = None, "", ""
        above = line if line.strip() and fence is None else above
        at += 1
    if fence is not None and fence.path:
        yield Edit(fence.path, None, _text(lines[fence.start :]))


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _next(form: re.Pattern[str], lines: Sequence[str], at: int) -> int:
    while at < len(lines) and not form.fullmatch(lines[at].strip()):
        at += 1
    return min(at, len(lines))


def _last_line(lines: Sequence[str], at: int, fence: _Fence) -> list[str] | None:
    """What else stands in the line that closes a fence; None where the line does not close it.

    A fence further to the right is the file's own, in a comment for instance. A file whose last line has no end has
    the closing fence right behind it; then nothing follows, or the next file does."""
    line, mark = lines[at].rstrip(), fence.mark
    bare = line.lstrip(" ")
    if bare.startswith(mark) and not bare.strip(mark[0] if mark[0] in "`~" else mark):
        return [] if len(line) - len(bare) <= fence.indent else None
    if not line.endswith(mark):
        return None
    ends = at + 1 == len(lines)
    goes_on = at + 3 < len(lines) and not lines[at + 1].strip() and _OPENING.fullmatch(lines[at + 3]) is not None
    return [line.removesuffix(mark)] if ends or goes_on else None


def _path(line: str, known: Container[str]) -> str:
    """The path that a line is; empty where it is something else."""
    path = line.strip(_AROUND).removeprefix("./") if len(line) <= _LONGEST_PATH else ""
    return path if path in known or _PATH.fullmatch(path) else ""


def _path_before(lines: Sequence[str], at: int, known: Container[str]) -> str:
    """The path in the lines before a block, over one or two fences: right above it, in the fence's own line, or above
    the fence. Empty where no path is there."""
    for line in reversed(lines[max(0, at - 3) : at]):
        fence = _OPENING.fullmatch(line)
        if path := _path(line, known):
            return path
        if fence is None:
            return ""
    return ""
