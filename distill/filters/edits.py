"""Edits: what an answer in words writes into files, for agents that take edits from the text, as aider does.

Owns the form: under a line that is a file's path a fenced block with the file's new text, or with blocks that search
and replace. Files are shown to the assistant in the same form. Knows nothing of whether an edit is any good.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import NamedTuple

from distill.filters.names import fenced
from distill.filters.reasons import Finding
from distill.filters.told import Told
from distill.trajectory import Run, Trajectory
from router.chat import Message

_PATH = re.compile(r"[\w.~@+-]+(?:/[\w.~@+-]+)*\.\w{1,10}|[\w.~@+-]+(?:/[\w.~@+-]+)+|Makefile|Dockerfile")
_AROUND = "*#`:\"' \t"  # what models put around a path
_SEARCH, _MIDDLE, _REPLACE = "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"

Files = Mapping[str, str]


class Edit(NamedTuple):
    """`old` is the text to be replaced; None where the whole file is written."""

    path: str
    old: str | None
    new: str


def edits_in(text: str) -> Iterator[Edit]:
    """The edits of an answer, in their order."""
    for above, held in fenced(text):
        path = above.strip(_AROUND).removeprefix("./")
        if not _PATH.fullmatch(path):
            continue
        parts = [Edit(path, old, new) for old, new in _replacements(held)]
        yield from parts or [Edit(path, None, held)]


def shown_in(messages: Sequence[Message]) -> dict[str, str]:
    """The files that the user showed, by path; the last text of each."""
    said = (message.text for message in messages if message.role == "user")
    return {edit.path: edit.new for text in said for edit in edits_in(text) if edit.old is None}


def changed_lines(text: str, shown: Files) -> set[tuple[str, ...]]:
    """What the edits of an answer do to the files that were shown: (path, sign, line) of each line that goes or comes.

    Where it stands, how far it is indented and how often it comes do not count."""
    found: set[tuple[str, ...]] = set()
    for edit in edits_in(text):
        path, before, after = _sides(edit, shown)
        found |= {(path, "-", line) for line in before - after} | {(path, "+", line) for line in after - before}
    return found


def edits_fit(trajectory: Trajectory, runs: Sequence[Run], told: Told) -> Iterator[Finding]:
    """An edit changes something, and stands in a file that the user showed or in a new one: those of an agent's own
    example are not there."""
    for run in runs if not trajectory.tools else ():
        if run.final is None or not (edits := [*edits_in(run.final.message.text)]):
            continue
        before = trajectory.messages[: run.final.at]
        shown, example = shown_in(before), _examples(trajectory, run.final.at)
        if wrong := next((edit.path for edit in edits if not _has_place(edit, shown, example)), ""):
            yield Finding("edits fit", "masked", "edit_elsewhere", run.final.at, wrong)
        elif all(before == after for _, before, after in (_sides(edit, shown) for edit in edits)):
            yield Finding("edits fit", "masked", "edit_of_nothing", run.final.at, edits[0].path)


def _examples(trajectory: Trajectory, at: int) -> set[str]:
    """The files of what the agent put into the assistant's mouth."""
    earlier = zip(trajectory.messages[:at], trajectory.authors[:at], strict=True)
    said = (message.text for message, author in earlier if message.role == "assistant" and author is None)
    return {edit.path for text in said for edit in edits_in(text)}


def _has_place(edit: Edit, shown: Files, example: Set[str]) -> bool:
    path = _known(edit.path, shown)
    if path not in shown:
        return path not in example and not (edit.old or "").strip()
    return "\n".join(_lines(edit.old or "")) in "\n".join(_lines(shown[path]))


def _sides(edit: Edit, shown: Files) -> tuple[str, Counter[str], Counter[str]]:
    """The path, and the lines before and after."""
    path = _known(edit.path, shown)
    return path, Counter(_lines(shown.get(path, "") if edit.old is None else edit.old)), Counter(_lines(edit.new))


def _known(path: str, shown: Files) -> str:
    """The path as the file was shown: models leave out folders."""
    longer = [known for known in shown if known.endswith(f"/{path}")]
    return longer[0] if path not in shown and len(longer) == 1 else path


def _replacements(held: str) -> Iterator[tuple[str, str]]:
    """What is searched for and what comes in its place, block by block."""
    sides: list[list[str]] = []  # of the block that is open
    for line in held.splitlines():
        if line.startswith(_SEARCH):
            sides = [[]]
        elif len(sides) == 1 and line.rstrip() == _MIDDLE:
            sides.append([])
        elif len(sides) == 2 and line.startswith(_REPLACE):
            yield "\n".join(sides[0]), "\n".join(sides[1])
            sides = []
        elif sides:
            sides[-1].append(line)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
