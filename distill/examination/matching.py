"""Matching: whether the calls that were made do what the planned ones do, in this domain's terms.

Two calls are the same when their normal forms are (paths normalised, arguments compared as commands); else both are run
and what they print is compared. So a pattern is compared by what it matches, by grep itself and under the toolbox's
limits: patterns come from models, and no regular expression of theirs is run in this process. Knows nothing of answers.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from enum import IntEnum
from itertools import pairwise

import msgspec

from distill.agent import Conversation
from distill.commands import GRAMMARS, Command, check, split_options
from distill.errors import ToolError
from distill.examination.marking import Mark, mark, meant_by
from distill.examination.sights import Seen, Sight, seen
from distill.generate.expert import arguments_text
from distill.generate.question import Question
from distill.generate.templates import Call
from distill.reading import Reader
from distill.tools import Toolbox
from distill.vocabularies import normal

_WHOLE = 4 << 20  # characters of a result that are compared; what a model is shown of it is less
_WORD = re.compile(r"\w+")
_CLASSES = re.compile(r"\\[bBwWsS<>]|\[\[:\w+:\]\]")


class Level(IntEnum):
    """How near a call comes to the planned one: another; one whose result holds all that the planned one's says, and
    more; one with the same result; the same call."""

    OTHER = 0
    COVERING = 1
    EQUIVALENT = 2
    EXACT = 3


async def marked(question: Question, conversation: Conversation, toolbox: Toolbox) -> Mark:
    """The conversation's mark, with what its calls found, compared with what the planned ones find.

    They are equivalent where calls with the planned results are among those made, in order, and covering where their
    results show all that the planned ones say. Where nothing is planned, each says that nothing was called.
    """
    made = mark(question, conversation, toolbox)
    if made.exact or not question.plan or conversation.end == "error":
        return made
    calls, compared = meant_by(conversation.calls, toolbox), Comparer(toolbox)
    equivalent = await _in_order(question.plan, calls, compared)
    covering = equivalent or await _all_shown(question.plan, calls, compared)
    return msgspec.structs.replace(made, equivalent=equivalent, covering=covering)


class Comparer:
    """Compares canonical calls on one repository; each is run once at most."""

    def __init__(self, toolbox: Toolbox) -> None:
        limits = msgspec.structs.replace(toolbox.limits, output=_WHOLE)
        self._tools = Toolbox(toolbox.root, limits)
        self._cut = Reader(toolbox.root, toolbox.limits).shorten
        self._results: dict[tuple[str, str], str] = {}
        self._whole: dict[tuple[str, str], Seen] = {}

    async def level(self, planned: Call, made: Call) -> Level:
        """How near `made` comes to `planned`."""
        if normal(planned) == normal(made):
            return Level.EXACT
        wanted, found = await self.whole(planned), await self.whole(made)
        if not wanted.said:  # nothing found is the same everywhere: it says something of what was looked for only
            sought = self._sought(planned)
            return sought.in_vain(self._sought(made), nothing=not found.said, failed=_failed(found))
        if _tells_no_lines(wanted) and self._sought(planned).words != self._sought(made).words:
            return Level.OTHER
        if wanted.said == found.said:
            return Level.EQUIVALENT
        if (await self.shown(planned)).said <= (await self.shown(made)).shown:
            return Level.COVERING
        files = _files(wanted, "match")
        return Level.COVERING if files and files <= _files(await self.shown(made), "numbered", "line") else Level.OTHER

    async def whole(self, call: Call) -> Seen:
        key = normal(call)
        if key not in self._whole:
            self._whole[key] = seen(call, await self._result(call), self._tools.root)
        return self._whole[key]

    async def shown(self, call: Call) -> Seen:
        """What a model sees: the beginning of a long result."""
        result = await self._result(call)
        cut = self._cut(result)
        return await self.whole(call) if cut == result else seen(call, cut, self._tools.root)

    async def _result(self, call: Call) -> str:
        key = normal(call)
        if key not in self._results:
            self._results[key] = await self._tools.call(call.name, arguments_text(call.arguments))
        return self._results[key]

    def _sought(self, call: Call) -> Sought:
        if call.name == "run_command":
            arguments = call.arguments
            try:
                return _sought(check(self._tools.root, str(arguments.get("command")), list(arguments.get("args", []))))
            except (ToolError, TypeError, OSError):
                return Sought()
        return Sought((call.name,), frozenset({posixpath.normpath(str(call.arguments.get("path", ".")))}))


class Sought(msgspec.Struct, frozen=True):
    """The words of what a call looks for, the places, and which files there count (none named: all)."""

    words: tuple[str, ...] = ()
    places: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()

    def in_vain(self, made: Sought, *, nothing: bool, failed: bool) -> Level:
        """How near another call comes to this one, which found nothing: the same where that looked for the same words
        in the same places and found nothing; near where it looked for some of these words at least there."""
        if failed or not self.words or self.words[:1] != made.words[:1]:
            return Level.OTHER
        if nothing and (self.words, self.places, self.files) == (made.words, made.places, made.files):
            return Level.EQUIVALENT
        wider = all(any(_within(place, other) for other in made.places) for place in self.places)
        fewer = len(made.words) > 1 and {*made.words} <= {*self.words}
        return Level.COVERING if wider and fewer and made.files <= self.files else Level.OTHER


def _sought(command: Command) -> Sought:
    places = frozenset(posixpath.normpath(path) for path in command.paths) or frozenset({"."})
    if command.program in ("cat", "head", "tail"):
        return Sought(("read_file",), places)
    if command.program == "find":
        rest = list(command.argv[len(command.paths) :])
        named = [value for option, value in pairwise(rest) if option.endswith(("name", "path"))]
        files = frozenset(value for option, value in pairwise(rest) if option == "-type")
        return Sought(("find", *_words(named)), places, files)
    if command.program != "grep":
        return Sought((command.program,), places)
    options, operands = split_options("grep", GRAMMARS["grep"], list(command.argv))
    patterns = [value or "" for name, value in options if name in ("e", "regexp")] or operands[:1]
    files = frozenset(f"{name}={value}" for name, value in options if name in ("include", "exclude", "exclude-dir"))
    inverted = ("-v",) if {"v", "invert-match"} & {name for name, _ in options} else ()
    return Sought(("grep", *inverted, *_words(patterns)), places, files)


def _words(patterns: Sequence[str]) -> list[str]:
    return [word for pattern in patterns for word in _WORD.findall(_CLASSES.sub(" ", pattern))]


def _within(place: str, other: str) -> bool:
    return other == "." or place == other or place.startswith(f"{other}/")


def _tells_no_lines(result: Seen) -> bool:
    """Whether a search tells only where or how often it found something, which another may do as well."""
    return all(sight.kind == "match" or (sight.kind == "count" and sight.text == "matches") for sight in result.said)


def _files(result: Seen, *kinds: str) -> set[str]:
    return {sight.path for sight in result.said if sight.kind in kinds}


def _failed(result: Seen) -> bool:
    return any(sight.kind == "error" for sight in result.said)


async def _in_order(plan: Sequence[Call], made: Sequence[Call], compared: Comparer) -> bool:
    """Whether calls with the planned results are among those made, in their order."""
    left = list(plan)
    for call in made:
        if left and await compared.level(left[0], call) >= Level.EQUIVALENT:
            del left[0]
    return not left


async def _all_shown(plan: Sequence[Call], made: Sequence[Call], compared: Comparer) -> bool:
    """Whether all that the planned results say was shown, in the plan's order; one result may show it of several."""
    left = list(plan)
    shown: set[Sight] = set()
    for call in made:
        shown |= (await compared.shown(call)).shown
        while left and await _is_shown(left[0], call, shown, compared):
            del left[0]
    return not left


async def _is_shown(planned: Call, call: Call, shown: set[Sight], compared: Comparer) -> bool:
    wanted = await compared.shown(planned)
    together = bool(wanted.said) and not _tells_no_lines(wanted) and wanted.said <= shown
    return together or await compared.level(planned, call) >= Level.COVERING
