"""Editing: what the edits of an answer do to the files that its agent showed, and whether they fit there.

Owns what an agent's prompt says of it: which form of edits it takes, which files are an example's, which are shown. An
agent whose prompt has no edits takes none: in its answers a block under a path quotes code.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise

from distill.filters.edits import Edit, edits_in
from distill.filters.reasons import Finding
from distill.filters.told import Told
from distill.trajectory import Run, Trajectory
from router.chat import ChatRequest, Message

# aider's words, the same in every version and edit format
_BEGINS = "I switched to a new code base."  # its own example ends here
_GIVES = (
    *("*added these files to the chat*", "READ ONLY files, provided for your reference"),
    *("I am not sharing", "Don't try and edit any existing code without asking me"),
)
_LISTS = "summaries of some files present in my git repo"
_NAME = re.compile(r"[\w./~@+-]+", re.ASCII)
_MOST_PLACES = 20  # where lines are found, indented in another way
_MOST_PARTS = 10  # of a block that leaves something out
_MOST = 200  # edits of one answer that are looked at; the time goes by their number and the length of the files

Change = tuple[str, ...]


@dataclass
class Desk:
    """What an agent has told before an answer.

    `given` are the files with their present texts, by path; None where the agent did not say which these are. `said` is
    what stood in the same form in anybody's words: a part of a file perhaps, or what it shall become. `example` are the
    files of the agent's prompt, `wholes` and `blocks` which forms of edits it shows, `listed` files that there are but
    that were not shown, `named` what the user spoke of.
    """

    given: dict[str, str] | None = None
    said: dict[str, str] = field(default_factory=dict)
    example: set[str] = field(default_factory=set)
    listed: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)
    wholes: bool = False
    blocks: bool = False
    _prompt: set[Edit] = field(default_factory=set)  # which aider says once more in the question
    _earlier: list[Edit] = field(default_factory=list)  # in what may yet turn out to be an example

    @property
    def files(self) -> Mapping[str, str]:
        return self.said if self.given is None else self.given

    def add(self, message: Message) -> None:
        if message.role in ("system", "developer"):
            self._prompted(edits_in(message.text))
        elif message.role == "assistant":
            self._earlier += edits_in(message.text)
        elif message.role == "user" and message.text.startswith(_BEGINS):
            self._prompted(self._earlier)
            self._earlier = []
            self.given, self.said, self.listed, self.named = None, {}, set(), set()
        elif message.role == "user":
            self._told(message.text)

    def edits(self, text: str) -> list[Edit]:
        """The edits of an answer. Files in fences count where the agent takes those, blocks that search always: nobody
        writes them for another reason."""
        if not (self.wholes or self.blocks):
            return []
        found = (edit for edit in edits_in(text, self.files) if self.wholes or edit.old is not None)
        return [*islice(found, _MOST + 1)]

    def _prompted(self, edits: Iterable[Edit]) -> None:
        for edit in edits:
            self._prompt.add(edit)
            self.example.add(edit.path)
            self.wholes |= edit.old is None
            self.blocks |= edit.old is not None

    def _told(self, text: str) -> None:
        lines = [line.strip() for line in text.splitlines()]
        gives = any(words in text for words in _GIVES)
        known = {*lines} if gives else ()  # whatever stands above a file's text there is its path
        shown = [edit for edit in edits_in(text, known, blocks=False) if gives or edit not in self._prompt]
        self._earlier += shown
        files = {edit.path: edit.new for edit in shown}
        if gives and self.given is None:
            self.given = {}
        into = self.said if self.given is None or not gives else self.given
        into |= files
        if _LISTS in text:
            self.listed |= {line.removesuffix(":") for line in lines}
        elif not gives:  # a path alone in its line stands above a file's text
            self.named |= {name.rstrip("./-") for line in lines for name in _NAME.findall(line) if name != line}


def desk_of(request: ChatRequest | None) -> Desk:
    """What stood before an answer. An agent with tools edits with these."""
    desk = Desk()
    for message in request.messages if request is not None and not request.tools else ():
        desk.add(message)
    return desk


def changed_lines(text: str, desk: Desk) -> set[Change]:
    """What the edits of an answer do to the files that were shown: (path, sign, line) of each line that goes or comes.

    Where it stands, how far it is indented and how often it comes do not count, unless nothing else changes: then it
    is each line with the one before it and the gap between them, as they stand there."""
    done = _Done(desk, desk.edits(text))
    return _changes(done, _bare) or _changes(done, _with_gap)


def edits_fit(trajectory: Trajectory, runs: Sequence[Run], told: Told) -> Iterator[Finding]:
    """An edit changes something, and stands in a file that was shown or in a new one: those of an agent's own example
    are not there."""
    desk, at = Desk(), 0
    for run in runs if not trajectory.tools else ():
        if run.final is None:
            continue
        for message in trajectory.messages[at : run.final.at]:
            desk.add(message)
        at = run.final.at
        if not (edits := desk.edits(run.final.message.text)):
            continue
        done = _Done(desk, edits)
        if done.wrong is not None:
            yield Finding("edits fit", "masked", "edit_elsewhere", run.final.at, done.wrong)
        elif all(before == after for before, after in map(done.sides, done.files)):
            yield Finding("edits fit", "masked", "edit_of_nothing", run.final.at, edits[0].path)


def _changes(done: _Done, parts: Callable[[Sequence[str]], Iterable[Change]]) -> set[Change]:
    found: set[Change] = set()
    for path in done.files:
        before, after = (Counter(parts(side)) for side in done.sides(path))
        found |= {(path, "-", *part) for part in before - after} | {(path, "+", *part) for part in after - before}
    return found


def _bare(lines: Sequence[str]) -> Iterator[Change]:
    return ((line.strip(),) for line in lines if line)


def _with_gap(lines: Sequence[str]) -> Iterator[Change]:
    filled = [-1, *(at for at, line in enumerate(lines) if line), len(lines)]
    around = ["", *(line for line in lines if line), ""]
    for (one, other), (before, line) in zip(pairwise(filled), pairwise(around), strict=True):
        yield before, str(other - one), line


class _Done:
    """Files after edits, made one after the other. `wrong` is the path of the first that has no place; None where all
    have one."""

    def __init__(self, desk: Desk, edits: Sequence[Edit]) -> None:
        self.files: dict[str, _File] = {}
        self.wrong: str | None = edits[_MOST].path if len(edits) > _MOST else None
        self._desk = desk
        for edit in edits[:_MOST]:
            path = _known(edit, desk.files)
            if path not in self.files:
                self.files[path] = _File(desk.files.get(path, ""))
            if not (self._may(edit, path) & self.files[path].change(edit)) and self.wrong is None:
                self.wrong = edit.path

    def sides(self, path: str) -> tuple[list[str], list[str]]:
        """The lines before and after."""
        before, after = _File(self._desk.files.get(path, "")).lines, self.files[path].lines
        strange = self.files[path].strange
        return [*before, *(line for old, _ in strange for line in old)], [
            *after,
            *(n for _, new in strange for n in new),
        ]

    def _may(self, edit: Edit, path: str) -> bool:
        """Whether the agent takes such an edit of a file by this name."""
        if not (path and (edit.old is None or self._desk.blocks)):
            return False
        if path in self._desk.files:
            return True
        if any(known.endswith(f"/{path}") for known in self._desk.files):  # a second one, and not where it belongs
            return False
        return path not in self._desk.listed and (path in self._desk.named or path not in self._desk.example)


class _File:
    """A file's lines, without white space at their ends and empty ones at its own. `strange` are edits that do not fit,
    the old lines and the new ones."""

    def __init__(self, text: str) -> None:
        self.strange: list[tuple[list[str], list[str]]] = []
        self.lines: list[str] = []
        self._bare = ""
        self._set(_lines(text))

    def change(self, edit: Edit) -> bool:
        """Makes an edit; says whether it fits: the very lines stand there, perhaps all of them further to one side,
        or all parts of them where both sides leave out the same ("...")."""
        if edit.old is None:
            self._set(_lines(edit.new))
            return True
        old, new = _lines(edit.old), _lines(edit.new)
        if not old:
            self.lines += new
            self._bare += _bare_text(new)[1:]
            return True
        if self._replace(edit.old.splitlines(), edit.new.splitlines()) or self._replace(old, new):
            return True
        parts, others = _parts(old), _parts(new)
        if 1 < len(parts) <= _MOST_PARTS and len(parts) == len(others) and all(map(self._replace, parts, others)):
            return True
        self.strange.append((old, new))
        return False

    def _replace(self, old: list[str], new: list[str]) -> bool:
        wanted, found, at = _bare_text(old), -1, 0
        for _ in range(_MOST_PLACES):
            before, found = max(found, 0), self._bare.find(wanted, found + 1)
            if found < 0:
                return False
            at += self._bare.count("\n", before, found)
            if _shifted(self.lines[at : at + len(old)], old):
                self.lines[at : at + len(old)] = map(str.rstrip, new)
                self._bare = self._bare[:found] + _bare_text(new) + self._bare[found + len(wanted) :]
                return True
        return False

    def _set(self, lines: list[str]) -> None:
        self.lines = lines
        self._bare = _bare_text(lines)


def _shifted(lines: Sequence[str], others: Sequence[str]) -> bool:
    """Whether lines that are the same but for their indentation are all further to one side by the same."""
    by = (_indent(one) - _indent(other) for one, other in zip(lines, others, strict=True) if one)
    first = next(by, 0)
    return all(shift == first for shift in by)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _bare_text(lines: Sequence[str]) -> str:
    """The lines without indentation, each between two line ends: so a part of one is not found."""
    return "\n".join(["", *map(str.strip, lines), ""])


def _lines(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.splitlines()]
    first = next((at for at, line in enumerate(lines) if line), len(lines))
    last = next((at for at in range(len(lines), first, -1) if lines[at - 1]), first)
    return lines[first:last]


def _parts(lines: Sequence[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for line in lines:
        if line.strip() == "...":
            parts.append([])
        else:
            parts[-1].append(line)
    return parts


def _known(edit: Edit, files: Mapping[str, str]) -> str:
    """The path as the file was shown: models put folders before it, or leave some out. That is mended only for a block
    that searches: a whole file lands where its path says."""
    path, name = edit.path, edit.path.rpartition("/")[2]
    if path in files or not path:
        return path
    longer = [known for known in files if known.endswith(f"/{path}")] if edit.old is not None else []
    return longer[0] if len(longer) == 1 else name if name in files else path
