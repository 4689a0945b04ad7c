"""Calls as Qwen3-Coder and Qwen3.5 and later write them: a tag for the function and one for each parameter.

Values are raw text, so what ends one is decided by layout: a value that begins on a new line ends with a line that
closes it, whatever it says in between. Tolerated are a missing `<tool_call>`, a missing `</parameter>` before the next
parameter or the function's end, and JSON in the tags. What is not a call stays in the text.

Linear in hostile text: where the next value ends, and from where no call can be completed, is remembered.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from gateway.engine.toolcalls.form import Broken, Ending, Found, Unfinished, begun, call_of
from gateway.engine.toolcalls.hermes import OPENING, closed, tagged
from gateway.engine.toolcalls.typed import Properties, typed
from router.chat import FunctionCall, Tool

_FUNCTION = "<function="
_FUNCTION_END = "</function>"
_PARAMETER = "<parameter="
_PARAMETER_END = "</parameter>"

_MARK = re.compile(rf"(?:{OPENING}\s*)?{_FUNCTION}([^<>\s]{{1,256}})>|{OPENING}")
_MARK_BEGUN = re.compile(rf"{_FUNCTION}[^<>\s]{{0,256}}\Z")
_KEY = re.compile(rf"{_PARAMETER}([^<>\n]{{1,256}})>")
_KEY_BEGUN = re.compile(rf"{_PARAMETER}[^<>\n]{{0,256}}\Z")
_SPACE = re.compile(r"\s*")
_NEXT = rf"(?=\s*(?:{_PARAMETER}|{_FUNCTION_END}))"


def _value_end(*, lines: bool, whole: bool) -> re.Pattern[str]:
    """What ends a value, one on `lines` of its own or not: its end tag where the form goes on behind it, or, without
    one, the next parameter (whose key is the group) or the function's end."""
    last = r"(?:</tool_call>|\Z)" if whole else "</tool_call>"
    shut = rf"(?={_FUNCTION_END}\s*{last})"
    if lines:
        return re.compile(rf"\n(?:{_PARAMETER_END}{_NEXT}|(?={_PARAMETER}([^<>\n]{{1,256}})>)|{shut})")
    return re.compile(rf"{_PARAMETER_END}{_NEXT}()|{shut}")


_ENDS = {(lines, whole): _value_end(lines=lines, whole=whole) for lines in (True, False) for whole in (True, False)}


class QwenXml:
    """`tools` are those offered: they give the values their types, and a call without `<tool_call>` must name one."""

    openings = (OPENING, _FUNCTION)
    endings = (">",)

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._properties = {tool.function.name: Properties(tool.function.parameters) for tool in tools}

    def find(self, text: str, start: int, ending: Ending) -> Found | int:
        scan = _Scan(text, ending, self._properties)
        position = start
        while (mark := _MARK.search(text, position)) is not None:
            position = mark.start() + 1
            try:
                calls, end = scan.calls_at(mark)
            except Unfinished:
                if ending is Ending.OPEN:
                    return mark.start()
            except Broken:
                continue
            else:
                return Found(mark.start(), end, calls)
        if ending is not Ending.OPEN:
            return len(text)
        half = _MARK_BEGUN.search(text, max(position, len(text) - 300))
        return min(begun(text, self.openings), half.start() if half else len(text))


class _Scan:
    """One look through one text."""

    def __init__(self, text: str, ending: Ending, properties: dict[str, Properties]) -> None:
        self._text = text
        self._ending = ending
        self._properties = properties
        self._ends: dict[tuple[bool, str], tuple[int, re.Match[str] | None]] = {}
        self._dead: dict[tuple[int, str], type[Broken]] = {}  # no exceptions: they would keep their frames alive

    def calls_at(self, mark: re.Match[str]) -> tuple[list[FunctionCall], int]:
        name = mark[1]
        if name is None:
            return self._json_at(mark.end())
        known = self._properties.get(name)
        if known is None and not mark[0].startswith(OPENING):
            raise Broken(mark.end())
        written, at = self._parameters(mark.end(), name if known else "")
        end = closed(self._text, at, self._soft(), surplus=_SPACE)
        properties = known or Properties({})
        try:
            return [call_of(name, {key: typed(value, properties.of(key)) for key, value in written.items()})], end
        except (ValueError, TypeError, RecursionError):
            raise Broken(end) from None

    def _soft(self) -> Ending:
        """A function's own end tag is there: nothing of the call is missing when a limit cuts behind it."""
        return Ending.OPEN if self._ending is Ending.OPEN else Ending.WHOLE

    def _json_at(self, start: int) -> tuple[list[FunctionCall], int]:
        space = _SPACE.match(self._text, start)
        at = space.end() if space else start
        if self._text.startswith(("{", "["), at):
            return tagged(self._text, at, self._ending)
        if _FUNCTION.startswith(self._text[at : at + 32]) or _MARK_BEGUN.match(self._text, at):
            raise Unfinished(at)
        raise Broken(at)

    def _parameters(self, start: int, name: str) -> tuple[dict[str, str], int]:
        """Values by key, and the index behind the function's end tag. Raises Broken or Unfinished."""
        written: dict[str, str] = {}
        passed: list[int] = []
        at = start
        try:
            while True:
                space = _SPACE.match(self._text, at)
                at = space.end() if space else at
                passed.append(at)
                if (at, name) in self._dead:
                    raise self._dead[at, name](at)
                if self._text.startswith(_FUNCTION_END, at):
                    return written, at + len(_FUNCTION_END)
                key = self._key(at)
                written[key[1]], at = self._value(key.end(), name)
        except Broken as broken:
            self._dead.update(((seen, name), type(broken)) for seen in passed)
            raise

    def _key(self, at: int) -> re.Match[str]:
        key = _KEY.match(self._text, at)
        if key is not None:
            return key
        rest = self._text[at : at + 32]
        if _PARAMETER.startswith(rest) or _FUNCTION_END.startswith(rest) or _KEY_BEGUN.match(self._text, at):
            raise Unfinished(at)
        raise Broken(at)

    def _value(self, start: int, name: str) -> tuple[str, int]:
        """The text of a value and the index behind its end tag."""
        lines = self._text.startswith("\n", start)
        end = self._end(start, lines, name)
        if end is None:
            raise Unfinished(start)
        if not lines:
            return self._text[start : end.start()], end.end()
        value = self._text[start + 1 : max(start + 1, end.start())]
        if end[0] == "\n":  # the end tag is missing, or stands at the end of the last line
            value = value.removesuffix(_PARAMETER_END)
            if f"\n{_PARAMETER_END}\n" in value:
                raise Broken(end.end())  # it was closed before, and something else follows
        return value, end.end()

    def _end(self, start: int, lines: bool, name: str) -> re.Match[str] | None:
        """What ends the value that begins at `start`, if anything does."""
        asked, end = self._ends.get((lines, name), (len(self._text), None))
        if asked <= start and (end is None or start <= end.start()):
            return end
        end = self._search(start, lines, name)
        self._ends[lines, name] = (start, end)
        return end

    def _search(self, start: int, lines: bool, name: str) -> re.Match[str] | None:
        known = self._properties.get(name)
        pattern = _ENDS[lines, self._ending is Ending.WHOLE]
        for end in pattern.finditer(self._text, start):
            early: Any = end[1]
            if not early or known is None or known.holds(early):
                return end
        return None
